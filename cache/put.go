package cache

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/put.lua
var putLua string

var putScript = redis.NewScript(putLua)

const (
	// attempts is how often a write is sent whose reply was lost.
	attempts = 3
	// clearings is how often a put begins anew after it has cleared what was in
	// its way: a session that has ended, its entries, both one after the other.
	clearings = 5
	// noteFor is how long a write across shards may take before the sweeper
	// condemns it.
	noteFor = time.Minute
	// putNote is where put.lua's argument 11 stands.
	putNote = 10
	// putEnd and putQuestion are where put.lua's arguments 16 and 17 stand.
	putEnd, putQuestion = 15, 16
	// versionLen is the length of a version, in random bytes.
	versionLen = 8
)

// Put stores next in place of old, the version that the caller read with
// GetFresh; a nil old says that there is none. It answers session.ErrConflict if that is not so,
// session.ErrDeleted if the session was deleted with a sequence not below
// next.Sequence, session.ErrEnded if it has ended for good, session.ErrFull if no further session fits. next must not be
// due.
//
// A write that gives a user one more session than Config.MaxSessionsPerUser
// makes room for it first, or answers a *session.UserLimitError; it answers
// session.ErrConflict if other writers take the room again and again.
//
// Put repeats a write whose reply was lost; it happens once all the same.
// After session.ErrUnavailable it may or may not have happened; that is also
// the answer if another write came before the repetition.
func (s *Store) Put(ctx context.Context, next *session.Session, old *session.Stored) error {
	return s.put(ctx, next, old, "")
}

// put is Put. Where nothing is stored, a mark that is not "" must still be that of the question about
// the session; else it answers session.ErrConflict.
func (s *Store) put(ctx context.Context, next *session.Session, old *session.Stored, mark string) error {
	if old != nil && old.Due(s.clock()) {
		return session.ErrConflict // it has ended since the caller read it
	}
	if last, ok := s.remembered.Last(next.ID, s.clock()); ok && next.Sequence <= last {
		if old != nil {
			return session.ErrConflict // it was deleted since the caller read it
		}
		return session.ErrDeleted // also if a failover has lost the tombstone
	}
	if s.hasEnded(next.ID) {
		return session.ErrEnded
	}
	inTheWay := old == nil // what the caller did not see may be cleared
	var twins []any
	for range clearings {
		w := s.newWrite(next, old, twins)
		if mark != "" {
			w.keys, w.args[putQuestion] = append(w.keys, s.keys.Question(next.ID)), mark
		}
		result, lost, err := s.tryPut(ctx, w)
		if err != nil {
			return err // whether it happened is not known; the sweeper looks after the note
		}
		if result == "ok" || result == "done" {
			if w.dropNote != "" {
				// It is noted: what fails now is done by the sweeper.
				_ = s.index.DropNamed(ctx, w.shard, w.oldCard)
			}
			return nil
		}
		s.withdraw(ctx, w)
		if result == resultUserLimit && w.note != "" {
			if result, err = s.askOnly(ctx, w); err != nil {
				return err
			}
		}
		switch {
		case lost:
			// Either another writer was faster, or this write has been done and
			// another writer, perhaps a deletion, came after it: to do it again might
			// do it twice, and to refuse it might be a lie.
			return fmt.Errorf("%w: a write lost its reply and met another one", session.ErrUnavailable)
		case result == resultUserLimit:
			if twins, err = s.evictFor(ctx, w); err != nil {
				return err
			}
		case result == "deleted":
			return session.ErrDeleted
		case result == "ended":
			return session.ErrEnded
		case result == "full":
			return session.ErrFull
		case result == "late":
			return fmt.Errorf("%w: a write took longer than %v", session.ErrUnavailable, noteFor)
		case result == "unswept":
			// The session has ended and its hash is gone, its entries are not yet.
			if err := s.index.Forget(ctx, next.ID, s.clock()); err != nil {
				return unavailable(err)
			}
		case result != "conflict":
			return fmt.Errorf("BUG: put.lua answered %q", result)
		case !inTheWay:
			return session.ErrConflict
		default:
			// A session that is due, or was deleted and has come back, is replaced
			// with its entries.
			if old, err = s.readFresh(ctx, next.ID); err != nil {
				return err
			}
			if old != nil && !old.Due(s.clock()) && !s.remembered.Forbids(old, s.clock()) || old == nil && mark != "" {
				return session.ErrConflict
			}
		}
	}
	return session.ErrConflict
}

// tryPut tries once, and returns what put.lua answers; lost is as in runScript.
func (s *Store) tryPut(ctx context.Context, w *write) (result string, lost bool, err error) {
	s.near.Forget(w.card, w.oldCard)
	defer s.near.Forget(w.card, w.oldCard) // I4: also if it is not known whether it happened
	if w.note != "" {
		if result, err := s.addNamed(ctx, w); err != nil || result == resultUserLimit {
			return result, false, err
		}
	}
	return s.runScript(ctx, putScript, w.keys, w.args)
}

// write is one put, worked out.
type write struct {
	shard         int
	card, oldCard index.Card
	named         []string // lists in other shards that get an entry
	note          string   // of these, "" if there are none
	dropNote      string   // of the entries of oldCard in other shards, "" if they stay
	admit         []any    // arguments of admit.lua, nil if the user's list is not limited
	keys          []string
	args          []any
}

// newWrite works out what put.lua has to do. With one shard that is all.
// With several, the entries of user, user agent and token are in other shards:
// they are added before the script, and what they replace is removed after it.
// They carry the version of the write that added them as their tag, so that no
// removal that comes late takes an entry that a later version needs. (I5)
//
// twins are what evictFor knows of the user's list, nil if it was not asked.
func (s *Store) newWrite(next *session.Session, old *session.Stored, twins []any) *write {
	facts := next.Facts()
	fresh := session.Stored{Facts: facts, Token: next.Token, TokenForeign: next.TokenForeign, Version: newVersion()}

	w := &write{shard: s.keys.ShardOf(next.ID), card: index.CardOf(&fresh)}
	named := w.card.NamedLists(s.keys)
	var gets, loses, oldNamed []string
	oldVersion, oldPacked, sameDate := "", "", false
	if old != nil {
		oldVersion = old.Version
		w.oldCard = index.CardOf(old)
		oldPacked = w.oldCard.Pack()
		oldNamed = w.oldCard.NamedLists(s.keys)
		sameDate = old.Creation == facts.Creation
	}
	// Whether the user gets one more session by this write.
	limited := s.maxPerUser > 0 && facts.UserID != "" && (old == nil || old.UserID != facts.UserID || old.Due(s.clock()))
	localLimit := 0
	if s.keys.Shards() == 1 {
		gets, loses = named, oldNamed
		if limited {
			localLimit = s.maxPerUser
		}
	} else if sameDate && !limited && slices.Equal(named, oldNamed) {
		w.card.Tag = w.oldCard.Tag
	} else {
		w.card.Tag = fresh.Version
		if len(named) > 0 {
			w.named, w.note = named, index.AddNote(&w.card)
		}
		if limited {
			if twins == nil && old != nil && old.UserID == facts.UserID {
				twins = []any{w.oldCard.Member(), w.oldCard.Member()}
			}
			w.admit = append([]any{s.maxPerUser, session.Score(facts.Creation), w.card.Member()}, twins...)
		}
		if len(oldNamed) > 0 {
			w.dropNote = index.DropNote(&w.oldCard)
		}
	}
	if list := w.card.CreatorList(s.keys); list != "" {
		gets = append(gets, list)
	}
	if old != nil {
		if list := w.oldCard.CreatorList(s.keys); list != "" {
			loses = append(loses, list)
		}
	}
	had := loses
	loses = slices.DeleteFunc(slices.Clone(loses), func(list string) bool { return slices.Contains(gets, list) })
	if sameDate {
		had = slices.DeleteFunc(had, func(list string) bool { return localLimit > 0 && list == named[0] }) // put.lua looks at it
		gets = slices.DeleteFunc(gets, func(list string) bool { return slices.Contains(had, list) })
	}

	w.keys = make([]string, 0, 5+len(gets)+len(loses))
	w.keys = append(w.keys, s.keys.Session(next.ID), s.keys.Tombstone(next.ID), s.keys.Created(w.shard), s.keys.Catalogue(w.shard), s.keys.Pending(w.shard))
	w.keys = append(append(w.keys, gets...), loses...)
	ends := ""
	if next.ExpirationDate != session.Never {
		// Rounded up: Redis must not drop it before its instant.
		ends = strconv.FormatInt((int64(next.ExpirationDate)+999)/1000, 10)
	}
	w.args = []any{
		fresh.Version, oldVersion, string(next.ID), strconv.FormatUint(next.Sequence, 10), session.Score(facts.Creation),
		ends, w.card.Pack(), session.Score(facts.Expiration), oldPacked,
		len(gets), w.note, w.dropNote, session.Score(s.clock()),
		s.maxSessions, localLimit, 0, "", fieldDoc, appendStored(nil, next), fieldVersion, fresh.Version,
	}
	if _, ends := s.endsOf(next.ID); ends {
		w.keys, w.args[putEnd] = append(w.keys, s.keys.End(session.EndOfSession(next.ID))), 1
	}
	if w.card.Tag != w.oldCard.Tag { // with one shard there is none
		w.args = append(w.args, fieldTag, w.card.Tag)
	}
	return w
}

// addNamed adds the entries in other shards, after it has noted that it does.
// If the process dies, or the write loses, the sweeper removes them. It answers
// resultUserLimit, and adds none, if the user may have no further session.
func (s *Store) addNamed(ctx context.Context, w *write) (result string, err error) {
	err = repeat(ctx, func(bool) error {
		return s.writes.Do(ctx, redis.NewIntCmd(ctx, "zadd", s.keys.Pending(w.shard), session.Score(s.clock().Add(noteFor)), w.note))
	})
	if err != nil {
		return "", err
	}
	lists := w.named
	if w.admit != nil {
		result, _, err = s.runScript(ctx, admitScript, lists[:1], w.admit)
		if lists = lists[1:]; err != nil || result == resultUserLimit || len(lists) == 0 {
			return result, err
		}
	}
	return result, repeat(ctx, func(bool) error {
		adds := make([]redis.Cmder, len(lists))
		for i, list := range lists {
			adds[i] = redis.NewIntCmd(ctx, "zadd", list, session.Score(w.card.Creation), w.card.Member())
		}
		return s.writes.Do(ctx, adds...)
	})
}

// withdraw removes the entries that a write has added which then lost. What
// fails here is done by the sweeper. (I5)
func (s *Store) withdraw(ctx context.Context, w *write) {
	if w.note != "" {
		_, _ = s.index.Condemn(ctx, w.shard, &w.card, s.clock())
	}
}

// runScript runs a script that may be repeated with the same arguments, and
// does so when the connection fails before the reply is there. lost says that
// an earlier run may have happened. Concurrent scripts share round trips; each
// is repeated by its own caller alone.
func (s *Store) runScript(ctx context.Context, script *redis.Script, keys []string, args []any) (result string, lost bool, err error) {
	words := evalWords("evalsha", script.Hash(), keys, args)
	err = repeat(ctx, func(again bool) error {
		lost = again
		reply := redis.NewCmd(ctx, words...)
		err := s.writes.Do(ctx, reply)
		if redis.HasErrorPrefix(err, "NOSCRIPT") { // Redis was restarted, or its scripts were flushed
			reply = script.Eval(ctx, s.rdb, keys, args...)
			err = reply.Err()
		}
		if err == nil {
			result, err = reply.Text()
		}
		return err
	})
	return result, lost, err
}

// repeat does what may be done twice until it is answered, at most three times.
func repeat(ctx context.Context, do func(again bool) error) (err error) {
	for i := range attempts {
		if err = do(i > 0); err == nil {
			return nil
		}
		if _, answered := errors.AsType[redis.Error](err); answered || ctx.Err() != nil {
			break
		}
	}
	return unavailable(err)
}
