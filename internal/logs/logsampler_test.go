package logs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
)

func TestLogRepeats(t *testing.T) {
	out := new(bytes.Buffer)
	log, sampled := New(out, slog.LevelInfo, "text")
	f := func(want int, text string) {
		t.Helper()
		if n := strings.Count(out.String(), text); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, text, want, out)
		}
	}
	for i := range 100 {
		log.Error("request failed", "request_id", i, "call", "GetSession", "reason", "away", "error", errors.New("x"))
		log.Error("request failed", "request_id", i, "call", "ListSessions", "reason", "away")
		log.With("issuer", "a").Warn("an issuer is away")
		log.With("issuer", "b").Warn("an issuer is away")
		log.Error("write failed", "request_id", i, httpapi.AuditKey, true)
		log.With(httpapi.AuditKey, true).Error("also of a write")
		log.Info("nothing is wrong")
	}
	f(sampleFirst, "call=GetSession")
	f(sampleFirst, "call=ListSessions")
	f(sampleFirst, "issuer=a")
	f(sampleFirst, "issuer=b")
	f(100, "write failed")
	f(100, "also of a write")
	f(100, "nothing is wrong")
	f(0, "more lines")
	sampled.repeats.flush(t.Context())
	f(1, fmt.Sprintf(`level=ERROR msg="more lines like one before" like="request failed call=GetSession reason=away" lines=%d`, 100-sampleFirst))
	f(1, fmt.Sprintf(`level=WARN msg="more lines like one before" like="an issuer is away issuer=a" lines=%d`, 100-sampleFirst))
	sampled.repeats.flush(t.Context())
	f(4, "more lines")
	log.Error("request failed", "call", "GetSession", "reason", "away") // a new interval
	f(1, "msg=\"request failed\" call=GetSession")
}

// However many kinds of lines there are, they take bounded memory.
func TestLogRepeatsAreBounded(t *testing.T) {
	out := new(bytes.Buffer)
	log, sampled := New(out, slog.LevelInfo, "text")
	for i := range 3 * sampleKinds {
		log.Warn("kind", "call", i)
	}
	if n := len(sampled.repeats.seen); n != sampleKinds+1 {
		t.Errorf("%d kinds are counted", n)
	}
	sampled.repeats.flush(t.Context())
	if want := fmt.Sprintf(`like=kind lines=%d`, 2*sampleKinds-sampleFirst); !strings.Contains(out.String(), want) {
		t.Errorf("the log has not %s", want)
	}
}

// Of a stranger one line is logged in an interval, whatever it tries; what is
// left out is summed up.
func TestLogStrangers(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	log, sampled := New(out, slog.LevelInfo, "text")
	f := func(want int, text string) {
		t.Helper()
		if n := strings.Count(out.String(), text); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, text, want, out)
		}
	}
	for i := range 100 {
		log.Warn("credential refused", caller.ClientNetKey, "203.0.113.1/32", "call", i, "reason", i)
		log.Warn("credential refused", caller.ProxyKey, "unix")
		log.Info("request refused", caller.ClientNetKey, "203.0.113.1/32") // at any level
		log.Info("write", "reason", "x", httpapi.AuditKey, true)
	}
	f(1, "call=0 reason=0")
	f(1, "proxy=unix")
	f(1, "level=INFO msg=\"request refused\"")
	f(100, "msg=write ")
	sampled.repeats.flush(t.Context())
	f(0, "more lines")
	sampled.strangers.flush(t.Context())
	f(1, `level=WARN msg="more lines like one before" like="credential refused" lines=198`)
	f(1, `level=INFO msg="more lines like one before" like="request refused" lines=99`)
	log.Warn("credential refused", caller.ProxyKey, "unix") // a new interval
	f(2, "proxy=unix")
}

// However many networks strangers have, memory and log are bounded. Beyond the
// bound they count by wider networks, and then all as one.
func TestLogStrangersAreBounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, net string }{
		{"IPv6", "2001:db8:%x:%x::/64"},
		{"IPv4", "10.%d.%d.7/32"},
	} {
		out := new(bytes.Buffer)
		log, sampled := New(out, slog.LevelInfo, "text")
		const lines = 10 * sampleKinds
		for i := range lines { // 2 in each of the wider networks that they begin with
			log.Warn("credential refused", caller.ClientNetKey, fmt.Sprintf(c.net, i/2%256, i%2+i/512*2), "call", i, "reason", i)
		}
		first := strings.Count(out.String(), "\n")
		// The 256 wider networks of IPv6 are in the log again; those of IPv4 are as
		// many as the addresses, so the last are all one.
		want := map[string]int{"IPv6": sampleKinds + 256, "IPv4": 2*sampleKinds + 1}[c.name]
		if n := len(sampled.strangers.seen); n != want || first != want {
			t.Errorf("%s: %d networks are remembered, %d lines are logged, want %d", c.name, n, first, want)
		}
		sampled.strangers.flush(t.Context())
		if want := fmt.Sprintf(`like="credential refused" lines=%d`, lines-want); !strings.Contains(out.String(), want) {
			t.Errorf("%s: the log has not %s", c.name, want)
		}
	}
}

// Requests without a credential, from however many addresses, do not hide guesses,
// and guesses from one network do not hide those from another.
func TestLogStrangersDoNotHideOthers(t *testing.T) {
	t.Parallel()
	out := new(bytes.Buffer)
	log, _ := New(out, slog.LevelInfo, "text")
	for i := range 2 * sampleKinds {
		log.Info("request refused", caller.ClientNetKey, fmt.Sprintf("198.%d.%d.1/32", i/250, i%250))
	}
	for i := range sampleKinds {
		log.Warn("credential refused", caller.ClientNetKey, fmt.Sprintf("2001:db8:0:%x::/64", i))
	}
	for i := range 10 {
		log.Warn("credential refused", caller.ClientNetKey, fmt.Sprintf("203.0.%d.1/32", i))
		log.Warn("credential refused", caller.ClientNetKey, fmt.Sprintf("2001:db8:%x:1::/64", i+1))
	}
	for i := range 10 {
		for _, net := range []string{fmt.Sprintf("203.0.%d.1/32", i), fmt.Sprintf("2001:db8:%x:1::/64", i+1)} {
			if !strings.Contains(out.String(), caller.ClientNetKey+"="+net) {
				t.Errorf("%s is not in the log", net)
			}
		}
	}
}

// Of most lines of a stranger nothing is left but a count.
func BenchmarkLogStranger(b *testing.B) {
	log, _ := New(new(bytes.Buffer), slog.LevelInfo, "json")
	attrs := []slog.Attr{
		slog.String(caller.ClientKey, "203.0.113.1"), slog.String(caller.ClientNetKey, "203.0.113.1/32"),
		slog.String("call", "Verify"), slog.Int("status", 401), slog.String("reason", "not_found"),
	}
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelWarn, "credential refused", attrs...)
	}
}
