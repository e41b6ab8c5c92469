package near

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/push"
	"golang.org/x/sync/errgroup"
)

const (
	// linkTimeout bounds the finding of the masters, and the making of the links.
	linkTimeout = 2 * time.Second
	// Between two attempts the pause doubles from the first to the last.
	firstRelink, lastRelink = 10 * time.Millisecond, time.Second
	// offPause is between two attempts at what cannot be followed.
	offPause = 30 * time.Second
)

// tracker keeps a link to every master that sessions are on, and its proofs
// young. The links are made together and end together: with the first that is
// lost, and with the first master that turns out not to be what it was, all
// copies are worth nothing, the masters are asked for again, and it begins anew.
// A lost link costs a few connections more than it must, and every question of
// what may still be used then has one answer: nothing.
type tracker struct {
	near *Cache
	find findMasters // set by Watch
	log  *slog.Logger
	// tick returns a channel that ticks at this interval, and what stops it.
	tick func(time.Duration) (<-chan time.Time, func())
	// state is what an operator is told while no master is followed.
	state    atomic.Pointer[string]
	followed atomic.Pointer[[]*followedMaster]
	// addresses are those of the masters that were followed last.
	addresses atomic.Pointer[[]string]
	lost      atomic.Uint64
	// deposed is told that a master was found out, by others, not to be one any more.
	deposed chan struct{}
}

func newTracker(n *Cache, log *slog.Logger) *tracker {
	t := &tracker{near: n, log: log, tick: newTick, deposed: make(chan struct{}, 1)}
	t.say("not connected yet")
	return t
}

func newTick(every time.Duration) (<-chan time.Time, func()) {
	ticker := time.NewTicker(every)
	return ticker.C, ticker.Stop
}

func (t *tracker) say(state string) { t.state.Store(&state) }

// following returns the masters that are followed now.
func (t *tracker) following() []*followedMaster {
	if masters := t.followed.Load(); masters != nil {
		return *masters
	}
	return nil
}

// stats returns what is known of each master.
func (t *tracker) stats() (all []MasterStats) {
	if masters := t.following(); len(masters) > 0 {
		for _, m := range masters {
			all = append(all, m.stats())
		}
		return all
	}
	if addresses := t.addresses.Load(); addresses != nil {
		for _, address := range *addresses {
			all = append(all, MasterStats{Address: address, ProofAge: -1, Lag: -1})
		}
	}
	return all
}

// tell returns what an operator is told.
func (t *tracker) tell() string {
	masters := t.following()
	if len(masters) == 0 {
		return *t.state.Load()
	}
	for _, m := range masters {
		if why := m.why.Load(); why != nil {
			return "not used: " + *why
		}
	}
	return "on"
}

// masterLost ends what is known of the masters, at once: one of them is none any more.
func (t *tracker) masterLost() {
	t.near.fresh.lapse()
	select {
	case t.deposed <- struct{}{}:
	default:
	}
}

// run follows the masters until ctx ends, and returns nil then.
func (t *tracker) run(ctx context.Context) error {
	failing := false
	pause := firstRelink
	for {
		up, proven, err := t.follow(ctx, func() {
			if failing {
				t.log.Info("near cache: invalidations come again")
				failing = false
			}
		})
		if ctx.Err() != nil {
			t.say("stopped")
			return nil
		}
		if up {
			t.lost.Add(1)
		}
		if proven {
			pause = firstRelink
		}
		wait := pause
		off, isOff := errors.AsType[*push.OffError](err)
		if isOff {
			wait = offPause
			t.say("off: " + off.Error())
		} else {
			t.say("no connection for invalidations: " + err.Error())
		}
		if !failing {
			failing = true
			if isOff {
				t.log.Warn("near cache is off, every read asks redis", "because", err)
			} else {
				t.log.Warn("near cache: no connection for invalidations, every read asks redis until it is back", "error", err)
			}
		}
		ticks, stop := t.tick(wait)
		t.near.saw(Event{What: "down"})
		select {
		case <-ctx.Done():
		case <-ticks:
		}
		stop()
		pause = min(2*pause, lastRelink)
	}
}

// follow makes the links and keeps them until one of them fails; up says that
// they have been there, proven that copies could be used, which announce is told
// too. When it returns, all copies are worth nothing and all its goroutines have
// ended. (I7)
func (t *tracker) follow(ctx context.Context, announce func()) (up, proven bool, err error) {
	n := t.near
	masters, err := t.connect(ctx)
	if err != nil {
		return false, false, err
	}
	for i, p := range n.fresh.follow(len(masters)) {
		masters[i].proofs = p
	}
	for _, m := range masters {
		m.guard(true)
	}
	addresses := make([]string, len(masters))
	for i, m := range masters {
		addresses[i] = m.address()
	}
	t.addresses.Store(&addresses)
	t.followed.Store(&masters)
	n.source.follow(masters)
	n.epochs.link()
	n.flush() // what the last epoch left is memory for nothing

	var once sync.Once
	group, groupCtx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(groupCtx, func() { closeAll(masters) })
	group.Go(func() error {
		select {
		case <-t.deposed:
			return push.ErrDeposed
		case <-groupCtx.Done():
			return groupCtx.Err()
		}
	})
	for _, m := range masters {
		group.Go(m.read)
		group.Go(func() error { return m.ping(groupCtx) })
		group.Go(func() error {
			return m.prove(groupCtx, func() {
				if n.fresh.proven() {
					once.Do(func() { proven = true; announce() })
				}
			})
		})
	}
	// The group's context ends with the first error: from then on no copy may be
	// used.
	<-groupCtx.Done()
	n.epochs.unlink()
	n.fresh.lapse()
	err = group.Wait()
	stop()
	closeAll(masters)
	n.source.leave(masters)
	for _, m := range masters { // after the epoch of the loads that the guards let pass
		m.guard(false)
	}
	t.followed.Store(nil)
	if n.config.StaleFor == 0 { // else Stale may use them until there are links again
		n.flush()
	}
	if err == nil {
		err = ctx.Err()
	}
	return true, proven, err
}

// connect finds the masters and makes a link to each.
func (t *tracker) connect(ctx context.Context) ([]*followedMaster, error) {
	select {
	case <-t.deposed: // that was before
	default:
	}
	findCtx, cancel := context.WithTimeout(ctx, linkTimeout)
	found, err := t.find(findCtx)
	cancel()
	if err != nil {
		return nil, err
	}
	dialCtx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	tracking := &push.Tracking{Key: t.near.invalidateKey, All: t.near.flush}
	if !t.near.source.byKey {
		tracking.Prefixes = t.near.space.Followed()
	}
	masters := make([]*followedMaster, len(found))
	group, groupCtx := errgroup.WithContext(dialCtx)
	for i, it := range found {
		m := &followedMaster{master: it, tracker: t, index: i}
		masters[i] = m
		group.Go(func() (err error) {
			if m.conn, err = push.Dial(groupCtx, it.link, tracking); err != nil {
				return err
			}
			return m.checkSearches(groupCtx)
		})
	}
	if err := group.Wait(); err != nil {
		closeAll(masters)
		return nil, err
	}
	return masters, nil
}

// closeAll closes the links that there are.
func closeAll(masters []*followedMaster) {
	for _, m := range masters {
		if m.conn != nil {
			m.conn.Close()
		}
	}
}
