package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisclock"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// Sink takes the lines of an export.
type Sink interface {
	// Write takes whole lines, and keeps none of b.
	Write(b []byte) (int, error)
	// Flush has all that was written be where it goes.
	Flush() error
}

// ExportConfig says what to export, and how. Redis and To are required.
type ExportConfig struct {
	// Redis reads from masters.
	Redis redis.UniversalClient
	// Prefix begins every key; default keys.DefaultPrefix.
	Prefix string
	// Shards is the number of shards that must be recorded; 0 takes any.
	Shards int
	// ClientName begins the names of the connections for changes, in CLIENT LIST.
	ClientName string
	To         Sink
	// Rate is how many sessions are read in a second; 0 has no limit.
	Rate int
	// Resume is where an export that was cut off goes on; nil begins.
	Resume *Resume
	// Follow goes on with all changes until ctx ends.
	Follow bool
	// Progress is told now and then how far the export is; nil is not.
	Progress func(ExportProgress)
	// Unreadable is told what cannot be read, and is left out; nil is not.
	Unreadable func(what string, err error)
	// Logger hears of links that break; default slog.Default().
	Logger *slog.Logger
	// marks is how often it is proven, and said, up to when nothing is missing; default markEvery.
	marks time.Duration
}

// ExportProgress is how far an export is.
type ExportProgress struct {
	Counts
	// Seen is how many sessions were looked at in this pass, Expected how many there are, about.
	Seen, Expected uint64
	// CaughtUp is up to when all changes are exported, by the store's clock; zero before the first pass is done.
	CaughtUp time.Time
}

// Exported is what an export has done.
type Exported struct {
	Counts
	// Copies are sessions of a ZITADEL, which are not exported: they are read from there again.
	Copies uint64
	// Unreadable is how many sessions and ends could not be read.
	Unreadable uint64
	// Passes is how many times an export that follows changes has exported everything.
	Passes uint64
}

// ErrTooLong says that an export was away for longer than deletions are remembered.
var ErrTooLong = fmt.Errorf("more than %v have passed, so that deletions may have been forgotten meanwhile; begin anew, and import into an empty store", resumeFor)

// resumeFor is how long after its beginning an export may be resumed, and how long one that follows changes may be
// without a link: a little less than tombstones last.
const resumeFor = deletions.TombstoneFor - time.Hour

// Export writes all that must survive a move: sessions, deletions and ends. It only reads from Redis, and needs no
// Store. Lines of sessions that are read from Redis are whole versions; a session that lives all the while, with one
// creation date, is exported exactly once. No session is exported that was deleted before Export began.
//
// An export that follows changes ends well when ctx does; else the end of ctx is an error.
func Export(ctx context.Context, c ExportConfig) (*Exported, error) {
	e, err := newExporter(ctx, &c)
	if err != nil {
		return &Exported{}, err
	}
	if c.Follow {
		err = e.followChanges(ctx)
	} else {
		err = e.once(ctx)
	}
	if err == nil {
		err = e.end()
	}
	return &e.done, err
}

// exporter is an export under way.
type exporter struct {
	*ExportConfig
	source
	begun session.Time
	pace  func(context.Context, int) error
	clock clock
	// measured is when the clock was.
	measured time.Time
	done     Exported
	seen     uint64
	expected uint64
	caughtUp session.Time
	line     []byte
	// recreated are the deletions since the export began that were exported together with a session that was stored again, by its ID.
	recreated map[session.ID]string
	// lost is why lines cannot be written any more.
	lost error
	// between is called between batches; an error of it ends the pass.
	between func(context.Context) error
}

func newExporter(ctx context.Context, c *ExportConfig) (*exporter, error) {
	c.Prefix = cmp.Or(c.Prefix, keys.DefaultPrefix)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.marks = cmp.Or(c.marks, markEvery)
	shards, recorded, err := cache.Recorded(ctx, c.Redis, c.Prefix)
	switch {
	case err != nil:
		return nil, err
	case !recorded:
		return nil, fmt.Errorf("there is no store under the key prefix %q", c.Prefix)
	case c.Shards != 0 && c.Shards != shards:
		return nil, fmt.Errorf("the sessions under the key prefix %q are spread over %d shards, not %d; leave --redis-shards out", c.Prefix, shards, c.Shards)
	}
	e := &exporter{ExportConfig: c, clock: redisclock.New(c.Logger), recreated: map[session.ID]string{}}
	e.rdb, e.now = c.Redis, e.clock.Now
	if e.keys, err = keys.NewSpace(c.Prefix, shards); err != nil {
		return nil, err
	}
	for range 3 {
		if err := e.measure(ctx); err != nil {
			return nil, err
		}
	}
	e.pace = func(ctx context.Context, _ int) error { return ctx.Err() }
	if c.Rate > 0 {
		e.pace = rate.NewLimiter(rate.Limit(c.Rate), max(batch, c.Rate/10)).WaitN
	}
	if e.expected, err = e.count(ctx); err != nil {
		return nil, err
	}
	e.begun = e.now()
	e.between = func(context.Context) error { return nil }
	if c.Resume != nil {
		return e, e.resume()
	}
	return e, e.writeHeader()
}

func (e *exporter) writeHeader() error {
	return e.write(&special{Header: &Header{
		Version: formatVersion, Date: e.begun.Std(), Prefix: e.Prefix, Shards: e.keys.Shards(), Sessions: e.expected, Follow: e.Follow,
	}})
}

// measure asks for the store's time.
func (e *exporter) measure(ctx context.Context) error {
	e.measured = time.Now()
	return e.clock.Measure(ctx, e.rdb)
}

// wait waits until n more sessions may be read.
func (e *exporter) wait(ctx context.Context, n int) error {
	if time.Since(e.measured) > clockEvery {
		if err := e.measure(ctx); err != nil {
			return err
		}
	}
	e.tell()
	return e.pace(ctx, n)
}

func (e *exporter) tell() {
	if e.Progress == nil {
		return
	}
	p := ExportProgress{Counts: e.done.Counts, Seen: e.seen, Expected: max(e.expected, e.seen)}
	if e.caughtUp > 0 {
		p.CaughtUp = e.caughtUp.Std()
	}
	e.Progress(p)
}

// once exports sessions, and then deletions and ends: what is deleted while the sessions are read is among these.
func (e *exporter) once(ctx context.Context) error {
	if err := e.sessions(ctx); err != nil {
		return err
	}
	if err := e.revokedOnce(ctx, func(_ int, stored *session.Stored, d *Deletion) bool {
		// What was stored again was exported with its deletion, unless both came later.
		return d == nil || stored != nil && !e.sinceBegun(d) || e.recreated[d.ID] == d.Tombstone
	}); err != nil {
		return err
	}
	// A session that was read at the beginning and deleted soon after must still have its tombstone.
	if e.now().Sub(e.begun) > resumeFor {
		return fmt.Errorf("the export began on %s: %w", e.begun.Std().Format(time.RFC3339), ErrTooLong)
	}
	return nil
}

// sinceBegun says that a deletion may have come since the export began.
func (e *exporter) sinceBegun(d *Deletion) bool { return d.date() >= e.begun.Add(-dateSlack) }

// dateSlack is how far the date of a tombstone may be off: its writer has its own idea of the store's clock.
const dateSlack = time.Minute

// sessions exports all sessions, shard by shard, by creation date.
func (e *exporter) sessions(ctx context.Context) error {
	for shard := range e.keys.Shards() {
		list := &zlist.List{Redis: e.rdb, Key: e.keys.Created(shard), Range: zlist.Everything}
		moved := map[session.ID]session.Time{}
		if r := e.Resume; r != nil && r.any {
			if shard < r.shard {
				continue
			}
			if shard == r.shard {
				list.Behind(r.last)
			}
		}
		for {
			chunk, err := list.NextChunk(ctx)
			if err != nil {
				return err
			}
			if len(chunk) == 0 {
				break
			}
			if err := e.step(ctx, chunk, moved); err != nil {
				return err
			}
		}
		// Those that were not met at a new place have come late, or have an entry that does not fit. They, too, come in the
		// order in which a Resume goes on.
		left := slices.SortedFunc(maps.Keys(moved), func(a, b session.ID) int {
			return cmp.Or(cmp.Compare(moved[a], moved[b]), cmp.Compare(a, b))
		})
		for ids := range slices.Chunk(left, batch) {
			if err := e.exportIDs(ctx, ids, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// step exports the next sessions of a pass. A session that has got a later creation date since its entry was read is left
// for its new place, and in moved until then: here it would have a Resume go on behind that place.
func (e *exporter) step(ctx context.Context, chunk []zlist.Entry, moved map[session.ID]session.Time) error {
	ids := make([]session.ID, len(chunk))
	for i, entry := range chunk {
		ids[i] = session.ID(entry.Member)
	}
	if err := e.wait(ctx, len(ids)); err != nil {
		return err
	}
	if err := e.exportIDs(ctx, ids, func(i int, stored *session.Stored, _ *Deletion) bool {
		if stored != nil && stored.Creation > chunk[i].At {
			moved[ids[i]] = stored.Creation
			return true
		}
		delete(moved, ids[i])
		return false
	}); err != nil {
		return err
	}
	e.seen += uint64(len(ids))
	return e.between(ctx)
}

// skipFunc says whether an ID, the session that is stored and its deletion, each of which may be nil, are left out.
type skipFunc func(i int, stored *session.Stored, d *Deletion) bool

// exportIDs exports what Redis has for IDs: of each its deletion, if there was one, and then the session, if there is one.
// Those that skip says are left out; nil leaves out none.
func (e *exporter) exportIDs(ctx context.Context, ids []session.ID, skip skipFunc) error {
	found, deleted, err := e.states(ctx, ids)
	if err != nil {
		return err
	}
	e.line = e.line[:0]
	var n Counts
	for i := range found {
		stored := e.exported(ids[i], &found[i])
		if skip != nil && skip(i, stored, deleted[i]) {
			continue
		}
		if d := deleted[i]; d != nil {
			if d.Recreated = stored != nil; d.Recreated && !e.Follow && e.sinceBegun(d) {
				e.recreated[d.ID] = d.Tombstone
			}
			e.line = appendSpecial(e.line, &special{Deletion: d})
			n.Deletions++
		}
		if stored != nil {
			e.line = append(session.AppendGivenJSON(e.line, stored), '\n')
			n.Sessions++
		}
	}
	return e.put(n)
}

// exported returns the session to export, nil if there is none.
func (e *exporter) exported(id session.ID, found *cache.State) *session.Stored {
	stored := found.Stored
	switch {
	case found.Unreadable != nil:
		e.unreadable("session "+string(id), found.Unreadable)
	case stored == nil || stored.Due(e.now()):
	case stored.CheckedAt != 0:
		e.done.Copies++
	case stored.ID != id:
		e.unreadable("session "+string(id), errors.New("its document has another session ID"))
	default:
		return stored
	}
	return nil
}

// put writes e.line, which has so many lines.
func (e *exporter) put(n Counts) error {
	if len(e.line) == 0 {
		return nil
	}
	if err := e.writeTo(e.line); err != nil {
		return err
	}
	e.done.Sessions += n.Sessions
	e.done.Deletions += n.Deletions
	e.done.Ends += n.Ends
	return nil
}

func (e *exporter) unreadable(what string, err error) {
	e.done.Unreadable++
	if e.Unreadable != nil {
		e.Unreadable(what, err)
	}
}

// write writes one line that is no session, deletion or end.
func (e *exporter) write(s *special) error { return e.writeTo(appendSpecial(nil, s)) }

// writeTo writes lines.
func (e *exporter) writeTo(lines []byte) error {
	_, e.lost = e.To.Write(lines)
	return e.lost
}

// flush has all lines be where they go.
func (e *exporter) flush() error {
	e.lost = e.To.Flush()
	return e.lost
}

// end writes the trailer.
func (e *exporter) end() error {
	if err := e.write(&special{Trailer: &Trailer{e.done.Counts, e.now().Std()}}); err != nil {
		return err
	}
	e.tell()
	return e.flush()
}
