package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// linkTimeout bounds the making of a link.
	linkTimeout = 5 * time.Second
	// Between two attempts the pause doubles from the first to the last.
	firstRelink, lastRelink = 10 * time.Millisecond, time.Second
	// noTrackingPause is between two attempts at a server without tracking.
	noTrackingPause = 30 * time.Second
)

// tracker keeps the link up and its proofs young. While there is no link, every
// copy is worth nothing.
type tracker struct {
	near *near
	rdb  *redis.Client
	// options say where the link goes: where rdb goes.
	options *redis.Options
	log     *slog.Logger
	// tick returns a channel that ticks at this interval, and what stops it.
	tick func(time.Duration) (<-chan time.Time, func())
	// state is what an operator is told.
	state atomic.Pointer[string]
	lag   atomic.Int64 // ns that the newest answer on the link took
	lost  atomic.Uint64
}

func newTracker(n *near, rdb *redis.Client, log *slog.Logger) *tracker {
	t := &tracker{near: n, rdb: rdb, options: rdb.Options(), log: log, tick: newTick}
	t.say("not connected yet")
	return t
}

func newTick(every time.Duration) (<-chan time.Time, func()) {
	ticker := time.NewTicker(every)
	return ticker.C, ticker.Stop
}

func (t *tracker) say(state string) { t.state.Store(&state) }

// run keeps a link until ctx ends, and returns nil then.
func (t *tracker) run(ctx context.Context) error {
	failing := false
	pause := firstRelink
	for {
		up, err := t.keep(ctx, func() {
			if failing {
				t.log.Info("near cache: the connection for invalidations is back")
				failing = false
			}
		})
		if ctx.Err() != nil {
			t.say("stopped")
			return nil
		}
		if up {
			t.lost.Add(1)
			pause = firstRelink
		}
		wait := pause
		noTracking, unsupported := errors.AsType[*errNoTracking](err)
		if unsupported {
			wait = noTrackingPause
			t.say("off: " + noTracking.Error())
		} else {
			t.say("no connection for invalidations: " + err.Error())
		}
		if !failing {
			failing = true
			if unsupported {
				t.log.Warn("near cache is off, every read asks redis", "because", err)
			} else {
				t.log.Warn("near cache: no connection for invalidations, every read asks redis until it is back", "error", err)
			}
		}
		ticks, stop := t.tick(wait)
		t.near.saw("down")
		select {
		case <-ctx.Done():
		case <-ticks:
		}
		stop()
		pause = min(2*pause, lastRelink)
	}
}

// keep makes a link and keeps it until it fails; up says that it has been up.
// When it returns, all copies are worth nothing and all its goroutines have
// ended. (I7)
func (t *tracker) keep(ctx context.Context, announce func()) (up bool, err error) {
	n := t.near
	dialCtx, cancel := context.WithTimeout(ctx, linkTimeout)
	l, err := dialLink(dialCtx, t.options, n.space.Followed(), n.invalidateKey, n.flush)
	cancel()
	if err != nil {
		return false, err
	}
	n.fresh.lapse()
	n.epochs.link()
	n.flush() // what the last epoch left is memory for nothing
	t.say("on")
	announce()

	group, groupCtx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(groupCtx, func() { _ = l.conn.Close() })
	group.Go(func() error { return t.read(l) })
	group.Go(func() error { return t.ping(groupCtx, l) })
	group.Go(func() error { return t.proveMaster(groupCtx, l) })
	// The group's context ends with the first error; whoever saw it, from then
	// on nothing may be used.
	<-groupCtx.Done()
	n.epochs.unlink()
	n.fresh.lapse()
	err = group.Wait()
	stop()
	_ = l.conn.Close()
	if n.staleFor == 0 { // else Stale may use them until there is a link again
		n.flush()
	}
	if err == nil {
		err = ctx.Err()
	}
	return true, err
}

// read applies what comes, and takes answers as proofs.
func (t *tracker) read(l *link) error {
	for {
		sent, err := l.answered()
		if err != nil {
			return err
		}
		t.near.fresh.proveLink(sent)
		t.lag.Store(int64(t.near.fresh.clock() - sent))
		t.near.saw("link")
	}
}

// ping asks every bound/4, from the first moment on. A link that has not
// answered for long is given up: the other end may be gone without a word.
func (t *tracker) ping(ctx context.Context, l *link) error {
	fresh := t.near.fresh
	silent := max(3*fresh.bound, 3*time.Second)
	begun := fresh.clock()
	return t.every(ctx, func() error {
		now := fresh.clock()
		if fresh.linkAge() > silent && time.Duration(now-begun) > silent {
			return fmt.Errorf("redis has not answered on the connection for invalidations for %v", silent)
		}
		return l.ping(now, silent)
	})
}

// errDeposed ends a link to what is not the master any more.
var errDeposed = errors.New("another server than the one that sends invalidations answers now, or it is no master any more")

// proveMaster asks, every bound/4, on an ordinary connection, whether who
// answers there is the server of the link, and a master.
func (t *tracker) proveMaster(ctx context.Context, l *link) error {
	fresh := t.near.fresh
	failing := false
	return t.every(ctx, func() error {
		askCtx, cancel := context.WithTimeout(ctx, max(fresh.bound, 100*time.Millisecond))
		defer cancel()
		sent := fresh.clock()
		pipe := t.rdb.Pipeline()
		role, info := pipe.Do(askCtx, "ROLE"), pipe.Info(askCtx, "server")
		if _, err := pipe.Exec(askCtx); err != nil {
			if !failing && ctx.Err() == nil {
				failing = true
				t.say("not used: ROLE and INFO do not prove a master: " + err.Error())
				t.log.Warn("near cache is not used until redis proves to be a master by ROLE and INFO", "error", err)
			}
			t.near.saw("master away")
			return nil // proofs grow old by themselves
		}
		if failing {
			failing = false
			t.say("on")
			t.log.Info("near cache: redis proves to be a master again")
		}
		parts, _ := role.Slice()
		if len(parts) == 0 || parts[0] != "master" || runID(info.Val()) != l.server {
			return errDeposed
		}
		fresh.proveMaster(sent)
		t.near.saw("master")
		return nil
	})
}

// every does a step now and every bound/4 until it fails or ctx ends.
func (t *tracker) every(ctx context.Context, step func() error) error {
	ticks, stop := t.tick(max(t.near.fresh.bound/4, time.Millisecond))
	defer stop()
	for {
		if err := step(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks:
		}
	}
}
