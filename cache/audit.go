package cache

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// AuditConfig says how to audit a store.
type AuditConfig struct {
	// Repair mends what can be mended; else the audit writes nothing.
	Repair bool
	// Rate is how many elements are looked at in a second, sessions, cards,
	// entries and notes; 0 has no limit. A session has about six.
	Rate int
	// Found is told of every finding, Progress now and then how far the audit is;
	// nil is not.
	Found    func(*audit.Finding)
	Progress func(r *audit.Report, expected uint64)
}

// auditBurst is how many elements are looked at at once, at most: as many as
// one step of an audit has.
const auditBurst = 250

// Audit looks at all that the store keeps, beside whatever else goes on, reports
// what does not fit together, and repairs it if asked to, as audit.Run
// says. The report is there, as far as it got, beside an error, too. Its reads
// use the connections of costly searches, one at a time.
func (s *Store) Audit(ctx context.Context, c AuditConfig) (*audit.Report, error) {
	a := audit.Config{
		Index: s.index, Redis: s.rdb, Costly: s.costly, Keys: s.keys, Now: s.clock, MaxCandidates: s.maxCandidates,
		Read: s.readKept, Repair: c.Repair, Found: c.Found, Progress: c.Progress,
	}
	if c.Rate > 0 {
		a.Pace = rate.NewLimiter(rate.Limit(c.Rate), auditBurst).WaitN
	}
	r, err := audit.Run(ctx, a)
	if err != nil {
		return r, unavailable(err)
	}
	return r, nil
}

// readKept reads what stands under session IDs, and until when. A session that
// comes while it reads may be there or not.
func (s *Store) readKept(ctx context.Context, ids []session.ID) ([]audit.Kept, error) {
	kept, odd, err := s.readKeptOnce(ctx, ids)
	if err != nil || len(odd) == 0 {
		return kept, err
	}
	// A key that had no fields, and was there a moment later: one that has just
	// been written has some now.
	again := make([]session.ID, len(odd))
	for i, at := range odd {
		again[i] = ids[at]
	}
	second, still, err := s.readKeptOnce(ctx, again)
	if err != nil {
		return nil, err
	}
	for i, at := range odd {
		kept[at] = second[i]
	}
	for _, i := range still {
		kept[odd[i]].Unreadable = errors.New("it has no document")
	}
	return kept, nil
}

// readKeptOnce reads in one round trip; odd are the positions of keys that had
// none of our fields and were there all the same.
func (s *Store) readKeptOnce(ctx context.Context, ids []session.ID) (kept []audit.Kept, odd []int, err error) {
	fields := make([]*redis.SliceCmd, len(ids))
	ends := make([]*redis.IntCmd, len(ids))
	_, unsent := s.costly.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each reply has its error
		for i, id := range ids {
			key := s.keys.Session(id)
			fields[i] = pipe.HMGet(ctx, key, fieldDoc, fieldVersion, fieldTag)
			ends[i] = redis.NewIntCmd(ctx, "pexpiretime", key)
			_ = pipe.Process(ctx, ends[i]) // only takes it
		}
		return nil
	})
	kept = make([]audit.Kept, len(ids))
	for i := range ids {
		values, err := repliesTo(fields[i], unsent)
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			kept[i].Unreadable = errors.New("its key has another type")
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if kept[i].Ends, err = ends[i].Result(); err != nil {
			return nil, nil, err
		}
		switch doc, version, tag := textOf(values[0]), textOf(values[1]), textOf(values[2]); {
		case doc != "":
			stored, err := storedOf(doc)
			if err != nil {
				kept[i].Unreadable = err
				continue
			}
			stored.Version, stored.EntryTag = version, tag
			kept[i].Stored = stored
		case version != "" || tag != "":
			kept[i].Unreadable = errors.New("it has no document")
		case kept[i].Ends != noKey:
			odd = append(odd, i)
		}
	}
	return kept, odd, nil
}

// noKey is what PEXPIRETIME answers if there is no such key.
const noKey = -2
