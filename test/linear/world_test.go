package linear

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	leaks.Verify(m)
}

const (
	processes = 3
	// bound is the processes' staleness bound.
	bound = 150 * time.Millisecond
)

// world is some processes on one Redis, each behind a proxy of its own.
type world struct {
	t       *testing.T
	redis   *redistest.Server
	admin   *redis.Client
	proxies []*redistest.Proxy
	urls    []string
	http    *http.Client
}

func newWorld(t *testing.T, shards int) *world {
	t.Helper()
	w := &world{t: t, redis: redistest.Start(t)}
	w.admin = w.redis.Client(t, func(o *redis.Options) { o.ReadTimeout = time.Second })
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for range processes {
		w.start(shards)
	}
	return w
}

// start starts a process: the store and the API as the program has them.
func (w *world) start(shards int) {
	w.t.Helper()
	proxy := redistest.NewProxy(w.t, w.redis.Addr)
	client := w.redis.Client(w.t, func(o *redis.Options) {
		o.Addr = proxy.Addr
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = time.Second, time.Second, time.Second, time.Second
	})
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := cache.Open(w.t.Context(), cache.Config{
		Redis: client, Shards: shards, NearBytes: 16 << 20, NearStaleness: bound, NearByKey: len(w.urls)%2 == 1, RememberDeletions: 1000, Logger: log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	api, err := httpapi.New(httpapi.Config{
		Store: store, Anonymous: true, Logger: log,
		Verify: verify.Config{AllowUnproven: true},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- store.Run(ctx) }()
	go func() { ended <- api.Run(ctx, ln, 10*time.Second) }()
	w.t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				w.t.Error(err)
			}
		}
		if err := store.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.proxies, w.urls = append(w.proxies, proxy), append(w.urls, "http://"+ln.Addr().String())
}

// trouble makes one fault after the other until ctx ends, none of which loses
// data, and mends them. It returns how many there were.
func (w *world) trouble(ctx context.Context, r *rand.Rand) (faults int) {
	for pause(ctx, r, 20, 200) {
		p := w.proxies[r.IntN(len(w.proxies))]
		faults++
		switch r.IntN(9) {
		case 0:
			p.Delay(time.Duration(1+r.IntN(40)) * time.Millisecond)
			pause(ctx, r, 50, 200)
			p.Delay(0)
		case 1:
			p.CutAll()
		case 2:
			p.DropReplies()
		case 3:
			p.CutAfter(r.IntN(2000))
		case 4:
			p.Stall(true)
			pause(ctx, r, 50, 400)
			p.Stall(false)
		case 5:
			p.Refuse(true)
			p.CutAll()
			pause(ctx, r, 20, 150)
			p.Refuse(false)
		case 6:
			w.redis.Pause()
			pause(ctx, r, 50, 300)
			w.redis.Resume()
		case 7:
			if err := w.admin.ScriptFlush(context.WithoutCancel(ctx)).Err(); err != nil {
				w.t.Errorf("SCRIPT FLUSH: %v", err)
			}
		case 8:
			// Pub/sub is what the connections for invalidations are; both kinds die.
			if err := w.admin.ClientKillByFilter(context.WithoutCancel(ctx), "SKIPME", "yes").Err(); err != nil {
				w.t.Errorf("CLIENT KILL: %v", err)
			}
		}
	}
	return faults
}

// pause waits for some milliseconds, and reports whether ctx is still alive.
func pause(ctx context.Context, r *rand.Rand, least, most int) bool {
	timer := time.NewTimer(time.Duration(least+r.IntN(most-least)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
