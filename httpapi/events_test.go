package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
	"github.com/prometheus/client_golang/prometheus"
)

const eventKey = "a-signing-key-of-a-test"

// withEvents lets a server take events that are signed with eventKey.
func withEvents(take func(upstream.Event) bool) func(*setup) {
	keys, err := upstream.ParseEventKeys([]byte(eventKey))
	if err != nil {
		panic(err)
	}
	return func(s *setup) { s.config.Event, s.config.EventKeys = take, func() *upstream.EventKeys { return keys } }
}

func takeAll(upstream.Event) bool { return true }

// signed is the header of a body that is sent now.
func (f *fixture) signed(body string, after time.Duration) []string {
	return []string{"Content-Type", "application/json", "ZITADEL-Signature", zitadeltest.Signature(f.now().Std().Add(after), []byte(body), eventKey)}
}

func (f *fixture) sendEvent(body string) reply {
	f.t.Helper()
	return f.do("", "POST", webhook.Path, body, f.signed(body, 0)...)
}

const (
	anEvent = `{"aggregateID":"401643232406015014","aggregateType":"session","sequence":10,"event_type":"session.terminated","created_at":"2030-06-01T11:59:59.25Z"}`
	aHash   = "$2a$14$Ag1Dx0zJ4bQyPVrM2hH5SO9Rk0vFpV3dIuA3jvkTz1Xb6yYH0y7yK"
)

func TestEvents_Answers(t *testing.T) {
	t.Parallel()
	var got []upstream.Event
	full := false
	registry := prometheus.NewRegistry()
	f := newFixture(t, withEvents(func(e upstream.Event) bool {
		if !full {
			got = append(got, e)
		}
		return !full
	}), func(s *setup) { s.config.Metrics = registry })
	ok := func(r reply) {
		t.Helper()
		if r.status != http.StatusOK || r.body != "{}" || r.header.Get("Content-Type") != contentTypeJSON || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %q %v", r.status, r.body, r.header)
		}
	}
	ok(f.sendEvent(anEvent))
	ok(f.sendEvent(anEvent)) // a replay
	if len(got) != 1 || got[0].Aggregate != "401643232406015014" || got[0].Type != "session.terminated" || got[0].Sequence != 10 {
		t.Errorf("got %+v", got)
	}
	large := `{"aggregateType":"user","aggregateID":"1","event_payload":{"value":"` + strings.Repeat("x", 900_000) + `"}}`
	ok(f.sendEvent(large))
	small := func(r reply, status int, text string) {
		t.Helper()
		if r.status != status || !strings.Contains(r.body, text) {
			t.Errorf("got %d %s, want %d with %q", r.status, r.body, status, text)
		}
	}
	small(f.do("", "POST", webhook.Path, anEvent), 401, "ZITADEL-Signature must be t=SECONDS,v1=HEX")
	small(f.do("admin", "POST", webhook.Path, anEvent), 401, "ZITADEL-Signature must be t=SECONDS,v1=HEX") // no key of ours helps
	small(f.do("", "POST", webhook.Path, anEvent+" ", f.signed(anEvent, 0)...), 401, "none of the keys in --upstream-event-key-file")
	small(f.do("", "POST", webhook.Path, anEvent, f.signed(anEvent, -301*time.Second)...), 401, "t is more than 300 seconds from our time")
	small(f.do("", "POST", webhook.Path, anEvent, append(f.signed(anEvent, 0), "X", strings.Repeat("x", maxLogoutHeader))...), 400, "request headers too large: at most 16384 bytes here")
	tooLarge := strings.Repeat(" ", webhook.MaxBody+1)
	small(f.do("", "POST", webhook.Path, tooLarge, f.signed(tooLarge, 0)...), 413, "at most 1048576 bytes")
	chunked, err := f.stream("", "POST", webhook.Path, io.MultiReader(strings.NewReader(large)), f.signed(large, 0)...)
	if err != nil {
		t.Fatal(err)
	}
	small(chunked, 413, "at most 16384 bytes")
	small(f.sendEvent(`{"aggregateID":`), 400, "the body is no event of ZITADEL's")
	small(f.do("", "POST", webhook.Path, anEvent, append(f.signed(anEvent, 0), "Content-Encoding", "gzip")...), 415, "")
	full = true
	another := strings.Replace(anEvent, "10", "11", 1)
	if r := f.sendEvent(another); r.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %v", r.status, r.header)
	} else {
		small(r, 503, "too many events wait to be applied")
	}
	small(f.do("", "GET", webhook.Path, ""), 405, "Method Not Allowed")
	counts := observed.Counts(t, registry)
	for result, want := range map[string]float64{"ok": 2, "replay": 1, "bad_signature": 1, "stale": 1, "full": 1, "malformed": 6} {
		if n := counts["cloakroom_upstream_deliveries_total "+result]; n != want {
			t.Errorf("%v are counted as %s, want %v", n, result, want)
		}
	}
}

// Without keys there is no such path.
func TestEvents_WithoutKeysThereIsNoRoute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, method := range []string{"GET", "POST", "PUT"} {
		got, want := f.do("", method, webhook.Path, anEvent, f.signed(anEvent, 0)...), f.do("", method, "/events/unknown", anEvent)
		if got.status != want.status || got.body != want.body || want.status != http.StatusNotFound || got.header.Get("Allow") != "" {
			t.Errorf("%s: got %d %s, want %d %s", method, got.status, got.body, want.status, want.body)
		}
	}
	if _, err := New(Config{Store: f.store, Event: takeAll}); err == nil || !strings.Contains(err.Error(), "Event needs EventKeys") {
		t.Error(err)
	}
}

// What the headers alone refuse is answered before the body has come.
func TestEvents_RefusedUnread(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withEvents(takeAll))
	sign := func(after time.Duration) string { return f.signed(anEvent, after)[3] }
	for headers, want := range map[string]string{
		"Content-Length: 100\r\n": "401",
		"Content-Length: 100\r\nZITADEL-Signature: " + sign(-time.Hour) + "\r\n":                                                  "401",
		"Content-Length: 100\r\nZITADEL-Signature: " + sign(0) + "\r\nZITADEL-Signature: " + sign(0) + "\r\n":                     "401",
		"Content-Length: 1048577\r\nZITADEL-Signature: " + sign(0) + "\r\n":                                                       "413",
		"Content-Length: 100\r\nZITADEL-Signature: " + sign(0) + "\r\nX: " + strings.Repeat("x", maxLogoutHeader) + "\r\n":        "400",
		"Content-Length: 100\r\nExpect: 100-continue\r\nZITADEL-Signature: " + sign(0) + "\r\n":                                   "100",
		"Content-Length: 100\r\nExpect: 100-continue\r\nZITADEL-Signature: " + strings.Replace(sign(0), "v1=", "v2=", 1) + "\r\n": "401",
	} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "POST "+webhook.Path+"?x=y HTTP/1.1\r\nHost: a\r\n"+headers+"\r\n"); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "HTTP/1.1 "+want+" ") {
			t.Errorf("%.60s: %q, %v, want %s", headers, line, err, want)
		}
		_ = conn.Close()
	}
}

// Whoever keeps all places for large events occupied keeps out no small ones.
func TestEvents_LargeOnesHavePlaces(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withEvents(takeAll))
	for range webhook.Places {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nZITADEL-Signature: %s\r\n\r\n{", webhook.Path, f.signed(anEvent, 0)[3]); err != nil {
			t.Fatal(err)
		}
	}
	eventually.Holds(t, "all places are taken", func() bool { return f.server.largeEvents.AtWork() == webhook.Places })
	large := anEvent + strings.Repeat(" ", 20_000)
	if r := f.sendEvent(large); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "too many large events") {
		t.Errorf("got %d %s", r.status, r.body)
	}
	if r := f.sendEvent(anEvent); r.status != http.StatusOK {
		t.Errorf("got %d %s", r.status, r.body)
	}
}

// followed is a fixture whose events are applied; other is another process.
type followed struct {
	*upstreamFixture
	registry *prometheus.Registry
	follower *news.Follower
}

func newFollowed(t *testing.T) *followed {
	t.Helper()
	f := &followed{registry: prometheus.NewRegistry()}
	f.upstreamFixture = newUpstreamFixture(t, withEvents(func(e upstream.Event) bool { return f.follower.Sent(e) }), func(s *setup) { s.config.Metrics = f.registry })
	f.follower = news.New(news.Config{Store: f.store, Logger: f.server.log, Metrics: f.registry})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f.follower.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return f
}

// A store that hangs delays what an event does, and no answer.
func TestEvents_ASlowStoreDelaysNoAnswer(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	id, token := f.create()
	f.verifies(id, token, http.StatusOK, "")
	f.zitadel.Terminate(id)
	f.redis.Do("CLIENT", "PAUSE", "600000", "WRITE")
	body := func(n int) string {
		return fmt.Sprintf(`{"aggregateID":%q,"aggregateType":"session","sequence":%d,"event_type":"session.terminated"}`, id, 100+n)
	}
	for n := range 50 {
		if r := f.sendEvent(body(n)); r.status != http.StatusOK {
			t.Fatalf("got %d %s", r.status, r.body)
		}
	}
	f.redis.Do("CLIENT", "UNPAUSE")
	eventually.Holds(t, "the session is refused", func() bool {
		return f.do("", "GET", "/verify", "", "Authorization", "Bearer "+id+":"+token).status == http.StatusUnauthorized
	})
}

// What stands in a payload is nowhere afterwards, whatever form it has, and whether or not the event is good.
func TestI6_PayloadsOfEventsAreKeptNowhere(t *testing.T) {
	t.Parallel()
	f := newFollowed(t)
	id, token := f.create()
	f.verifies(id, token, http.StatusOK, "")
	user := `{"aggregateID":"` + f.user.ID + `","aggregateType":"user","sequence":%d,"event_type":"user.human.password.changed","event_payload":%s}`
	session := `{"aggregateID":"` + id + `","aggregateType":"session","sequence":%d,"event_type":"session.metadata.set","event_payload":%s}`
	n, answers := 0, ""
	for _, form := range []string{user, session} {
		for _, payload := range []string{`{"encodedHash":"` + aHash + `"}`, `"` + aHash + `"`, `{"` + aHash + `":[{"` + aHash + `":1}]}`, `{"` + aHash + `":`} {
			n++
			body := fmt.Sprintf(form, n, payload)
			answers += f.sendEvent(body).body + f.do("", "POST", webhook.Path, body, f.signed(body+" ", 0)...).body
		}
	}
	eventually.Holds(t, "the events are applied", func() bool {
		counts := observed.Counts(t, f.registry)
		return counts["cloakroom_upstream_events_total user webhook"] == 3 && counts["cloakroom_upstream_events_total changed webhook"] == 3
	})
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	kept := answers + f.logs.String() + fmt.Sprint(families)
	client := f.redis.Client(t)
	keys := client.Keys(t.Context(), "*").Val()
	for _, key := range keys {
		kept += key + client.Dump(t.Context(), key).Val()
	}
	if len(keys) < 3 || !strings.Contains(kept, id) || f.logs.Count(caller.CredentialRefused) == 0 {
		t.Errorf("there is nothing to look at: %d keys", len(keys))
	}
	if strings.Contains(kept, aHash) || strings.Contains(kept, aHash[7:]) {
		t.Error("I6: the hash of a password is kept")
	}
}
