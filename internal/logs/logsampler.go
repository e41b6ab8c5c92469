package logs

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
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
	// sampleKinds bounds memory and log: so many kinds of lines with one message
	// are counted apart in an interval. Of strangers the others count by a wider
	// network, so many again. All others with the same message count as one.
	sampleKinds = 500
	// The prefixes of wider networks.
	wideIPv4, wideIPv6 = 24, 48
)

// sampleBy are the attributes that make lines different, in addition to level and
// message. None of them is free text of a caller's.
var sampleBy = map[string]bool{"call": true, "reason": true, "work": true, "issuer": true, "listener": true}

// Sampler is a handler that logs the first of many warnings and errors that say
// the same, and how many more there were. Lines with httpapi.AuditKey all pass,
// and so does what is below a warning. It also adds the ID of the request that
// is the cause of a line, if the context knows it. Lines about strangers, which
// say where a request came from, are counted apart, at any level.
type Sampler struct {
	slog.Handler
	repeats, strangers *lineCounts
	with               sampleKind // of the attributes that the logger has
	audit              bool
}

// sampleKind is what lines that say the same have in common.
type sampleKind struct {
	level   slog.Level
	message string // a constant of the program, so there are few
	by      string // the values of sampleBy, nothing of a stranger's line
	from    string // the network, or proxy, that a stranger's line names
	wide    bool   // from is wider than what counts as one client
}

// lineCounts counts lines. It is safe for concurrent use.
type lineCounts struct {
	to       slog.Handler
	first    int
	interval time.Duration

	mu   sync.Mutex
	seen map[sampleKind]int
	// kinds is how many kinds there are of one message, and of one with wider networks.
	kinds map[sampleKind]int
}

func newSampler(to slog.Handler) *Sampler {
	return &Sampler{
		Handler:   to,
		repeats:   newLineCounts(to, sampleFirst, sampleInterval),
		strangers: newLineCounts(to, strangerFirst, strangerInterval),
	}
}

func newLineCounts(to slog.Handler, first int, interval time.Duration) *lineCounts {
	return &lineCounts{to: to, first: first, interval: interval, seen: map[sampleKind]int{}, kinds: map[sampleKind]int{}}
}

// Handle implements slog.Handler.
func (s *Sampler) Handle(ctx context.Context, r slog.Record) error {
	kind, audit, hasID := s.with, s.audit, false
	kind.level, kind.message = r.Level, r.Message
	r.Attrs(func(a slog.Attr) bool {
		hasID = hasID || a.Key == requestIDKey
		audit = kind.note(a) || audit
		return true
	})
	switch {
	case kind.from != "":
		kind.by = ""
		if !s.strangers.admit(kind) {
			return nil
		}
	case r.Level >= slog.LevelWarn && !audit:
		r.Attrs(func(a slog.Attr) bool { kind.distinguish(a); return true })
		if !s.repeats.admit(kind) {
			return nil
		}
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

// note looks whether an attribute says where a stranger's line is from, and
// whether it marks an audit line.
func (k *sampleKind) note(a slog.Attr) (audit bool) {
	switch a.Key {
	case caller.ClientNetKey, caller.ProxyKey:
		k.from = a.Value.String()
	}
	return a.Key == httpapi.AuditKey
}

// distinguish takes an attribute into account that makes lines different.
func (k *sampleKind) distinguish(a slog.Attr) {
	if sampleBy[a.Key] {
		k.by += " " + a.Key + "=" + a.Value.String()
	}
}

// wider is k by a wider network. ok is false if k has no network.
func (k sampleKind) wider() (wide sampleKind, ok bool) {
	network, err := netip.ParsePrefix(k.from)
	if err != nil {
		return k, false
	}
	bits := wideIPv6
	if network.Addr().Is4() {
		bits = wideIPv4
	}
	k.from, k.wide = netip.PrefixFrom(network.Addr(), min(bits, network.Bits())).Masked().String(), true
	return k, true
}

// all is what the kinds have in common that share a bound.
func (k sampleKind) all() sampleKind {
	return sampleKind{level: k.level, message: k.message, wide: k.wide}
}

// WithAttrs implements slog.Handler.
func (s *Sampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *s
	more.Handler = s.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		more.audit = more.with.note(a) || more.audit
		more.with.distinguish(a)
	}
	return &more
}

// WithGroup implements slog.Handler.
func (s *Sampler) WithGroup(name string) slog.Handler {
	more := *s
	more.Handler = s.Handler.WithGroup(name)
	return &more
}

// admit counts a line and says whether it is logged.
func (s *lineCounts) admit(k sampleKind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.enter(k) {
		wide, ok := k.wider()
		if ok = ok && s.enter(wide); ok {
			k = wide
		} else {
			k = k.all()
		}
	}
	s.seen[k]++
	return s.seen[k] <= s.first
}

// enter says whether k is counted apart. s is locked.
func (s *lineCounts) enter(k sampleKind) bool {
	if _, known := s.seen[k]; known {
		return true
	}
	if s.kinds[k.all()] >= sampleKinds {
		return false
	}
	s.kinds[k.all()]++
	return true
}

// flush begins a new interval. It says what was left out in the last one; of
// strangers all together.
func (s *lineCounts) flush(ctx context.Context) {
	s.mu.Lock()
	seen := s.seen
	s.seen, s.kinds = map[sampleKind]int{}, map[sampleKind]int{}
	s.mu.Unlock()
	log := slog.New(s.to)
	left := map[sampleKind]int{}
	for k, n := range seen {
		if n > s.first {
			k.from, k.wide = "", false
			left[k] += n - s.first
		}
	}
	for k, n := range left {
		log.Log(ctx, k.level, "more lines like one before", "like", k.message+k.by, "lines", n)
	}
}

// Run flushes what s counts at the end of each interval, until ctx ends, and
// then once more.
func (s *Sampler) Run(ctx context.Context) error {
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
