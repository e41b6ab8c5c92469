package torture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// fault is a row of the matrix, and of the table in docs/faults.md.
type fault struct {
	name string
	// sees is what callers see while it lasts, outcome what may be lost by it, recovery when all is as before.
	sees, outcome, recovery string

	// still is what processes that the fault concerns must do all the while.
	still calls
	conf  []string // of Redis
	on    topology // nil: oneRedis
	// mixed says that every other process has no copies, and that P is 1 in the first round.
	mixed bool
	loss  lossKind
	// indexLost says that the lists may not be exact afterwards, until they are repaired.
	indexLost bool
	// run makes the fault, lets it last, and ends it. It returns what it took away, if loss says so.
	run func(w *world, d time.Duration) *loss
	// felt says whether the fault was felt while it lasted, so that a row is never empty.
	felt func(w *world, b *before) bool
}

// calls are kinds of calls.
type calls uint8

const (
	reads calls = 1 << iota // fresh ones
	writes
	removals
	allCalls = reads | writes | removals
)

// before is what was when a fault began.
type before struct {
	unavailable int64
	accepted    int     // connections
	lost        float64 // connections for invalidations
	flushes     float64
	begun       instant
}

// What the table says more than once.
const (
	keepsAll   = "nothing is lost"
	unavailing = "503"
	fromRedis  = "all answers, from Redis instead of copies"
	atOnce     = "at once"
	reconnects = "within a second or two: connections are made anew"
)

// refusals says that calls were refused, or not answered.
func refusals(w *world, b *before) bool { return w.h.unavailable.Load() > b.unavailable }

// unlinked says that a connection for invalidations was lost, or its proofs grew older than the bound.
func unlinked(w *world, b *before) bool {
	for _, c := range w.all {
		if !c.linked(bound) {
			return true
		}
	}
	return relinked(w, b)
}

// relinked says that a connection for invalidations was lost.
func relinked(w *world, b *before) bool { return w.sum("cloakroom_near_links_lost_total") > b.lost }

// redialed says that connections through the proxy were made anew.
func redialed(w *world, b *before) bool { return w.proxy.Accepted() > b.accepted }

func flushed(w *world, b *before) bool { return w.sum("cloakroom_near_flushes_total") > b.flushes }

// sum adds a metric up over the processes.
func (w *world) sum(name string) (total float64) {
	for _, c := range w.all {
		n, err := c.metric(name)
		if err != nil {
			w.t.Error(err)
		}
		total += n
	}
	return total
}

// slow says that a fresh read of a process behind the network took as long as d.
func slow(d time.Duration) func(*world, *before) bool {
	return func(w *world, b *before) bool {
		sessions, _ := w.h.all()
		for _, rec := range sessions {
			rec.mu.Lock()
			seen := rec.seen
			rec.mu.Unlock()
			for _, o := range seen {
				if o.inv >= b.begun && o.via < 2 && o.fresh && time.Duration(o.res-o.inv) >= d {
					return true
				}
			}
		}
		return false
	}
}

// faults is the matrix.
func faults() []*fault {
	all := []*fault{{
		name: "none", sees: "all answers", outcome: keepsAll, recovery: "—", still: allCalls,
		run:  func(_ *world, d time.Duration) *loss { hold(d); return nil },
		felt: func(*world, *before) bool { return true },
	}}
	all = append(all, networkFaults()...)
	all = append(all, redisFaults()...)
	return append(all, moveFaults()...)
}

// hold lets a fault last.
func hold(d time.Duration) { during(d, d, func() {}) }

// networkFaults are those between some of the processes and Redis, for each kind of connection.
func networkFaults() (all []*fault) {
	links := []struct {
		name string
		is   redistest.Connections
	}{{"data", redistest.DataConnections}, {"tracking", redistest.TrackingConnections}, {"all", redistest.AllConnections}}
	for _, l := range links {
		tracking := l.is == redistest.TrackingConnections
		// either picks by whether only the tracking connection suffers.
		either := func(ofTracking, ofData string) string {
			if tracking {
				return ofTracking
			}
			return ofData
		}
		dead, refused := refusals, either(fromRedis, unavailing)
		if tracking {
			dead = unlinked
		}
		var still calls
		if tracking {
			still = allCalls
		}
		add := func(name, sees, recovery string, felt func(*world, *before) bool, run func(w *world, d time.Duration)) {
			all = append(all, &fault{
				name: name + ", " + l.name + " connections", sees: sees, outcome: keepsAll, recovery: recovery, still: still, felt: felt,
				run: func(w *world, d time.Duration) *loss {
					w.proxy.Only(l.is)
					run(w, d)
					return nil
				},
			})
		}
		const late = 30 * time.Millisecond
		feltLate := slow(late)
		if tracking {
			feltLate = func(w *world, _ *before) bool {
				lag, err := w.all[0].metric("cloakroom_near_invalidation_lag_seconds")
				return err == nil && lag >= late.Seconds() || !w.all[0].linked(bound)
			}
		}
		add("latency of 30 ms", either("all answers", "all answers, late"), atOnce, feltLate, func(w *world, d time.Duration) {
			w.proxy.Delay(late)
			hold(d)
			w.proxy.Delay(0)
		})
		feltJitter := slow(late)
		if tracking {
			feltJitter = func(w *world, _ *before) bool {
				lag, err := w.all[0].metric("cloakroom_near_invalidation_lag_seconds")
				return err == nil && lag >= 0.005 || !w.all[0].linked(bound)
			}
		}
		add("jitter of up to 60 ms each way", either("all answers", "all answers, late; of verify, some 503"), atOnce, feltJitter, func(w *world, d time.Duration) {
			w.proxy.Jitter(2 * late)
			hold(d)
			w.proxy.Jitter(0)
		})
		add("accepted and silent", refused, reconnects, dead, func(w *world, d time.Duration) {
			w.proxy.Stall(true)
			hold(d)
			w.proxy.Stall(false)
		})
		add("reset again and again", either(fromRedis, "503 for what was under way"), atOnce, redialed, func(w *world, d time.Duration) {
			during(d, 50*time.Millisecond, w.proxy.CutAll)
		})
		add("cut after some bytes, again and again", either(fromRedis, "some 503; writes are repeated, and happen once"), atOnce, redialed, func(w *world, d time.Duration) {
			r := chance(w.name+" bytes", 0)
			most := 4000
			if tracking {
				most = 60 // as long as a ping
			}
			during(d, 20*time.Millisecond, func() { w.proxy.CutAfter(r.IntN(most)) })
			w.proxy.CutAfter(1 << 40)
		})
		add("half open: answers are lost", either(fromRedis, "503; writes may have happened"), reconnects, dead, func(w *world, d time.Duration) {
			w.proxy.Mute(true)
			hold(d)
			w.proxy.CutAll() // the other end has forgotten these connections
			w.proxy.Mute(false)
		})
	}
	return all
}

// redisFaults are those of Redis itself.
func redisFaults() []*fault {
	const always = "appendfsync always"
	return []*fault{
		{
			name: "Redis killed and restarted", sees: unavailing, outcome: "nothing is lost with `" + always + "`; with `everysec` the last second may be", recovery: reconnects,
			conf: []string{"appendonly yes", always}, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.server.Kill()
				hold(d)
				w.server.Restart()
				return nil
			},
		},
		{
			name: "Redis stopped and continued", sees: unavailing, outcome: keepsAll, recovery: reconnects, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.server.Pause()
				hold(max(d, 1500*time.Millisecond)) // longer than a request waits
				w.server.Resume()
				return nil
			},
		},
		{
			name: "Redis restarted empty", sees: "503, then 404 for all that was", outcome: "all sessions are gone, and the memory of deletions", recovery: reconnects, loss: gone, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				l := &loss{kind: gone, from: w.h.now()}
				w.server.Kill()
				hold(d / 2)
				w.server.Restart()
				l.to = w.h.now()
				hold(d / 2)
				return l
			},
		},
		{
			name: "Redis restarted from an older snapshot", sees: "503, then what was at the snapshot",
			outcome:  "what was written since is undone: sessions are gone, or have older versions and tokens; deleted ones are back for a second or two, but never in the process that deleted them, which deletes them again",
			recovery: reconnects, loss: isRound, felt: refusals, run: restore,
		},
		{
			name: "`LOADING`: Redis reads its file", sees: unavailing, outcome: keepsAll, recovery: reconnects,
			conf: []string{"appendonly yes", always, "loading-process-events-interval-bytes 1024"}, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.server.Kill()
				commands := time.Duration(max(1, commandsOnDisk(w)))
				// A pause takes some 60 µs more than it is told.
				w.server.Configure("key-load-delay " + strconv.FormatInt(max(1, (d/commands-60*time.Microsecond).Microseconds()), 10))
				w.server.Restart() // waits until it has loaded
				w.do("CONFIG", "SET", "key-load-delay", 0)
				return nil
			},
		},
		{
			name: "`OOM`: `maxmemory` reached, `noeviction`", sees: "503 for writes; reads, and deletes go through", outcome: keepsAll, recovery: atOnce, still: reads | removals, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.do("CONFIG", "SET", "maxmemory", "1mb")
				hold(d)
				w.do("CONFIG", "SET", "maxmemory", 0)
				return nil
			},
		},
		{
			name: "`BUSY`: a script that runs for long", sees: unavailing, outcome: keepsAll, recovery: reconnects,
			conf: []string{"busy-reply-threshold 20"}, felt: refusals, run: busy,
		},
		{
			name: "`NOPERM`: the ACL changes while running", sees: unavailing, outcome: keepsAll, recovery: atOnce, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.do("ACL", "SETUSER", user, "-@scripting", "-@hash", "-@sortedset", "-@string")
				hold(d)
				w.do("ACL", "SETUSER", user, "+@all")
				return nil
			},
		},
		{
			name: "`SCRIPT FLUSH`, again and again", sees: "all answers", outcome: keepsAll, recovery: atOnce,
			still: allCalls, felt: func(*world, *before) bool { return true },
			run: func(w *world, d time.Duration) *loss {
				during(d, 10*time.Millisecond, func() { w.do("SCRIPT", "FLUSH") })
				return nil
			},
		},
		{
			name: "`CLIENT KILL` of all, again and again", sees: "503 for what was under way", outcome: keepsAll, recovery: atOnce, felt: relinked,
			run: func(w *world, d time.Duration) *loss {
				during(d, 50*time.Millisecond, func() { w.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") })
				return nil
			},
		},
		{
			name: "`CLIENT KILL` of the tracking connections, again and again", sees: fromRedis, outcome: keepsAll, recovery: atOnce, still: allCalls, felt: relinked,
			run: func(w *world, d time.Duration) *loss {
				during(d, 50*time.Millisecond, func() {
					for _, id := range w.trackers() {
						_ = w.try("CLIENT", "KILL", "ID", id) // it may be gone
					}
				})
				return nil
			},
		},
		{
			name: "`FLUSHALL`", sees: "404 for all that was", outcome: "all sessions are gone, and the memory of deletions", recovery: atOnce, loss: gone, felt: flushed,
			run: func(w *world, d time.Duration) *loss {
				hold(d / 2)
				l := &loss{kind: gone, from: w.h.now()}
				w.do("FLUSHALL")
				l.to = w.h.now()
				hold(d / 2)
				return l
			},
		},
		{
			name: "eviction: `maxmemory` reached, `allkeys-lru`", sees: "404 for what was evicted",
			outcome:  "sessions may be gone; lists may be, so that searches miss sessions; deleted ones stay deleted",
			recovery: "of sessions none; an audit with repair mends the lists", loss: mayGo, indexLost: true,
			felt: func(w *world, _ *before) bool { return evicted(w) > 0 }, run: evict,
		},
	}
}

// commandsOnDisk returns how many commands Redis has written to its files, about.
func commandsOnDisk(w *world) (n int) {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(w.server.Socket), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("no append-only file: %v", err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			w.t.Fatal(err)
		}
		n += bytes.Count(content, []byte("\r\n*"))
	}
	return n
}

// restore lets Redis come back with what it had a while ago.
func restore(w *world, d time.Duration) *loss {
	l := &loss{kind: isRound, snapshotFrom: w.h.now()}
	w.do("SAVE")
	l.snapshotTo = w.h.now()
	hold(d / 2)
	l.from = w.h.now()
	w.server.Kill()
	hold(d / 2)
	w.server.Restart()
	l.to = w.h.now()
	return l
}

// busy runs a script that does not end until it is killed.
func busy(w *world, d time.Duration) *loss {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	// On a connection of its own, with patience.
	client := w.server.Client(w.t, func(o *redis.Options) { o.ReadTimeout = -1 })
	go func() {
		defer close(ended)
		_ = client.Eval(ctx, "while true do end", nil).Err() // killed
	}()
	hold(d)
	ok := eventually.Within(patience, func() bool {
		_ = w.try("SCRIPT", "KILL")
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if !ok {
		w.t.Error("the script cannot be killed")
	}
	cancel()
	<-ended // I7
	return nil
}

// evict fills Redis until it has thrown away some of everything.
func evict(w *world, d time.Duration) *loss {
	l := &loss{kind: mayGo, from: w.h.now()}
	info, _ := w.do("INFO", "memory").(string)
	used := 0
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "used_memory:"); ok {
			used, _ = strconv.Atoi(strings.TrimSpace(v))
		}
	}
	w.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", used)
	n := 0
	during(d, 10*time.Millisecond, func() {
		n++
		_ = w.try("SET", fmt.Sprintf("filler-%d", n), strings.Repeat("x", 2000))
	})
	w.do("CONFIG", "SET", "maxmemory", 0, "maxmemory-policy", "noeviction")
	for i := range n {
		w.do("DEL", fmt.Sprintf("filler-%d", i+1))
	}
	l.to = w.h.now()
	return l
}

// evicted returns how many keys Redis has evicted.
func evicted(w *world) int {
	info, _ := w.direct.Info(context.Background(), "stats").Result() // "" on an error
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "evicted_keys:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(v))
			return n
		}
	}
	return 0
}
