package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"golang.org/x/sync/errgroup"
)

const (
	// Of lines that say the same, this many are logged in each interval; at
	// its end a line says how many more there were.
	sampleFirst    = 5
	sampleInterval = 10 * time.Second
	// The same for lines about strangers that come from one network.
	strangerFirst    = 1
	strangerInterval = time.Minute
	// sampleKinds bounds memory and log: beyond so many kinds of lines in an
	// interval, all others with the same message count as one.
	sampleKinds = 500
)

// sampleBy are the attributes that make lines different, besides level and
// message. None of them is free text of a caller's.
var sampleBy = map[string]bool{"call": true, "reason": true, "work": true, "issuer": true, "listener": true}

// sampler is a handler that logs the first of many warnings and errors that say
// the same, and how many more there were. Lines with httpapi.AuditKey all pass,
// and so does what is below a warning. It also adds the ID of the request that
// is the cause of a line, if the context knows it. Lines about strangers, which
// say where a request came from, are counted apart, at any level.
type sampler struct {
	slog.Handler
	repeats, strangers *lineCounts
	with               sampleKind // of the attributes that the logger has
	audit              bool
}

// sampleKind is what lines that say the same have in common.
type sampleKind struct {
	level   slog.Level
	message string
	by      string // the values of sampleBy, nothing of a stranger's line
	from    string // the network, or proxy, that a stranger's line names
}

// lineCounts counts lines. It is safe for concurrent use.
type lineCounts struct {
	to       slog.Handler
	first    int
	interval time.Duration

	mu   sync.Mutex
	seen map[sampleKind]int
}

func newSampler(to slog.Handler) *sampler {
	return &sampler{
		Handler:   to,
		repeats:   &lineCounts{to: to, first: sampleFirst, interval: sampleInterval, seen: map[sampleKind]int{}},
		strangers: &lineCounts{to: to, first: strangerFirst, interval: strangerInterval, seen: map[sampleKind]int{}},
	}
}

// Handle implements slog.Handler.
func (s *sampler) Handle(ctx context.Context, r slog.Record) error {
	kind, audit, hasID := s.with, s.audit, false
	kind.level, kind.message = r.Level, r.Message
	r.Attrs(func(a slog.Attr) bool {
		hasID = hasID || a.Key == requestIDKey
		audit = kind.add(a) || audit
		return true
	})
	switch {
	case kind.from != "":
		kind.by = ""
		if !s.strangers.admit(kind) {
			return nil
		}
	case r.Level >= slog.LevelWarn && !audit && !s.repeats.admit(kind):
		return nil
	}
	if !hasID {
		if id := httpapi.RequestIDOf(ctx); id != "" {
			r = r.Clone()
			r.AddAttrs(slog.String(requestIDKey, id))
		}
	}
	return s.Handler.Handle(ctx, r)
}

const requestIDKey = "request_id"

// add takes an attribute into account, and says whether it marks an audit line.
func (k *sampleKind) add(a slog.Attr) (audit bool) {
	switch {
	case sampleBy[a.Key]:
		k.by += " " + a.Key + "=" + a.Value.String()
	case a.Key == httpapi.ClientNetKey, a.Key == httpapi.ProxyKey:
		k.from = a.Key + "=" + a.Value.String()
	}
	return a.Key == httpapi.AuditKey
}

// WithAttrs implements slog.Handler.
func (s *sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *s
	more.Handler = s.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		more.audit = more.with.add(a) || more.audit
	}
	return &more
}

// WithGroup implements slog.Handler.
func (s *sampler) WithGroup(name string) slog.Handler {
	more := *s
	more.Handler = s.Handler.WithGroup(name)
	return &more
}

// admit counts a line and says whether it is logged.
func (s *lineCounts) admit(k sampleKind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.seen[k]; !known && len(s.seen) >= sampleKinds {
		k = sampleKind{level: k.level, message: k.message}
	}
	s.seen[k]++
	return s.seen[k] <= s.first
}

// flush begins a new interval. It says what was left out in the last one; of
// strangers all together.
func (s *lineCounts) flush(ctx context.Context) {
	s.mu.Lock()
	seen := s.seen
	s.seen = map[sampleKind]int{}
	s.mu.Unlock()
	log := slog.New(s.to)
	left := map[sampleKind]int{}
	for k, n := range seen {
		if n > s.first {
			k.from = ""
			left[k] += n - s.first
		}
	}
	for k, n := range left {
		log.Log(ctx, k.level, "more lines like one before", "like", k.message+k.by, "lines", n)
	}
}

// Run flushes what s counts at the end of each interval, until ctx ends, and
// then once more.
func (s *sampler) Run(ctx context.Context) error {
	var both errgroup.Group
	both.Go(func() error { return s.repeats.run(ctx) })
	both.Go(func() error { return s.strangers.run(ctx) })
	return both.Wait()
}

func (s *lineCounts) run(ctx context.Context) error {
	end := time.NewTicker(s.interval)
	defer end.Stop()
	for {
		select {
		case <-end.C:
			s.flush(ctx)
		case <-ctx.Done():
			s.flush(context.WithoutCancel(ctx))
			return nil
		}
	}
}
