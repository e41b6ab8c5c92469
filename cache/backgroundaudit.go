package cache

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/index/audit"
)

// backgroundAuditRate is how many elements an audit in the background looks at in a
// second: that takes 0.3% of Redis' time.
const backgroundAuditRate = 500

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

// backgroundAudit is the state of the audits in the background.
type backgroundAudit struct {
	mu           sync.Mutex
	looked       uint64 // by the audits that have ended
	now          uint64 // by the one under way
	passes       uint64
	last, during map[audit.Drift]uint64
}

// AuditStats returns what the audits in the background have seen.
func (s *Store) AuditStats() AuditStats {
	b := &s.backgroundAudit
	b.mu.Lock()
	defer b.mu.Unlock()
	stats := AuditStats{Looked: b.looked + b.now, Passes: b.passes, Drift: make(map[audit.Drift]uint64)}
	for _, d := range audit.Drifts() {
		stats.Drift[d] = max(b.last[d], b.during[d])
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
	b := &s.backgroundAudit
	r, err := s.Audit(ctx, AuditConfig{
		Rate: backgroundAuditRate,
		Found: func(f *audit.Finding) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.during == nil {
				b.during = make(map[audit.Drift]uint64)
			}
			if b.during[f.Drift]++; b.during[f.Drift] == 1 {
				s.log.LogAttrs(ctx, slog.LevelWarn, "drift found; `cloakroom audit` tells all of it, and --repair mends it",
					slog.String("drift", string(f.Drift)), slog.String("session_id", string(f.ID)), slog.String("where", f.Where))
			}
		},
		Progress: func(r *audit.Report, _ uint64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.now = r.Looked()
		},
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looked, b.now = b.looked+r.Looked(), 0
	switch {
	case err == nil:
		b.last = b.during
		b.passes++
		if len(r.Drift) > 0 {
			s.log.LogAttrs(ctx, slog.LevelWarn, "an audit has found drift", slog.Any("found", b.during))
		}
	case ctx.Err() == nil:
		s.log.LogAttrs(ctx, slog.LevelWarn, "an audit was cut off, and begins anew later", slog.String("error", err.Error()))
	}
	b.during = nil
}
