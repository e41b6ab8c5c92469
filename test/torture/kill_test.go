package torture

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// killed is what TestI5_Killed has measured.
type killed struct {
	Shards     int           `json:"shards"`
	Kills      int           `json:"kills"`
	RedisKills int           `json:"redis_kills"`
	Calls      int64         `json:"calls"`
	Acked      int64         `json:"acknowledged_writes"`
	Maybes     int64         `json:"maybe_writes"`
	Seen       int           `json:"observations_checked"`
	Wrong      int           `json:"wrong"`
	Live       int           `json:"live_at_end"`
	Took       time.Duration `json:"took_ns"`
}

// manyKills is from how many kills on TestI5_Killed has the patience to wait for what is cleared after a minute.
const manyKills = 200

// TestI5_Killed kills processes under a load of writes, and their Redis too, again and again. With appendfsync always,
// whatever was acknowledged is there, whatever was deleted stays so, and the index is exact.
func TestI5_Killed(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			t.Parallel()
			killAgainAndAgain(t, shards, max(kills/2, 1))
		})
	}
}

func killAgainAndAgain(t *testing.T, shards, kills int) {
	const victims, perRedis = 2, 10
	begun := time.Now()
	server := redistest.Start(t, "appendonly yes", "appendfsync always", "hash-max-listpack-value 4096")
	x := &killed{Shards: shards, Kills: kills}
	h, name := newHistory(), "killed "+strconv.Itoa(shards)
	var all []*sidecar
	for n := range victims {
		c := newSidecar(t, n, server.URL(), "--near-cache-staleness", bound.String(), "--redis-shards", strconv.Itoa(shards), "--near-cache-tracking", trackingOf(name, n))
		if err := c.start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	l := &load{h: h, to: all, name: name, writers: 8, readers: 4, pause: 4 * time.Millisecond, lifetime: true}
	l.start(t.Context())
	defer l.stop()

	// Each kill is one token; every so many, Redis goes too.
	var earlier atomic.Int64
	tokens, died := make(chan int), make(chan error, victims)
	var wg sync.WaitGroup
	for n, c := range all {
		wg.Go(func() {
			r := chance(name, n)
			var failed error
			for range tokens {
				if failed != nil {
					continue
				}
				// Some writes later; or while it starts.
				target, early := h.acked.Load()+r.Int64N(40), r.IntN(5) == 0
				eventually.Within(2*time.Second, func() bool { return h.acked.Load() >= target })
				c.kill()
				if early {
					earlier.Add(1)
					c.startAndKill(time.Duration(r.IntN(80)) * time.Millisecond)
				}
				failed = c.start()
			}
			died <- failed
		})
	}
	for i := range kills {
		tokens <- i
		if i%perRedis == perRedis/2 {
			server.Kill()
			server.Restart()
			x.RedisKills++
		}
		if i%100 == 99 {
			say(t, "%d kills of %d, %d writes acknowledged", i+1, kills, h.acked.Load())
		}
	}
	close(tokens)
	wg.Wait() // I7
	for range all {
		if err := <-died; err != nil {
			t.Fatal(err)
		}
	}
	l.stop()
	settle(t, h, all, name)
	v := h.check(&rules{bound: bound, clock: clockOff})
	for _, wrong := range v.faults[:min(len(v.faults), 5)] {
		t.Error(wrong)
	}
	x.Kills += int(earlier.Load())
	a := newAuditor(t, server.Client(t), shards)
	if kills < manyKills {
		a.age(t)
	}
	x.Live = a.exact(t, false, patience+2*time.Minute)
	a.clean(t, false)
	x.Wrong, x.Seen, x.Took = len(v.faults), v.seen, time.Since(begun)
	x.Calls, x.Acked, x.Maybes = h.calls.Load(), h.acked.Load(), h.maybes.Load()
	report.add(t, func(r *results) { r.Killed = append(r.Killed, x) })
	say(t, "%d kills and %d of Redis, %d calls, %d writes acknowledged, %d maybe, %d observations, %d wrong, %d live", x.Kills, x.RedisKills, x.Calls, x.Acked, x.Maybes, x.Seen, x.Wrong, x.Live)
}

// startAndKill starts the process, and kills it d later, whatever it is doing then.
func (c *sidecar) startAndKill(d time.Duration) {
	p, err := redistest.StartProcess(c.logFile, c.bin, c.args...)
	if err != nil {
		return // the next start says why
	}
	hold(d)
	p.Kill()
}
