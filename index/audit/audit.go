// Package audit looks through all that is stored, sessions, cards, entries and
// notes, finds what does not fit together, and repairs it, beside a live system.
// Look here when an audit reports drift, or when something new is stored that
// must fit: every kind of drift is in drift.go. docs/audit.md says why what it
// reports is none.
//
// It writes with repair.lua, and else through an index.Index, as the sweeper
// does.
package audit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

const (
	// auditBatch is how many sessions are looked at together; each takes about
	// eight commands in a pipeline.
	auditBatch = 100
	// scanCount is about how many keys one SCAN looks at. (I10)
	scanCount = 200
	// scanCost is what a SCAN counts for, in elements, that finds none of our keys.
	scanCost = 10
	// auditLists is how many short lists are read together.
	auditLists = 50
	// suspectsAtOnce is how many entries or cards are confirmed and removed
	// together: as many as one sweep takes.
	suspectsAtOnce = 50
	// noteGrace is how long after its time a note may be there, and how far ahead
	// its time may be: a write sets it a minute ahead.
	noteGrace = 2 * time.Minute
)

// Config says what to audit, and how. Index, Redis, Keys, Read and Now are
// required.
type Config struct {
	// Index removes what the sweeper would remove. It is over the same Redis and
	// Keys.
	Index *index.Index
	// Redis is what repairs use; Costly, and Redis if it is nil, what else is read.
	Redis, Costly redis.UniversalClient
	Keys          *keys.Space
	// Now is the store's clock.
	Now func() session.Time
	// MaxCandidates is how many cards that are due, or notes, a shard may have, so
	// that it can be told what belongs to them; 0 means index.DefaultMaxCandidates.
	MaxCandidates int
	// Read returns what stands under each session ID, at most 250, with Version
	// and EntryTag.
	Read func(ctx context.Context, ids []session.ID) ([]Kept, error)
	// Repair mends what can be mended; else the audit writes nothing.
	Repair bool
	// Pace is asked before n elements are looked at, and may wait; nil never does.
	Pace func(ctx context.Context, n int) error
	// Found is told of every finding; nil is not.
	Found func(*Finding)
	// Progress is told now and then how far the audit is, and how many elements
	// it expects to look at; nil is not.
	Progress func(r *Report, expected uint64)
}

// Kept is what stands under a session's ID.
type Kept struct {
	// Stored is nil if nothing is stored, or nothing readable.
	Stored *session.Stored
	// Unreadable says why it cannot be read; nil if it can, or nothing is there.
	Unreadable error
	// Ends is when Redis will drop it, in ms; -1 for never.
	Ends int64
}

// version is what scripts compare: "" if nothing is stored.
func (k *Kept) version() string {
	if k.Stored == nil {
		return ""
	}
	return k.Stored.Version
}

// Run looks at every stored session, card, entry and note, both ways, beside
// a live system, and reports what does not fit together. What may be a write
// under way is looked at again in an order that tells it apart: nothing is
// reported, let alone removed, that a writer may still need. (I5)
//
// No command touches more than 250 elements (I10), and no more than a few
// thousand are held at a time. If it fails, or ctx ends, the report says what was
// done until then. Any number of audits may run at the same time.
func Run(ctx context.Context, c Config) (*Report, error) {
	au := &audit{Config: c}
	if au.Costly == nil {
		au.Costly = c.Redis
	}
	if au.MaxCandidates == 0 {
		au.MaxCandidates = index.DefaultMaxCandidates
	}
	au.report.Drift = make(map[Drift]DriftCount)
	// Sessions come first, so that what a repair of one leaves behind is found
	// later in the same audit.
	for _, step := range []func(context.Context) error{au.expect, au.auditNotes, au.auditSessions, au.auditCards, au.auditCreated, au.auditLists} {
		if err := step(ctx); err != nil {
			return &au.report, err
		}
	}
	au.report.Complete = true
	au.tell()
	return &au.report, nil
}

// audit is one audit under way.
type audit struct {
	Config
	report   Report
	expected uint64
}

// expect counts what there will be to look at, about.
func (au *audit) expect(ctx context.Context) error {
	pipe := au.Costly.Pipeline()
	counts := make([]*redis.IntCmd, 0, 2*au.Keys.Shards())
	for shard := range au.Keys.Shards() {
		counts = append(counts, pipe.ZCard(ctx, au.Keys.Catalogue(shard)), pipe.ZCard(ctx, au.Keys.Created(shard)))
	}
	if _, err := pipe.Exec(ctx); err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return err
	}
	for i, c := range counts {
		n := uint64(c.Val())
		if i%2 == 1 {
			n *= 5 // its hash, and its entries by creation, creator, user and agent; most sessions have these
		}
		au.expected += n
	}
	return nil
}

// before says that n elements are about to be looked at.
func (au *audit) before(ctx context.Context, n int) error {
	au.tell()
	zlist.Yield()
	if au.Pace != nil {
		return au.Pace(ctx, n)
	}
	return ctx.Err()
}

func (au *audit) tell() {
	if au.Progress != nil {
		r := au.report
		r.Drift = maps.Clone(r.Drift)
		au.Progress(&r, max(au.expected, r.Looked()))
	}
}

func (au *audit) found(f Finding) {
	au.report.add(&f)
	if au.Found != nil {
		au.Found(&f)
	}
}

// read reads sessions, and finds those unreadable that writes could not handle.
func (au *audit) read(ctx context.Context, ids []session.ID) ([]Kept, error) {
	kept, err := au.Read(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i := range kept {
		k := &kept[i]
		if k.Stored == nil {
			continue
		}
		problem := ""
		switch {
		case k.Stored.ID != ids[i]:
			problem = "its document has another session ID"
		case k.Stored.Version == "":
			problem = "it has no version"
		case (k.Stored.EntryTag == "") != (au.Keys.Shards() == 1):
			problem = "its entry tag does not fit the number of shards"
		}
		if problem != "" {
			k.Stored, k.Unreadable = nil, errors.New(problem)
		}
	}
	return kept, nil
}

// scan shows visit all keys under the prefix, some at a time, master by
// master. A key may come twice.
func (au *audit) scan(ctx context.Context, visit func(ctx context.Context, keys []string) error) error {
	masters, err := redisinfo.Masters(ctx, au.Costly)
	if err != nil {
		return err
	}
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(au.Keys.Prefix()) + "*"
	for _, m := range masters {
		for cursor := uint64(0); ; {
			found, next, err := m.Scan(ctx, cursor, pattern, scanCount).Result()
			if err == nil && len(found) == 0 { // it has looked at keys that are not ours
				err = au.before(ctx, scanCost)
			}
			if err != nil {
				return err
			}
			if err := visit(ctx, found); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}

// isWrongType says that a key is not of the type that its name promises.
func isWrongType(err error) bool { return redis.HasErrorPrefix(err, "WRONGTYPE") }

// send runs a pipeline; errors that Redis answers to single commands are not
// its own. One that no command has is that of a connection which was refused:
// nothing was sent.
func send(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	if _, answered := errors.AsType[redis.Error](err); answered && slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return nil
	}
	return err
}
