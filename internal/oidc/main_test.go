package oidc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is where the driven clock of a test begins.
var start = time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC)

// fixture is a Verifier of one issuer, with clocks that the test drives.
type fixture struct {
	*Verifier
	t      testing.TB
	issuer *oidctest.Issuer
	secret string // file
	logs   *observed.Log
	now    atomic.Int64 // since start
	aged   atomic.Int64 // by what keys are older than they are
}

// basic is an issuer without anything but what is required. ISSUER and SECRET
// stand for the issuer's URL and the file with its client secret.
const basic = `
issuers:
  - name: test
    issuer: ISSUER
    audience: [cloakroom, other]
`

// asking is one that is also asked about opaque tokens.
const asking = basic + `
    introspection: {url: ISSUER/introspect, client_id: "cloak:room", client_secret_file: SECRET, timeout: 5s, allow_no_audience: true}
`

func newFixture(t testing.TB, file string) *fixture {
	t.Helper()
	f := newStopped(t, file)
	f.run()
	f.settled(1)
	return f
}

// newStopped is newFixture without Run.
func newStopped(t testing.TB, file string) *fixture {
	t.Helper()
	f := &fixture{t: t, issuer: oidctest.Start(t), logs: &observed.Log{}}
	f.secret = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(f.secret, []byte(oidctest.ClientSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.Verifier = New(Config{
		Clock:  func() time.Time { return start.Add(time.Duration(f.now.Load())) },
		Logger: slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	f.ageBy(func() time.Time { return time.Now().Add(time.Duration(f.aged.Load())) })
	f.patient(time.Minute)
	f.Set(f.parse(file))
	return f
}

func (f *fixture) parse(file string) *Settings {
	f.t.Helper()
	s, err := parse([]byte(strings.NewReplacer("ISSUER", f.issuer.URL, "SECRET", f.secret).Replace(file)), os.ReadFile)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) run() {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	f.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
}

// settled waits until n fetches of the issuer's keys have ended.
func (f *fixture) settled(n uint64) {
	f.t.Helper()
	r := &f.current.Load().list[0].ring
	for {
		r.mu.Lock()
		done, ended := r.done, r.ended
		r.mu.Unlock()
		if done >= n {
			return
		}
		select {
		case <-ended:
		case <-f.t.Context().Done():
			f.t.Fatal("the keys were not fetched")
		}
	}
}

// logged waits until the log has text: how a fetch ended is logged after those
// who wait for it were told.
func (f *fixture) logged(text string) {
	f.t.Helper()
	if !eventually.Within(time.Minute, func() bool { return strings.Contains(f.logs.String(), text) }) {
		f.t.Fatalf("the log does not say %q:\n%s", text, f.logs)
	}
}

func (f *fixture) advance(d time.Duration) { f.now.Add(int64(d)) }

// claims are good ones; changes replace them, nil takes one away.
func (f *fixture) claims(changes map[string]any) map[string]any {
	now := f.clock().Unix()
	c := map[string]any{
		"iss": f.issuer.URL, "aud": "cloakroom", "sub": "alice",
		"iat": now, "nbf": now, "exp": now + 3600,
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (f *fixture) jwt(token string) (*Access, error) { return f.JWT(f.t.Context(), []byte(token)) }

// refused fails the test unless err is an *InvalidError whose reason has this text.
func (f *fixture) refused(err error, text string) {
	f.t.Helper()
	e, ok := errors.AsType[*InvalidError](err)
	if !ok || !strings.Contains(e.Reason, text) {
		f.t.Errorf("got %v, want a refusal that says %q", err, text)
	}
}

// ended fails the test unless err is an *InvalidError of a token that has ended, or may have.
func (f *fixture) ended(err error) {
	f.t.Helper()
	if e, ok := errors.AsType[*InvalidError](err); !ok || !e.Expired && !e.Inactive {
		f.t.Errorf("got %#v, want a token that has ended, or may have", err)
	}
}

// good fails the test unless a is what a token of alice with these grants says.
func (f *fixture) good(a *Access, err error, grants string) {
	f.t.Helper()
	if err != nil {
		f.t.Error(err)
		return
	}
	if a.Issuer != "test" || a.UserID != "alice" || shown(a) != grants {
		f.t.Errorf("got %+v, %s, want %s", a, shown(a), grants)
	}
}

// shown writes grants as "read:* write:o1,o2".
func shown(a *Access) string {
	var parts []string
	for _, g := range []struct {
		name string
		Grant
	}{{"read", a.Read}, {"write", a.Write}, {"delete", a.Delete}} {
		names := g.Organizations
		if g.All {
			names = append([]string{"*"}, names...)
		}
		if len(names) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%s", g.name, strings.Join(names, ",")))
		}
	}
	return strings.Join(parts, " ")
}
