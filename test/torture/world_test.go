package torture

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// bound is --near-cache-staleness of these tests' processes. (I4)
const bound = 500 * time.Millisecond

// recovery is within what time processes must serve again after a fault.
const recovery = 30 * time.Second

// clockOff is how far the store's clock may be off in a process: half of what the network delays.
const clockOff = 150 * time.Millisecond

// user and password are of the processes, so that what their user may can be changed.
const user, password = "cloakroom", "torture"

// world is three processes on one Redis, or on what its topology says.
type world struct {
	t      *testing.T
	name   string
	server *redistest.Server // the master; nil on a Cluster
	direct *redis.Client     // of the server, past everything
	proxy  *redistest.Proxy  // nil if all processes are past it
	all    []*sidecar
	h      *history
	load   *load

	replica   *redistest.Server
	sentinels *redistest.Sentinels
	cluster   *redistest.Cluster
	urls      []string
	mixed     bool // copies are used in some processes only
	round     int
	shards    int
	// moves are when another server became the master, darks when no master was proven, brights when no write could fail.
	moves          []span
	darks, brights []watch
	changed        instant // when Redis, or what leads there, was changed last
}

func newWorld(t *testing.T, f *fault, round, shards int) *world {
	t.Helper()
	w := &world{t: t, name: f.name, h: newHistory(), mixed: f.mixed, round: round, shards: shards}
	on := f.on
	if on == nil {
		on = oneRedis
	}
	w.urls = on(w, append([]string{"hash-max-listpack-value 4096"}, f.conf...))
	for n, url := range w.urls {
		w.all = append(w.all, w.process(n, url))
	}
	for _, c := range w.all {
		if err := c.start(); err != nil {
			t.Fatal(err)
		}
	}
	w.load = &load{h: w.h, to: w.all, name: f.name, writers: 6, readers: 9, pause: pace(f.mixed), lifetime: true}
	return w
}

// pace is the pause between two calls of a caller. In the short form the eight worlds together ask no more than two processors
// can do, so that a call rarely fails because of the machine; in the long form they ask more. Mixed worlds take longer.
func pace(mixed bool) time.Duration {
	pause := 32 * time.Millisecond
	switch {
	case longForm() && mixed:
		pause = 16 * time.Millisecond
	case longForm():
		pause = 8 * time.Millisecond
	case mixed:
		pause = 48 * time.Millisecond
	}
	return pause
}

// process prepares the n-th process. In a mixed world every other one has no copies; in the next round those that had some.
func (w *world) process(n int, url string) *sidecar {
	w.t.Helper()
	off := w.mixed && (n+w.round)%2 == 1
	size := "32MiB"
	if off {
		size = "0"
	}
	c := newSidecar(w.t, n, url, "--near-cache-staleness", bound.String(), "--near-cache-bytes", size, "--redis-shards", fmt.Sprint(w.shards),
		"--near-cache-tracking", trackingOf(w.name, n+w.round))
	c.noCopies = off
	return c
}

// trackingOf draws what Redis tells a process of.
func trackingOf(name string, process int) string {
	return []string{"broadcast", "keys"}[chance(name+" tracking", process).IntN(2)]
}

// do sends a command to Redis.
func (w *world) do(words ...any) any {
	w.t.Helper()
	reply, err := w.direct.Do(context.Background(), words...).Result()
	if err != nil && err != redis.Nil {
		w.t.Fatalf("%v: %v", words, err)
	}
	return reply
}

// try sends a command that may fail.
func (w *world) try(words ...any) error {
	return w.direct.Do(context.Background(), words...).Err()
}

// trackers returns the IDs of the connections that ask Redis for invalidations.
func (w *world) trackers() (ids []string) {
	list, _ := w.do("CLIENT", "LIST").(string)
	for line := range strings.Lines(list) {
		fields := map[string]string{}
		for _, f := range strings.Fields(line) {
			name, value, _ := strings.Cut(f, "=")
			fields[name] = value
		}
		if strings.Contains(fields["flags"], "B") { // tracks in broadcast mode
			ids = append(ids, fields["id"])
		}
	}
	return ids
}

// warm waits until the load has reached everything: copies are used in every process, and hundreds of writes are done.
func (w *world) warm() {
	w.t.Helper()
	ok := eventually.Within(patience, func() bool { return w.h.acked.Load() >= 150 && w.linked() })
	if !ok {
		w.t.Fatal("the load does not begin to work")
	}
}

func (w *world) linked() bool {
	for _, c := range w.all {
		if !c.linked(bound) {
			return false
		}
	}
	return true
}

// recovered waits until every process reads and writes again, and then until copies are used; it returns when each was.
func (w *world) recovered(from instant) (serving, near time.Duration) {
	w.t.Helper()
	n := 0
	ok := eventually.Within(recovery, func() bool {
		for _, c := range w.all {
			n++
			to := &caller{w.h, c}
			rec := to.create(fmt.Sprintf("recovered-%d", n), fmt.Sprintf("user-recovered-%d", n), true, 0)
			if !rec.isAcked() {
				return false
			}
			if _, known := to.get(rec, true); !known || !to.search(rec.user, false, true) {
				return false
			}
		}
		return true
	})
	if !ok {
		w.t.Fatal("the processes do not recover")
	}
	serving = time.Duration(w.h.now() - from)
	if !eventually.Within(patience, w.linked) {
		w.t.Error("copies are not used again")
	}
	return serving, time.Duration(w.h.now() - from)
}

// redeleted waits until what was deleted and came back is deleted again, by the processes that remember it.
func (w *world) redeleted() {
	w.t.Helper()
	sessions, _ := w.h.all()
	ok := eventually.Within(patience, func() bool {
		for _, rec := range sessions {
			if !rec.isDeleted() {
				continue
			}
			for _, c := range w.all {
				if version, known := (&caller{w.h, c}).get(rec, true); !known || version > 0 {
					return false
				}
			}
		}
		return true
	})
	if !ok {
		w.t.Error("what was deleted stays alive")
	}
}

// settle reads everything through every process, when nothing writes any more: all of it fresh, and some not.
func (w *world) settle() { settle(w.t, w.h, w.all, w.name) }

func settle(t *testing.T, h *history, all []*sidecar, name string) {
	t.Helper()
	const readers = 8
	var wg sync.WaitGroup
	sessions, users := h.everything()
	for reader := range readers {
		wg.Go(func() {
			r := chance(name+" settle", reader)
			for i := reader; i < len(sessions); i += readers {
				rec := sessions[i]
				if rec.ref() == "" {
					continue
				}
				if _, known := (&caller{h, all[i%len(all)]}).get(rec, true); !known {
					t.Errorf("session %s cannot be read at the end", rec.label)
				}
				if tokens, numbers := rec.tokens(); len(tokens) > 0 {
					n := len(tokens) - 1
					(&caller{h, all[r.IntN(len(all))]}).verify(rec, tokens[n], numbers[n])
				}
			}
			for i := reader; i < len(users); i += readers {
				c := &caller{h, all[i%len(all)]}
				if !c.search(users[i], false, true) || !c.search(users[i], true, true) {
					t.Errorf("the sessions of %s cannot be searched at the end", users[i])
				}
			}
		})
	}
	wg.Wait() // I7
}
