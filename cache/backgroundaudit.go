package cache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/index/audit"
)

// sampleRate is how many elements an audit in the background looks at in a
// second: that takes 0.3% of Redis' time.
const sampleRate = 500

// AuditStats is what the audits in the background have seen.
type AuditStats struct {
	// Looked is how many sessions, cards, entries and notes were looked at.
	Looked uint64
	// Passes is how many audits came to their end.
	Passes uint64
	// Drift is what the last audit that came to its end has found, or the one
	// under way if that is more. It has every kind.
	Drift map[audit.Drift]uint64
}

// sampler is the state of the audits in the background.
type sampler struct {
	mu           sync.Mutex
	looked       uint64 // by the audits that have ended
	now          uint64 // by the one under way
	passes       uint64
	last, during map[audit.Drift]uint64
}

// AuditStats returns what the audits in the background have seen.
func (s *Store) AuditStats() AuditStats {
	sa := &s.sampler
	sa.mu.Lock()
	defer sa.mu.Unlock()
	stats := AuditStats{Looked: sa.looked + sa.now, Passes: sa.passes, Drift: make(map[audit.Drift]uint64)}
	for _, d := range audit.Drifts() {
		stats.Drift[d] = max(sa.last[d], sa.during[d])
	}
	return stats
}

// runAudits looks through all that is stored, slowly, once every auditEvery, until ctx
// ends. It reports, and repairs nothing. It begins at a random moment, so that
// several processes do not all look at the same time.
func (s *Store) runAudits(ctx context.Context) error {
	rest := time.NewTimer(rand.N(s.auditEvery))
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rest.C:
		}
		began := time.Now()
		s.auditOnce(ctx)
		rest.Reset(max(s.auditEvery-time.Since(began), 0))
	}
}

// auditOnce is one audit in the background. Of each kind of drift the first is
// logged.
func (s *Store) auditOnce(ctx context.Context) {
	sa := &s.sampler
	r, err := s.Audit(ctx, AuditConfig{
		Rate: sampleRate,
		Found: func(f *audit.Finding) {
			sa.mu.Lock()
			defer sa.mu.Unlock()
			if sa.during == nil {
				sa.during = make(map[audit.Drift]uint64)
			}
			if sa.during[f.Drift]++; sa.during[f.Drift] == 1 {
				s.log.LogAttrs(ctx, slog.LevelWarn, "drift found; `cloakroom audit` tells all of it, and --repair mends it",
					slog.String("drift", string(f.Drift)), slog.String("session_id", string(f.ID)), slog.String("where", f.Where))
			}
		},
		Progress: func(r *audit.Report, _ uint64) {
			sa.mu.Lock()
			defer sa.mu.Unlock()
			sa.now = r.Looked()
		},
	})
	sa.mu.Lock()
	defer sa.mu.Unlock()
	sa.looked, sa.now = sa.looked+r.Looked(), 0
	switch {
	case err == nil:
		sa.last = sa.during
		sa.passes++
		if len(r.Drift) > 0 {
			s.log.LogAttrs(ctx, slog.LevelWarn, "an audit has found drift", slog.Any("found", sa.during))
		}
	case ctx.Err() == nil:
		s.log.LogAttrs(ctx, slog.LevelWarn, "an audit was cut off, and begins anew later", slog.String("error", err.Error()))
	}
	sa.during = nil
}
