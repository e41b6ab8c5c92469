package transfer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/errgroup"
)

const (
	// retryFor is for how long Redis may be away before an import gives up.
	retryFor = time.Minute
	// Between two attempts the pause doubles from the first to the last.
	firstPause, lastPause = 50 * time.Millisecond, 2 * time.Second
	// writeTimeout bounds one attempt at a write.
	writeTimeout = 5 * time.Second
	// maxConflicts is how often a record may find that somebody else has just written.
	maxConflicts = 50
)

// applyAll stores what comes, as much of it at a time as there is.
func (i *importer) applyAll(ctx context.Context, queue <-chan []record) error {
	for part := range queue {
		for more := true; more && len(part) < batch; {
			select {
			case next, open := <-queue:
				part, more = append(part, next...), open
			default:
				more = false
			}
		}
		for len(part) > 0 {
			n := min(len(part), batch)
			if err := i.apply(ctx, part[:n]); err != nil {
				return err
			}
			part = part[n:]
			i.tally.tell()
		}
	}
	return nil
}

// apply stores records: those of one session one after the other, others at the same time.
func (i *importer) apply(ctx context.Context, records []record) error {
	byName := map[string][]*record{}
	var ids []session.ID
	var ends []session.EndName
	for n := range records {
		r := &records[n]
		name := r.name()
		if r.ended != nil {
			name = "end of " + name // which no session ID is
		}
		if byName[name] == nil {
			if r.ended != nil {
				ends = append(ends, r.ended.Name)
			} else {
				ids = append(ids, session.ID(name))
			}
		}
		byName[name] = append(byName[name], r)
	}
	var found []cache.State
	if err := i.persist(ctx, func(ctx context.Context) (err error) {
		found, err = cache.ReadStates(ctx, i.Redis, i.keys, ids)
		return err
	}); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(writesAtOnce)
	for n, id := range ids {
		mine := byName[string(id)]
		// What need not be written needs no goroutine.
		if len(mine) == 1 && mine[0].deletion == nil && i.settled(mine[0], &found[n]) {
			i.tally.done(mine[0].line)
			continue
		}
		group.Go(func() error { return i.applySession(groupCtx, mine, found[n]) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return i.applyEnds(ctx, ends, byName)
}

// persist does what reads or writes, again and again while Redis is away.
func (i *importer) persist(ctx context.Context, do func(context.Context) error) error {
	begun := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		tryCtx, cancel := context.WithTimeout(ctx, writeTimeout)
		err := do(tryCtx)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, session.ErrUnavailable) || errors.Is(err, cache.ErrUnreadable) || time.Since(begun) > retryFor {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// applySession stores the records of one session, in their order. found is what stood there a moment ago.
func (i *importer) applySession(ctx context.Context, records []*record, found cache.State) error {
	fresh := true
	for _, r := range records {
		err := session.ErrConflict
		for n := 0; errors.Is(err, session.ErrConflict) && n < maxConflicts; n++ {
			err = i.persist(ctx, func(ctx context.Context) error {
				if !fresh {
					now, err := cache.ReadStates(ctx, i.Redis, i.keys, []session.ID{session.ID(r.name())})
					if err != nil {
						return err
					}
					found = now[0]
				}
				fresh = false
				return i.store(ctx, r, &found)
			})
		}
		if errors.Is(err, session.ErrUnavailable) && !errors.Is(err, cache.ErrUnreadable) || ctx.Err() != nil {
			return fmt.Errorf("line %d: %w", r.line, err)
		}
		if err != nil {
			i.fail(r.line, err)
			continue
		}
		i.tally.done(r.line)
	}
	return nil
}

// store stores a record over what was found, and counts it. It answers session.ErrConflict if something else stands
// there now, or if it has only done the deletion so far.
func (i *importer) store(ctx context.Context, r *record, found *cache.State) error {
	if found.Unreadable != nil {
		return fmt.Errorf("session %s: %w: %w", r.name(), cache.ErrUnreadable, found.Unreadable)
	}
	if r.deletion != nil {
		did, err := i.applyDeletion(ctx, r, found)
		if err != nil {
			return err
		}
		if !r.counted {
			i.tally.count(func(n *Imported) { n.add(did, &n.DeletionsApplied, &n.DeletionsKnown) })
			r.counted = true
		}
		switch {
		case r.session == nil:
			return nil
		case did:
			return session.ErrConflict // look again, for the session
		}
	}
	if i.settled(r, found) {
		return nil
	}
	if now := i.Store.Now(); r.session.ExpirationDate <= now {
		return i.expire(ctx, found.Stored, now)
	}
	old := found.Stored
	if old != nil && old.Due(i.Store.Now()) {
		old = nil
	}
	if err := r.session.Validate(i.MaxSessionBytes); err != nil {
		return err
	}
	err := i.Store.Put(ctx, r.session, old)
	switch {
	case err == nil:
		i.tally.count(func(n *Imported) { n.Stored++ })
	case errors.Is(err, session.ErrEnded):
		i.tally.count(func(n *Imported) { n.Ended++ })
	case errors.Is(err, session.ErrDeleted):
		i.tally.count(func(n *Imported) { n.Deleted++ })
	default:
		return err
	}
	return nil
}

// expire removes old, an older version, if it would outlive the newer one, which has expired since it was exported. Like
// every expiration it leaves nothing: a tombstone would delete what the other store, by a clock that is behind, still has.
func (i *importer) expire(ctx context.Context, old *session.Stored, now session.Time) error {
	if old != nil && !old.Due(now) {
		if err := i.Store.ApplyDeletion(ctx, old, "", now); err != nil {
			return err
		}
	}
	i.tally.count(func(n *Imported) { n.Expired++ })
	return nil
}

// add counts one of two.
func (n *Imported) add(first bool, a, b *uint64) {
	if first {
		*a++
	} else {
		*b++
	}
}

// settled says whether nothing is to be written of a session, and counts it then.
func (i *importer) settled(r *record, found *cache.State) bool {
	if r.session == nil || found.Unreadable != nil {
		return false
	}
	var of func(n *Imported) *uint64
	now := i.Store.Now()
	last, known := deletions.SequenceOf(found.Tombstone), uint64(0)
	if r.deletion != nil {
		known = r.deletion.sequence()
	}
	live := found.Stored != nil && !found.Stored.Due(now)
	switch {
	case r.session.ExpirationDate <= now && !(live && compare(r.session, found.Stored) > 0):
		of = func(n *Imported) *uint64 { return &n.Expired }
	case last >= r.session.Sequence && last > 0, last > known:
		// A deletion that the other store does not know of holds, whatever was written there meanwhile.
		of = func(n *Imported) *uint64 { return &n.Deleted }
	case !live:
		return false
	default:
		switch order := compare(r.session, found.Stored); {
		case order > 0:
			return false
		case order == 0:
			of = func(n *Imported) *uint64 { return &n.Unchanged }
		default:
			of = func(n *Imported) *uint64 { return &n.Older }
		}
	}
	i.tally.count(func(n *Imported) { *of(n)++ })
	return true
}

// compare says which of two versions counts: by sequence, else by change date, else by what they say.
func compare(a *session.Session, b *session.Stored) int {
	if order := cmp.Compare(a.Sequence, b.Sequence); order != 0 {
		return order
	}
	doc := session.AppendJSON(make([]byte, 0, len(b.Doc)+64), a)
	if order := bytes.Compare(doc, b.Doc); order != 0 {
		if was, err := session.ParseDoc(b.Doc); err == nil {
			return cmp.Or(cmp.Compare(a.ChangeDate, was.ChangeDate), order)
		}
		return order
	}
	return cmp.Or(strings.Compare(a.Creator, b.Creator), bytes.Compare(a.Token[:], b.Token[:]), compareBools(a.TokenForeign, b.TokenForeign))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// applyDeletion does a deletion. did says that it has written.
func (i *importer) applyDeletion(ctx context.Context, r *record, found *cache.State) (did bool, err error) {
	d, now := r.deletion, i.Store.Now()
	until := session.TimeOf(d.Until)
	if deletions.SequenceOf(found.Tombstone) >= d.sequence() {
		return false, nil
	}
	stored := found.Stored
	switch {
	case until <= now && (stored == nil || stored.Due(now)):
		return false, nil // there is nothing to delete, and the tombstone is forgotten
	case stored == nil:
		return true, i.Store.ApplyDeletion(ctx, &session.Stored{Facts: session.Facts{ID: d.ID}}, d.Tombstone, until)
	case stored.Sequence <= d.sequence() || stored.Due(now):
		// Also if the tombstone has been forgotten since the export: what it deleted stays deleted.
		return true, i.Store.ApplyDeletion(ctx, stored, d.Tombstone, until)
	case r.session != nil || until < now.Add(dateSlack):
		// The other store has stored the session again since; or the deletion is about to be forgotten, here perhaps
		// before there.
		return false, nil
	}
	// What was written here without knowledge of the deletion is deleted, too.
	if _, err = i.Store.Delete(ctx, stored, d.reason()); errors.Is(err, session.ErrNotFound) {
		err = session.ErrConflict // it has ended, or was deleted
	}
	return true, err
}

// reason returns why the session was deleted.
func (d *Deletion) reason() string {
	if fields := strings.Fields(d.Tombstone); len(fields) > 1 {
		return fields[1]
	}
	return "deleted"
}

// applyEnds notes ends.
func (i *importer) applyEnds(ctx context.Context, names []session.EndName, byName map[string][]*record) error {
	if len(names) == 0 {
		return nil
	}
	src := source{rdb: i.Redis, keys: i.keys, now: i.Store.Now}
	var found []*Ended
	if err := i.persist(ctx, func(ctx context.Context) (err error) {
		found, err = src.ends(ctx, names, func(string, error) {})
		if err != nil {
			return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
		}
		return nil
	}); err != nil {
		return err
	}
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(writesAtOnce)
	for n, name := range names {
		have := session.End{}
		if found[n] != nil {
			have = found[n].end()
		}
		want := have
		for _, r := range byName["end of "+string(name)] {
			want = want.Over(r.ended.end())
		}
		write := want != have && want.Until > i.Store.Now()
		group.Go(func() error {
			if write {
				if err := i.persist(groupCtx, func(ctx context.Context) error {
					_, err := i.Store.End(ctx, name, want)
					return err
				}); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range byName["end of "+string(name)] {
				i.tally.count(func(n *Imported) { n.add(write, &n.EndsApplied, &n.EndsKnown) })
				i.tally.done(r.line)
			}
			return nil
		})
	}
	return group.Wait()
}
