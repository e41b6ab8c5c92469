package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"runtime"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// ImportConfig says what to import, and how. Store, Redis, MaxSessionBytes and From are required.
type ImportConfig struct {
	Store *cache.Store
	// Redis reads from masters.
	Redis redis.UniversalClient
	// Prefix is that of the store; default keys.DefaultPrefix.
	Prefix string
	// MaxSessionBytes is how many bytes a session may have.
	MaxSessionBytes int
	From            io.Reader
	// FromLine is the first line that is imported, 1 or 0 for all. Those before are counted only.
	FromLine uint64
	// Rate is how many lines are taken in a second; 0 has no limit.
	Rate int
	// Copies says that the sessions of the store are copies of a ZITADEL's: then none is imported.
	Copies bool
	// Old takes an export that is older than deletions are remembered.
	Old bool
	// Progress is told now and then how far the import is; nil is not.
	Progress func(ImportProgress)
	// Failed is told of lines that are not imported, and why; nil is not. It may be called concurrently.
	Failed func(line uint64, err error)
}

// Imported is what an import has done.
type Imported struct {
	// Stored are sessions that were stored. The others were not: Unchanged were there already, of Older a newer
	// version was, Expired have ended, Deleted and Ended were revoked here.
	Stored, Unchanged, Older, Expired, Deleted, Ended uint64
	// DeletionsApplied are deletions that were done here, DeletionsKnown those that were known, or are forgotten.
	DeletionsApplied, DeletionsKnown uint64
	// EndsApplied are ends that were noted, EndsKnown those that were there already, or are forgotten.
	EndsApplied, EndsKnown uint64
	// Failed are lines that could not be imported.
	Failed uint64
	// Lines is how many lines from the first on are dealt with.
	Lines uint64
}

// ImportProgress is how far an import is.
type ImportProgress struct {
	Imported
	// Expected is about how many sessions come, as the header says.
	Expected uint64
	// CaughtUp is up to when all changes of the other store are here, by its clock; zero if that is not known.
	CaughtUp time.Time
}

// ErrCutOff says that the lines have no trailer: some are missing.
var ErrCutOff = errors.New("the export is cut off: its trailer is missing")

const (
	// chunkLines is how many lines are decoded together at most, chunkBytes the length from which on a chunk takes no
	// further line, chunksAhead how many chunks are read ahead.
	chunkLines, chunkBytes, chunksAhead = 128, 256 << 10, 16
	// appliers is how many goroutines store, each the lines of its sessions, in their order; each has so many batches
	// waiting, and writes so many sessions at a time.
	appliers, appliersAhead, writesAtOnce = 8, 4, 16
	// maxLineExtra is how much longer a line may be than twice a session: escapes, creator and token.
	maxLineExtra = 4096
)

// Import stores the lines of an Export. What is stored already is not written, so that it may be done again, and any
// number of Imports may run beside each other and beside all else: an older version replaces no newer one, and what was
// deleted here or there does not come back. Of two versions with one sequence the one with the later change date
// counts, and of two such the greater document. A newer version that has expired meanwhile ends the older one.
//
// A line that cannot be imported costs only itself, and counts as Failed. When Redis is full or away for long, or ctx
// ends, the error is that; Imported.Lines says how far it has come.
func Import(ctx context.Context, c ImportConfig) (*Imported, error) {
	c.Prefix = cmp.Or(c.Prefix, keys.DefaultPrefix)
	space, err := keys.NewSpace(c.Prefix, c.Store.Shards())
	if err != nil {
		return &Imported{}, err
	}
	i := &importer{ImportConfig: &c, keys: space, seed: maphash.MakeSeed(), tally: newTally(c.Progress)}
	i.pace = func(ctx context.Context, _ int) error { return ctx.Err() }
	if c.Rate > 0 {
		i.pace = rate.NewLimiter(rate.Limit(c.Rate), max(chunkLines, c.Rate/10)).WaitN
	}
	err = i.run(ctx)
	done := i.tally.snapshot()
	return &done, err
}

// importer is an import under way.
type importer struct {
	*ImportConfig
	keys  *keys.Space
	seed  maphash.Seed
	pace  func(context.Context, int) error
	tally *tally

	// broken is why there are no further lines, nil at their end; read sets it before it ends.
	broken error

	// What the lines were until now; only dispatch uses it.
	header  *Header
	trailer *Trailer
	counts  Counts
	// pending is a deletion whose session's line is the next.
	pending *record
}

// record is what is stored together: a session, a deletion, both, or an end.
type record struct {
	line     uint64 // its last one
	deletion *Deletion
	session  *session.Session
	ended    *Ended
	// counted says that the deletion is.
	counted bool
}

// name says whose a record is: records of one name are stored in their order.
func (r *record) name() string {
	switch {
	case r.session != nil:
		return string(r.session.ID)
	case r.deletion != nil:
		return string(r.deletion.ID)
	}
	return string(r.ended.Name)
}

// run reads, decodes and stores.
func (i *importer) run(ctx context.Context) error {
	ordered, undecoded := make(chan *chunk, chunksAhead), make(chan *chunk, chunksAhead)
	queues := make([]chan []record, appliers)
	group, groupCtx := errgroup.WithContext(ctx) // I7
	group.Go(func() error {
		defer close(ordered)
		defer close(undecoded)
		return i.read(groupCtx, ordered, undecoded)
	})
	for range max(2, runtime.GOMAXPROCS(0)) {
		group.Go(func() error {
			for c := range undecoded {
				c.decode(i.FromLine)
			}
			return nil
		})
	}
	for n := range queues {
		queues[n] = make(chan []record, appliersAhead)
		group.Go(func() error { return i.applyAll(groupCtx, queues[n]) })
	}
	group.Go(func() error {
		defer func() {
			for _, q := range queues {
				close(q)
			}
		}()
		return i.dispatch(groupCtx, ordered, queues)
	})
	err := group.Wait()
	i.tally.tell()
	switch {
	case err != nil:
		return err
	case i.broken != nil:
		return i.broken
	case i.header == nil:
		return fmt.Errorf("there is no line: %w", ErrCutOff)
	case i.trailer == nil:
		return ErrCutOff
	case i.trailer.Counts != i.counts:
		return fmt.Errorf("lines are missing: there are %d sessions, %d deletions and %d ends, and the trailer says %d, %d and %d",
			i.counts.Sessions, i.counts.Deletions, i.counts.Ends, i.trailer.Sessions, i.trailer.Deletions, i.trailer.Ends)
	}
	return nil
}

// dispatch takes the lines in their order, and hands each to the goroutine that stores those of its session.
func (i *importer) dispatch(ctx context.Context, ordered <-chan *chunk, queues []chan []record) error {
	for {
		var c *chunk
		var more bool
		select {
		case c, more = <-ordered:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !more {
			return nil
		}
		select {
		case <-c.decoded:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := i.pace(ctx, c.from(i.FromLine)); err != nil {
			return err
		}
		parts := make([][]record, len(queues))
		for n := range c.lines {
			r, err := i.take(&c.lines[n])
			if err != nil {
				return err
			}
			if r != nil {
				to := maphash.String(i.seed, r.name()) % uint64(len(queues))
				parts[to] = append(parts[to], *r)
			}
		}
		for to, part := range parts {
			if len(part) == 0 {
				continue
			}
			select {
			case queues[to] <- part:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		i.tally.tell()
	}
}

// take returns what is to be stored of a line, nil if that is nothing.
func (i *importer) take(l *line) (*record, error) {
	pending := i.pending
	i.pending = nil
	switch {
	case pending == nil:
	case l.number < i.FromLine:
		i.tally.done(pending.line)
		pending = nil
	case l.session == nil || l.session.ID != pending.deletion.ID:
		// The session's line is damaged. It must not be stored without its deletion, and that alone would
		// delete what was stored again.
		i.fail(pending.line, errors.New("the line of its session does not follow"))
		pending = nil
	}
	switch {
	case i.trailer != nil:
		return nil, fmt.Errorf("line %d: there is a line behind the trailer", l.number)
	case i.header == nil:
		return nil, i.begin(l)
	case l.err != nil:
		switch {
		case l.kind == sessionLine:
			i.counts.Sessions++
		case l.special.Deletion != nil:
			i.counts.Deletions++
		case l.special.Ended != nil:
			i.counts.Ends++
		}
		i.fail(l.number, l.err)
		return nil, nil
	}
	r := &record{line: l.number}
	switch s := l.special; {
	case l.kind == sessionLine:
		i.counts.Sessions++
		if l.session == nil {
			break
		}
		if i.Copies {
			return nil, fmt.Errorf("line %d is a session: with --upstream-url the sessions here are copies of ZITADEL's, and come from there; only deletions and ends can be imported", l.number)
		}
		r.session = l.session
		if pending != nil {
			r.deletion = pending.deletion
			i.tally.done(pending.line)
		}
		return r, nil
	case s.Deletion != nil:
		i.counts.Deletions++
		if r.deletion = s.Deletion; r.deletion.Recreated && !i.Copies {
			i.pending = r
			return nil, nil
		}
		if l.number >= i.FromLine {
			return r, nil
		}
	case s.Ended != nil:
		i.counts.Ends++
		if r.ended = s.Ended; l.number >= i.FromLine {
			return r, nil
		}
	case s.Mark != nil:
		i.tally.mark(l.number, s.Mark)
	case s.Trailer != nil:
		i.trailer = s.Trailer
	default:
		return nil, fmt.Errorf("line %d: there is a second header: each export is imported alone", l.number)
	}
	i.tally.done(l.number)
	return nil, nil
}

// begin takes the header.
func (i *importer) begin(l *line) error {
	if l.header == nil {
		return l.err
	}
	i.header = l.header
	i.tally.expect(l.header.Sessions)
	now := i.Store.Now()
	if age := now.Sub(session.TimeOf(l.header.Date)); age > resumeFor && !i.Old {
		return fmt.Errorf("the export is %v old, and deletions are remembered for 24 h only: what was revoked since, here or there, could come back; make a new export, or import with --old into a store in which nobody has revoked anything since", age.Round(time.Minute))
	}
	i.tally.done(l.number)
	return nil
}

// fail counts a line that is not imported.
func (i *importer) fail(line uint64, err error) {
	if i.Failed != nil {
		i.Failed(line, err)
	}
	i.tally.count(func(n *Imported) { n.Failed++ })
	i.tally.done(line)
}
