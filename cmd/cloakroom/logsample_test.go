package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi"
)

func TestLogRepeats(t *testing.T) {
	out := newOutput()
	log, sampled := newLogger(out, slog.LevelInfo, "text")
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
	out := newOutput()
	log, sampled := newLogger(out, slog.LevelInfo, "text")
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
