package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// again are the late deletions that were exported with a session that was stored again, by its ID.
	again map[session.ID]string
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
	e := &exporter{ExportConfig: c, clock: redisclock.New(c.Logger), again: map[session.ID]string{}}
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
	return e.revoked(ctx, func(stored *session.Stored, d *Deletion) bool {
		// What was stored again was exported with its deletion, unless both came later.
		return d == nil || stored != nil && !e.late(d) || e.again[d.ID] == d.Tombstone
	})
}

// late says that a deletion may have come since the export began.
func (e *exporter) late(d *Deletion) bool { return d.date() >= e.begun.Add(-dateSlack) }

// dateSlack is how far the date of a tombstone may be off: its writer has its own idea of the store's clock.
const dateSlack = time.Minute

// sessions exports all sessions, shard by shard, by creation date.
func (e *exporter) sessions(ctx context.Context) error {
	for shard := range e.keys.Shards() {
		list := &zlist.List{Redis: e.rdb, Key: e.keys.Created(shard), Range: zlist.Everything}
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
			ids := make([]session.ID, len(chunk))
			for i, entry := range chunk {
				ids[i] = session.ID(entry.Member)
			}
			if err := e.step(ctx, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// step exports the next sessions of a pass.
func (e *exporter) step(ctx context.Context, ids []session.ID) error {
	if err := e.wait(ctx, len(ids)); err != nil {
		return err
	}
	if err := e.standing(ctx, ids, nil); err != nil {
		return err
	}
	e.seen += uint64(len(ids))
	return e.between(ctx)
}

// standing exports what stands under IDs: of each its deletion, if there was one, and then the session, if there is one.
// Those that skip says are left out; nil leaves out none.
func (e *exporter) standing(ctx context.Context, ids []session.ID, skip func(*session.Stored, *Deletion) bool) error {
	found, deleted, err := e.standings(ctx, ids)
	if err != nil {
		return err
	}
	e.line = e.line[:0]
	var n Counts
	for i := range found {
		stored := e.exported(ids[i], &found[i])
		if skip != nil && skip(stored, deleted[i]) {
			continue
		}
		if d := deleted[i]; d != nil {
			if d.Again = stored != nil; d.Again && !e.Follow && e.late(d) {
				e.again[d.ID] = d.Tombstone
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
func (e *exporter) exported(id session.ID, found *cache.Standing) *session.Stored {
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

// revoked exports all deletions, but those that skip says, and all ends.
func (e *exporter) revoked(ctx context.Context, skip func(*session.Stored, *Deletion) bool) error {
	var ids []session.ID
	var names []session.EndName
	export := func(ctx context.Context, least int) error {
		for len(ids) >= least && len(ids) > 0 {
			n := min(len(ids), batch)
			if err := e.standing(ctx, ids[:n], skip); err != nil {
				return err
			}
			ids = ids[n:]
		}
		for len(names) >= least && len(names) > 0 {
			n := min(len(names), batch)
			if err := e.ended(ctx, names[:n]); err != nil {
				return err
			}
			names = names[n:]
		}
		return e.between(ctx)
	}
	err := e.scan(ctx, string([]byte{keys.KindTombstone, keys.KindEnd}), e.wait, func(ctx context.Context, found []string) error {
		for _, key := range found {
			switch kind, _, name, _, ok := e.keys.Spelled(key); {
			case !ok:
			case kind == keys.KindTombstone:
				ids = append(ids, session.ID(name))
			default:
				names = append(names, session.EndName(name))
			}
		}
		return export(ctx, batch)
	})
	if err != nil {
		return err
	}
	return export(ctx, 1)
}

// ended exports ends.
func (e *exporter) ended(ctx context.Context, names []session.EndName) error {
	found, err := e.ends(ctx, names, e.unreadable)
	if err != nil {
		return err
	}
	e.line = e.line[:0]
	var n Counts
	for _, it := range found {
		if it != nil {
			e.line = appendSpecial(e.line, &special{Ended: it})
			n.Ends++
		}
	}
	return e.put(n)
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
