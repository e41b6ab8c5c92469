package cache_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
)

// lines is a log handler that passes records on.
type lines struct {
	slog.Handler
	to chan slog.Record
}

func (l lines) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.to <- r:
	default: // nobody waits for so many
	}
	return nil
}

// The audit in the background reports drift, once of each kind and once at its
// end, and repairs nothing.
func TestAuditInTheBackground(t *testing.T) {
	t.Parallel()
	clock := storetest.NewClock()
	log := lines{slog.DiscardHandler, make(chan slog.Record, 100)}
	client := startRedis(t)
	s := openConfig(t, clock, cache.Config{
		Redis: client, Shards: 4, Clock: clock.Now, AuditEvery: time.Millisecond, Logger: slog.New(enabled{log}),
	})
	for _, id := range []session.ID{"1", "2"} {
		if err := s.Put(t.Context(), storetest.New(id, s.Now(), ada...), nil); err != nil {
			t.Fatal(err)
		}
	}
	if stats := s.AuditStats(); stats.Passes != 0 || len(stats.Drift) != len(audit.Drifts()) || stats.Drift[audit.EntryMissing] != 0 {
		t.Errorf("before: %+v", stats)
	}
	s.do(t, "del", s.keys.Agent("laptop"))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	wait := func() slog.Record {
		t.Helper()
		select {
		case r := <-log.to:
			return r
		case <-t.Context().Done():
		case <-time.After(time.Minute):
			t.Error("nothing was logged")
		}
		return slog.Record{}
	}
	first, last := wait(), wait()
	attrs := map[string]string{}
	first.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()
		return true
	})
	if first.Level != slog.LevelWarn || attrs["drift"] != "entry_missing" || attrs["where"] != "agent" || attrs["session_id"] == "" {
		t.Errorf("logged %+v %v", first, attrs)
	}
	if last.Level != slog.LevelWarn || last.Message != "an audit has found drift" {
		t.Errorf("logged %+v", last)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if stats := s.AuditStats(); stats.Passes == 0 || stats.Looked == 0 || stats.Drift[audit.EntryMissing] != 2 || stats.Drift[audit.EntryStray] != 0 {
		t.Errorf("after: %+v", stats)
	}
	if n := client.Exists(t.Context(), s.keys.Agent("laptop")).Val(); n != 0 {
		t.Error("it was repaired")
	}
}

// enabled lets all levels through.
type enabled struct{ slog.Handler }

func (enabled) Enabled(context.Context, slog.Level) bool { return true }
