package cache

import (
	"context"
	_ "embed"
	"errors"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/end.lua
var endLua string

var endScript = redis.NewScript(endLua)

// SetEndsFor tells of each session ID whether such a session can end for good, so that Put refuses it
// from then on, and how long a Delete leaves an end of it, so that no JWT of the session outlives that;
// 0: a Delete leaves none. nil: no session can.
func (s *Store) SetEndsFor(f func(session.ID) (kept time.Duration, ends bool)) { s.endsFor.Store(&f) }

// endsOf is what SetEndsFor was told.
func (s *Store) endsOf(id session.ID) (kept time.Duration, ends bool) {
	if f := s.endsFor.Load(); f != nil && *f != nil {
		return (*f)(id)
	}
	return 0, false
}

// endOf returns the end that a deletion of a session leaves now; ok is false if it leaves none.
func (s *Store) endOf(id session.ID) (e session.End, ok bool) {
	kept, _ := s.endsOf(id)
	return session.End{NotAfter: session.Never, Until: s.clock().Add(kept)}, kept > 0
}

// hasEnded says whether it is remembered that a session has ended for good.
func (s *Store) hasEnded(id session.ID) bool {
	if s.ends.Len() == 0 {
		return false
	}
	if _, ends := s.endsOf(id); !ends {
		return false
	}
	e := s.ends.Over(session.EndOfSession(id), session.End{}, s.clock())
	return e.NotAfter == session.Never && e.Until > s.clock()
}

// End notes that logins have ended, in addition to what is noted already. It may be
// repeated, and goes through on a Redis that is out of memory. It waits for
// Config.RevokeWaitReplicas, as Delete does; this process remembers it. (I4) After
// session.ErrUnavailable it may or may not be noted.
func (s *Store) End(ctx context.Context, name session.EndName, e session.End) (Acknowledged, error) {
	return s.writeEnd(ctx, name, e, true)
}

// writeEnd is End. wait says whether it waits for replicas.
func (s *Store) writeEnd(ctx context.Context, name session.EndName, e session.End, wait bool) (got Acknowledged, err error) {
	now := s.clock()
	if e.Until <= now {
		return got, nil
	}
	s.near.ForgetEnd(name)
	defer s.near.ForgetEnd(name) // I4: also if it is not known whether it happened
	keys := []string{s.keys.End(name)}
	args := []any{int64(e.NotAfter), int64(e.Until), endMillis(e)}
	if wait && s.acks != nil {
		_, got, err = s.acks.run(ctx, endScript, endLua, keys, args)
	} else {
		_, _, err = s.runScript(ctx, endScript, keys, args)
	}
	if err != nil {
		return got, err
	}
	s.ends.Add(name, e, now)
	return got, nil
}

// endMillis is until when Redis keeps an end: no shorter than Until.
func endMillis(e session.End) int64 { return (int64(e.Until) + 999) / 1000 }

// EndedCopy says whether a login has ended, from copies alone. known is false if that cannot
// be told: then Ended knows more.
func (s *Store) EndedCopy(l *session.Login) (ended, known bool) {
	ended, known = s.endNotedCopy(l)
	if l.OIDC != nil && known && !ended && s.followsLogins() {
		return s.sessionEndedCopy(l)
	}
	return ended, known
}

// endNotedCopy is EndedCopy by what was noted alone.
func (s *Store) endNotedCopy(l *session.Login) (ended, known bool) {
	if s.near == nil {
		return false, false
	}
	ofSession, ofUser, ok := s.near.EndCopies(l.Session, l.User)
	if !ok {
		return false, false
	}
	now := s.clock()
	ended = ofSession.Refuses(l.Began, now) || ofUser.Refuses(l.Began, now)
	return ended, !ended || !l.Prolongs(ofSession, now) && !l.Prolongs(ofUser, now)
}

// Ended says whether a login has ended: its session, or by what was noted of its user. It may
// answer from the near cache, as Get does. An end that refuses a token in its last tenth is
// kept for another lifetime: who goes on refreshing at the provider stays out. With Upstream.Tie
// a login that is an OIDC session has also ended if the session that it is part of does not live at upstream.
func (s *Store) Ended(ctx context.Context, l *session.Login) (bool, error) {
	ended, err := s.endNoted(ctx, l)
	if l.OIDC != nil && err == nil && !ended && s.followsLogins() {
		return s.sessionEnded(ctx, l)
	}
	return ended, err
}

// endNoted is Ended by what was noted alone.
func (s *Store) endNoted(ctx context.Context, l *session.Login) (bool, error) {
	names := make([]session.EndName, 0, 2)
	for _, name := range []session.EndName{l.Session, l.User} {
		if name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return false, nil
	}
	read := s.readEndsOf
	if s.near != nil {
		read = s.near.Ends
	}
	ends, err := read(ctx, names)
	if err != nil {
		return false, unavailable(err) // I2
	}
	ended, now := false, s.clock()
	for i, e := range ends {
		if !e.Refuses(l.Began, now) {
			continue
		}
		ended = true
		if l.Prolongs(e, now) {
			// What fails here is tried again with the next token.
			_, _ = s.writeEnd(ctx, names[i], session.End{NotAfter: e.NotAfter, Until: now.Add(l.Lifetime)}, false)
		}
	}
	return ended, nil
}

// EndedStale is EndedCopy for callers of Stale: by what was last known, and how long ago.
func (s *Store) EndedStale(l *session.Login) (ended bool, age time.Duration, ok bool) {
	if s.near == nil || l.OIDC != nil && s.followsLogins() { // no copy of its session is looked at
		return false, 0, false
	}
	ofSession, ofUser, age, ok := s.near.StaleEnds(l.Session, l.User)
	now := s.clock()
	return ofSession.Refuses(l.Began, now) || ofUser.Refuses(l.Began, now), age, ok
}

// readEndsOf reads ends over ordinary connections.
func (s *Store) readEndsOf(ctx context.Context, names []session.EndName) ([]session.End, error) {
	return s.readEnds(ctx, nil, names)
}

// readEnds reads ends, over what the near cache says, and what is remembered of them.
func (s *Store) readEnds(ctx context.Context, over batch.Doer, names []session.EndName) ([]session.End, error) {
	if over == nil {
		over = s.gets
	}
	call := batch.NewCall()
	defer call.Release()
	for _, name := range names {
		call.Add("get", s.keys.End(name))
	}
	if err := over.Do(ctx, call); err != nil {
		return nil, err
	}
	replies, now := call.Replies(), s.clock()
	ends := make([]session.End, len(names))
	for i, name := range names {
		text, _, err := replies.Text()
		if err != nil {
			return nil, err
		}
		if ends[i], err = session.ParseEnd(string(text)); err != nil {
			return nil, err
		}
		ends[i] = s.ends.Over(name, ends[i], now)
	}
	return ends, nil
}

// refusedFor is how long a token is refused without asking again after its session was not found.
const refusedFor = 2 * time.Second

// followsLogins says whether logins of applications are held against their sessions at upstream.
func (s *Store) followsLogins() bool { return s.upstream != nil && s.upstream.ties != nil }

// SessionOf returns the session that a login is part of at upstream, if Ended has found that out.
func (s *Store) SessionOf(l *session.Login) (id session.ID, ok bool) {
	if l.OIDC == nil || !s.followsLogins() {
		return "", false
	}
	tied := l.OIDC.Tied()
	if tied == nil {
		return "", false
	}
	return tied.Session, tied.Session != ""
}

// sessionEnded says whether the session has ended that an OIDC session is part of, for whatever reason; also one of another
// user. One that the session API does not know is asked nothing of.
func (s *Store) sessionEnded(ctx context.Context, l *session.Login) (bool, error) {
	if l.OIDC.Refused(s.clock()) {
		return true, nil
	}
	tied := l.OIDC.Tied()
	if tied == nil {
		tie, err := s.upstream.ties.Of(ctx, l.OIDC.ID)
		if err != nil {
			return false, err
		}
		tied = l.OIDC.Tie(tie)
	}
	switch {
	case tied.User != l.OIDC.User:
		return true, nil
	case tied.Session == "":
		return false, nil
	}
	of := l.PartOf(tied)
	ended, err := s.endNoted(ctx, &of)
	if ended || err != nil {
		return ended, err
	}
	stored, err := s.lively(s.Get(ctx, tied.Session))
	switch {
	case errors.Is(err, session.ErrUnavailable):
		return false, err
	case errors.Is(err, session.ErrNotFound):
		l.OIDC.Refuse(s.clock().Add(refusedFor))
		return true, nil
	case err != nil:
		return false, unavailable(err)
	}
	return stored.UserID != l.OIDC.User, nil
}

// sessionEndedCopy is sessionEnded from copies alone, as EndedCopy.
func (s *Store) sessionEndedCopy(l *session.Login) (ended, known bool) {
	now := s.clock()
	if l.OIDC.Refused(now) {
		return true, true
	}
	tied := l.OIDC.Tied()
	switch {
	case tied == nil:
		return false, false
	case tied.User != l.OIDC.User:
		return true, true
	case tied.Session == "":
		return false, true
	}
	of := l.PartOf(tied)
	if ended, known = s.endNotedCopy(&of); ended || !known {
		return ended, known
	}
	stored, ok := s.near.Held(tied.Session)
	if !ok {
		return false, false
	}
	answers, again := s.upstream.answers(stored, now)
	if again {
		s.askAhead(tied.Session)
	}
	return answers && stored.UserID != l.OIDC.User, answers
}
