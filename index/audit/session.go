package audit

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Where a finding is, other than in a list.
const (
	inSession   = "session"
	inCatalogue = "catalogue"
	inNote      = "note"
)

// listName names a list's kind for people.
func listName(kind byte) string {
	switch kind {
	case keys.KindCreated:
		return "created"
	case keys.KindCreator:
		return "creator"
	case keys.KindUser:
		return "user"
	case keys.KindAgent:
		return "agent"
	case keys.KindToken:
		return "token"
	}
	return inCatalogue
}

// location is where a session has an entry, or should have none.
type location struct {
	where  string
	key    string
	member string
	score  string // "" to remove it
	// named says that it is in the shard of what the list is named after, while
	// the session may be in another.
	named bool
}

// locations returns where a session must have its card and its entries.
func (au *audit) locations(c *index.Card, expiration session.Time) []location {
	shard, id, created := au.Keys.ShardOf(c.ID), string(c.ID), session.Score(c.Creation)
	all := make([]location, 0, 6)
	all = append(
		all,
		location{inCatalogue, au.Keys.Catalogue(shard), c.Pack(), session.Score(expiration), false},
		location{listName(keys.KindCreated), au.Keys.Created(shard), id, created, false},
	)
	if key := c.CreatorList(au.Keys); key != "" {
		all = append(all, location{listName(keys.KindCreator), key, id, created, false})
	}
	for _, key := range c.NamedLists(au.Keys) {
		kind, _, _, _, _ := au.Keys.Spelled(key)
		all = append(all, location{listName(kind), key, c.Member(), created, au.Keys.Shards() > 1})
	}
	return all
}

// inspection is a session that is looked at, and what is wrong with it.
type inspection struct {
	id        session.ID
	kept      Kept
	card      index.Card
	locations []location
	scores    []*redis.FloatCmd
	// what is wrong
	ttl      bool
	faults   []location
	missing  []bool // of each fault: there is no entry, else it has another score
	again    *redis.StringCmd
	outcomes []Outcome // of each fault, and at last of the TTL
	errs     []error
}

// auditSessions looks at every hash.
func (au *audit) auditSessions(ctx context.Context) error {
	var ids []session.ID
	look := func(ctx context.Context) error {
		part := ids
		ids = ids[:0]
		return au.checkSessions(ctx, part)
	}
	err := au.scan(ctx, func(ctx context.Context, found []string) error {
		for _, key := range found {
			kind, _, name, ours, ok := au.Keys.Spelled(key)
			switch {
			case ours && !ok:
				au.found(Finding{Drift: KeyForeign, Where: "key " + key[:len(au.Keys.Prefix())+1]})
			case ok && kind == keys.KindEnd:
				au.report.Ends++
			case ok && kind == keys.KindSession:
				if ids = append(ids, session.ID(name)); len(ids) == auditBatch {
					if err := look(ctx); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err == nil && len(ids) > 0 {
		err = look(ctx)
	}
	return err
}

// checkSessions looks at some sessions: their hash, then their entries, then
// once more whether it is the same version. If it is, it was that version's all
// the while, and a live version has its card and all its entries at every
// instant (I5), so that what was missing is missing.
func (au *audit) checkSessions(ctx context.Context, ids []session.ID) error {
	if err := au.before(ctx, len(ids)); err != nil {
		return err
	}
	live := au.Now().Add(index.ClearAhead)
	all, err := au.read(ctx, ids)
	if err != nil {
		return err
	}
	checks := make([]*inspection, 0, len(ids))
	pipe := au.Costly.Pipeline()
	for i := range all {
		c := &inspection{id: ids[i], kept: all[i]}
		switch {
		case c.kept.Unreadable != nil:
			au.report.Sessions++
			au.found(Finding{Drift: SessionUnreadable, ID: c.id, Where: inSession, Err: c.kept.Unreadable})
			continue
		case c.kept.Stored == nil: // it has gone
			continue
		}
		au.report.Sessions++
		s := c.kept.Stored
		c.card, c.ttl = index.CardOf(s), c.kept.Ends != endsAt(s.Expiration)
		c.locations = au.locations(&c.card, s.Expiration)
		if s.Due(live) { // by its card the sweeper finds it, and takes its entries away
			c.locations = c.locations[:1]
		}
		for _, p := range c.locations {
			c.scores = append(c.scores, pipe.ZScore(ctx, p.key, p.member))
		}
		checks = append(checks, c)
	}
	if err := send(ctx, pipe); err != nil {
		return err
	}
	suspects := checks[:0]
	for _, c := range checks {
		if err := c.compare(); err != nil {
			return err
		}
		if c.ttl || len(c.faults) > 0 {
			suspects = append(suspects, c)
		}
	}
	return au.confirmSessions(ctx, suspects)
}

// compare finds what is wrong with the entries.
func (c *inspection) compare() error {
	for i, p := range c.locations {
		score, err := c.scores[i].Result()
		missing := errors.Is(err, redis.Nil) || isWrongType(err)
		if err != nil && !missing {
			return err
		}
		want, _ := strconv.ParseFloat(p.score, 64)
		if missing || score != want {
			c.faults, c.missing = append(c.faults, p), append(c.missing, missing)
		}
	}
	return nil
}

// endsAt is what PEXPIRETIME answers of a session with this expiration date: its
// end in ms, rounded up as when it is stored; -1 if it never ends.
func endsAt(expiration session.Time) int64 {
	if expiration == session.Never {
		return -1
	}
	return (int64(expiration) + 999) / 1000
}

// confirmSessions drops suspects that have changed, and reports and repairs the
// others.
func (au *audit) confirmSessions(ctx context.Context, suspects []*inspection) error {
	if len(suspects) == 0 {
		return nil
	}
	pipe := au.Costly.Pipeline()
	for _, c := range suspects {
		c.again = pipe.HGet(ctx, au.Keys.Session(c.id), "v")
	}
	if err := send(ctx, pipe); err != nil {
		return err
	}
	var confirmed []*inspection
	for _, c := range suspects {
		v, err := c.again.Result()
		if err != nil && !errors.Is(err, redis.Nil) && !isWrongType(err) {
			return err
		}
		if v == c.kept.Stored.Version {
			c.outcomes, c.errs = make([]Outcome, len(c.faults)+1), make([]error, len(c.faults)+1)
			confirmed = append(confirmed, c)
		}
	}
	var err error
	if au.Repair && len(confirmed) > 0 {
		err = au.repairSessions(ctx, confirmed)
	}
	for _, c := range confirmed {
		if last := len(c.faults); c.ttl {
			au.found(Finding{SessionTTL, c.id, inSession, c.outcomes[last], c.errs[last]})
		}
		for i, p := range c.faults {
			drift := EntryScore
			switch {
			case p.where == inCatalogue && c.missing[i]:
				drift = CardMissing
			case p.where == inCatalogue:
				drift = CardScore
			case c.missing[i]:
				drift = EntryMissing
			}
			au.found(Finding{drift, c.id, p.where, c.outcomes[i], c.errs[i]})
		}
	}
	return err
}

// repairSessions adds what sessions miss, in their own shards by one script
// each, in others as a write does.
func (au *audit) repairSessions(ctx context.Context, checks []*inspection) error {
	var fixes []fix
	var named []*inspection
	for _, c := range checks {
		f := fix{id: c.id, version: c.kept.version(), ends: "-"}
		if c.ttl {
			f.ends = ""
			if ends := endsAt(c.kept.Stored.Expiration); ends >= 0 {
				f.ends = strconv.FormatInt(ends, 10)
			}
		}
		inOthers := false
		for _, p := range c.faults {
			if p.named {
				inOthers = true
			} else {
				f.locations = append(f.locations, p)
			}
		}
		if inOthers {
			named = append(named, c)
		}
		fixes = append(fixes, f)
	}
	results, err := au.runFixes(ctx, fixes)
	if err != nil {
		return err
	}
	for i, c := range checks {
		for j, p := range c.faults {
			if !p.named {
				c.outcomes[j], c.errs[j] = results[i].outcome, results[i].err
			}
		}
		c.outcomes[len(c.faults)], c.errs[len(c.faults)] = results[i].outcome, results[i].err
	}
	for _, c := range named {
		if err := au.addNamed(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// addNamed adds entries in other shards under the tag that the session has, as
// the write with that tag did: it notes that it does, adds them, and ends with
// Condemn, which removes the note and leaves the entries if a stored version has
// the tag. If the session is deleted or replaced meanwhile, Condemn takes them
// away again; if this process dies, the sweeper does it. (I5)
func (au *audit) addNamed(ctx context.Context, c *inspection) error {
	shard := au.Keys.ShardOf(c.id)
	settle := func(o Outcome, err error) {
		for i, p := range c.faults {
			if p.named {
				c.outcomes[i], c.errs[i] = o, err
			}
		}
	}
	now := au.Now()
	err := au.Redis.ZAdd(ctx, au.Keys.Pending(shard), redis.Z{Score: float64(now.Add(time.Minute)), Member: index.AddNote(&c.card)}).Err()
	if err == nil {
		pipe := au.Redis.Pipeline()
		for _, p := range c.faults {
			if p.named {
				pipe.ZAdd(ctx, p.key, redis.Z{Score: float64(c.card.Creation), Member: p.member})
			}
		}
		_, err = pipe.Exec(ctx)
	}
	if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
		return err
	}
	stays, condemnErr := au.Index.Condemn(ctx, shard, &c.card, now)
	if _, answered := errors.AsType[redis.Error](condemnErr); condemnErr != nil && !answered {
		return condemnErr
	}
	switch err = errors.Join(err, condemnErr); {
	case err != nil:
		settle(Failed, err)
	case !stays:
		settle(Skipped, nil)
	default:
		settle(Repaired, nil)
	}
	return nil
}

// plainError keeps a Redis error from naming keys, which may name users. (I6)
func plainError(err error) error {
	if err == nil {
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	code, _, _ := strings.Cut(text, " ")
	return errors.New("Redis refused it: " + code)
}
