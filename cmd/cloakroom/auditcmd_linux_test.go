package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// On a terminal an audit shows a bar. Interrupted, it says what it has done.
func TestAuditCommandIsInterrupted(t *testing.T) {
	server := redistest.Start(t)
	where := "--redis-url=redis://" + server.Addr
	p := launch(t, append([]string{"serve", where, "--auth-anonymous"}, quick()...))
	api, _ := p.ready(t)
	var lines strings.Builder
	for i := range 300 {
		fmt.Fprintf(&lines, `{"id":"s%d"}`+"\n", i)
	}
	want(t, 200, "POST", api+"/v2/sessions/import", lines.String())

	// What comes first takes no time, the rest takes minutes: it has looked at a hundred when it asks for the next ones.
	user, shown, wait := atTerminal(t, "audit", where, "--rate=1")
	seen(t, shown, "auditing")
	if !eventually.Within(2*time.Minute, func() bool { return server.Calls("pexpiretime") > 100 }) {
		t.Fatalf("it looks at nothing; shown %s", shown)
	}
	if _, err := user.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	code, out := wait()
	if code != exitFailed || !strings.Contains(out, "00 sessions, no card, 0 entries") || strings.Contains(out, " 300 ") || !strings.Contains(out, "no drift was found until then") || !strings.Contains(shown.String(), "interrupted; what it had done until then is above") {
		t.Errorf("got %d, %q, %s", code, out, shown)
	}
	if code, out, log := once(t, "audit", where); code != exitOK || !strings.Contains(out, "looked at 300 sessions, 300 cards, 600 entries") {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
}
