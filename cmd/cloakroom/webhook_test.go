package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// heard is a ZITADEL that sends its events to the first of two processes. These share a Redis, and their copies last an hour.
type heard struct {
	t       *testing.T
	zitadel *zitadeltest.Server
	user    zitadeltest.User
	keys    string // the file
	first   *cloakroom
	apis    []string
}

func hear(t *testing.T, more ...string) *heard {
	t.Helper()
	h := &heard{t: t, zitadel: zitadeltest.Start(t), keys: testfile.Write(t, "an-older-signing-key\n")}
	h.user = zitadeltest.User{ID: h.zitadel.NewID(), Password: "Password1!"}
	h.zitadel.AddUser(h.user)
	redis, account := redistest.Start(t), testfile.Write(t, h.zitadel.Admin.Token)
	args := append([]string{
		"serve", "--redis-url", redis.URL(), "--upstream-url", h.zitadel.URL, "--upstream-token-file", account, "--upstream-event-key-file", h.keys,
		"--verify-accept=id-token-pair", "--upstream-max-age=1h", "--upstream-max-age-proven=1h",
	}, more...)
	for range 2 {
		p := launchProgram(t, &program{args: append(slices.Clone(args), quick()...), lookEvery: 100 * time.Millisecond})
		api, _ := p.ready(t)
		h.apis = append(h.apis, api)
		if h.first == nil {
			h.first = p
		}
	}
	code, out, log := once(t, "zitadel-setup", "--apply", "--upstream-url", h.zitadel.URL, "--upstream-token-file", account, "--upstream-event-key-file", h.keys,
		"--endpoint", h.apis[0]+"/events/zitadel")
	if code != exitOK {
		t.Fatalf("%d %s %s", code, out, log)
	}
	h.first.logged(t, "keys of ZITADEL's events reloaded", 1)
	return h
}

// login makes a session of a user, which both processes then have copies of, and returns its ID and what a gateway brings.
func (h *heard) login(user zitadeltest.User) (id string, pair []string) {
	h.t.Helper()
	body := want(h.t, http.StatusCreated, "POST", h.apis[0]+"/v2/sessions", `{"checks":{"user":{"userId":"`+user.ID+`"},"password":{"password":"`+user.Password+`"}}}`,
		"Authorization", "Bearer "+h.zitadel.Login.Token)
	var made struct{ SessionID, SessionToken string }
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		h.t.Fatal(err)
	}
	pair = []string{"Authorization", "Bearer " + made.SessionID + ":" + made.SessionToken}
	for _, api := range h.apis {
		want(h.t, http.StatusOK, "GET", api+"/verify", "", pair...)
	}
	return made.SessionID, pair
}

// refused waits until both processes refuse a session.
func (h *heard) refused(pair []string) {
	h.t.Helper()
	for _, api := range h.apis {
		eventually.Holds(h.t, "the session is refused", func() bool {
			got, _ := call(h.t, "GET", api+"/verify", "", pair...)
			return got == http.StatusUnauthorized
		})
	}
}

// What ZITADEL sends is known in every process, though none searches for events and copies last an hour.
func TestServe_TakesEventsOfZITADEL(t *testing.T) {
	t.Parallel()
	h := hear(t, "--upstream-poll=0")
	_, other := h.login(h.user)
	_, admin := h.first.ready(t)
	awaitAnswer(t, http.StatusOK, admin+"/readyz?verbose", "\nevents: last one ")
	for _, form := range []zitadeltest.PayloadForm{zitadeltest.CurrentPayload, zitadeltest.OlderPayload} {
		h.zitadel.Change(func(s *zitadeltest.Settings) { s.Payload = form })
		id, pair := h.login(h.user)
		h.zitadel.WaitForFeed()
		h.zitadel.Terminate(id)
		h.refused(pair)
		user := zitadeltest.User{ID: h.zitadel.NewID(), Password: "Password2!"}
		h.zitadel.AddUser(user)
		_, pair = h.login(user)
		h.zitadel.WaitForFeed()
		h.zitadel.Lock(user.ID)
		h.refused(pair)
	}
	for _, api := range h.apis {
		want(t, http.StatusOK, "GET", api+"/verify", "", other...)
	}
	h.zitadel.WaitForFeed()
	for _, d := range h.zitadel.Deliveries() {
		if d.Status != http.StatusOK {
			t.Errorf("%s was answered %d", d.Event.Type, d.Status)
		}
	}
	text, err := os.ReadFile(h.keys)
	if err != nil {
		t.Fatal(err)
	}
	for key := range strings.Lines(string(text)) {
		if strings.Contains(h.first.stderr.String(), strings.TrimSpace(key)) {
			t.Error("I6: a signing key is in the log")
		}
	}
}

// Events that are lost, come twice, or in another order: the search finds what is lost, and nothing that is over is let in.
func TestServe_EventsThatAreLostRepeatedAndReordered(t *testing.T) {
	t.Parallel()
	h := hear(t)
	n := 0
	h.zitadel.Change(func(s *zitadeltest.Settings) {
		s.Fate = func(e zitadeltest.Event) zitadeltest.Fate {
			n++
			return []zitadeltest.Fate{{}, {Lost: true}, {Copies: 2}, {Behind: 1}, {Behind: 3, Copies: 1}}[n%5]
		}
	})
	var pairs [][]string
	for i := range 20 {
		id, pair := h.login(h.user)
		if i%2 == 0 {
			h.zitadel.Terminate(id)
			h.refused(pair)
		} else {
			pairs = append(pairs, pair)
		}
	}
	for _, pair := range pairs {
		for _, api := range h.apis {
			want(t, http.StatusOK, "GET", api+"/verify", "", pair...)
		}
	}
	h.zitadel.Lock(h.user.ID)
	for _, pair := range pairs {
		h.refused(pair)
	}
}

// The keys can be exchanged while serve runs.
func TestServe_ANewKeyOfEvents(t *testing.T) {
	t.Parallel()
	h := hear(t, "--upstream-poll=0")
	args := []string{
		"zitadel-setup", "--apply", "--new-key", "--upstream-url", h.zitadel.URL, "--upstream-event-key-file", h.keys, "--endpoint", h.apis[0] + "/events/zitadel",
		"--upstream-token-file", testfile.Write(t, h.zitadel.Admin.Token),
	}
	if code, out, log := once(t, args...); code != exitOK {
		t.Fatalf("%d %s %s", code, out, log)
	}
	h.first.logged(t, "keys of ZITADEL's events reloaded", 2)
	text, err := os.ReadFile(h.keys)
	if err != nil || strings.Count(string(text), "\n") != 3 {
		t.Fatalf("%d keys, %v", strings.Count(string(text), "\n"), err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if err := os.WriteFile(h.keys, []byte(lines[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	h.first.logged(t, "keys of ZITADEL's events reloaded", 3)
	id, pair := h.login(h.user)
	h.zitadel.Terminate(id)
	h.refused(pair)
	body := fmt.Sprintf(`{"aggregateID":%q}`, id)
	signature := zitadeltest.Signature(h.zitadel.Now(), []byte(body), strings.TrimSpace(lines[1]))
	want(t, http.StatusUnauthorized, "POST", h.apis[0]+"/events/zitadel", body, "ZITADEL-Signature", signature)
}
