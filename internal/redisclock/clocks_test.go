package redisclock

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// The store's clock is that of the master that is ahead; that they differ by much is logged once.
func TestI1_TheMasterAheadIsTheClock(t *testing.T) {
	var log bytes.Buffer
	c := New(slog.New(slog.NewTextHandler(&log, nil)))
	master := func(offset, uncertain time.Duration) {
		of := &clock{start: c.start}
		of.offset.Store(offset.Microseconds())
		of.error.Store(uncertain.Microseconds())
		c.known[new(redis.Client)] = of
	}
	f := func(ahead, spread time.Duration, warned int) {
		t.Helper()
		c.choose()
		if got := time.Duration(c.offset.Load()) * time.Microsecond; got != ahead {
			t.Errorf("offset %v, want %v", got, ahead)
		}
		if got := time.Duration(c.spread.Load()) * time.Microsecond; got != spread {
			t.Errorf("spread %v, want %v", got, spread)
		}
		if n := strings.Count(log.String(), "the clocks of Redis masters differ"); n != warned {
			t.Errorf("%d warnings, want %d", n, warned)
		}
	}
	master(time.Hour, time.Millisecond)
	f(time.Hour, 0, 0)
	master(time.Hour-80*time.Millisecond, 2*time.Millisecond)
	f(time.Hour, 77*time.Millisecond, 0)
	master(0, 0) // has never answered
	f(time.Hour, 77*time.Millisecond, 0)
	master(time.Hour+90*time.Millisecond, 10*time.Millisecond)
	f(time.Hour+90*time.Millisecond, 158*time.Millisecond, 1)
	f(time.Hour+90*time.Millisecond, 158*time.Millisecond, 1)
	clear(c.known)
	f(time.Hour+90*time.Millisecond, 158*time.Millisecond, 1) // nothing is known: it goes on
	master(2*time.Hour, time.Millisecond)
	f(2*time.Hour, 0, 1)
	if !strings.Contains(log.String(), "agree again") {
		t.Error("that they agree again was not logged")
	}
}

// Every master of a Cluster is measured, one that is silent keeps its offset, and one that is gone is forgotten.
func TestI1_ClocksOfACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := cluster.Client(t, func(o *redis.ClusterOptions) { o.ReadTimeout = time.Second }) // of silent masters
	c := New(slog.New(slog.DiscardHandler))
	measure := func() {
		t.Helper()
		if err := c.Measure(t.Context(), rdb); err != nil {
			t.Fatal(err)
		}
		if len(c.known) != 3 {
			t.Errorf("%d masters are known", len(c.known))
		}
	}
	measure()
	if off := time.Since(time.UnixMicro(int64(c.Now()))).Abs(); off > 5*time.Second { // one machine
		t.Errorf("the clock is off by %v", off)
	}
	offsets := func() map[redis.UniversalClient]int64 {
		m := map[redis.UniversalClient]int64{}
		for master, of := range c.known {
			m[master] = of.offset.Load()
		}
		return m
	}
	cluster.NeverFailOver()
	silent := cluster.Masters()[0]
	silent.Pause()
	before := offsets()
	measure()
	for master, offset := range offsets() {
		if master.(*redis.Client).Options().Addr == silent.Addr && offset != before[master] {
			t.Error("a silent master's offset changed")
		}
		if offset == 0 {
			t.Error("a master was never measured")
		}
	}
	for _, m := range cluster.Masters()[1:] {
		m.Pause()
	}
	if err := c.Measure(t.Context(), rdb); err == nil {
		t.Error("silent masters were measured")
	}
}
