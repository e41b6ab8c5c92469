package upstream_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

const getPath = "/zitadel.session.v2.SessionService/GetSession"

// want says what a recorded answer to the question for a session is, to somebody.
func want(e exchange) upstream.Outcome {
	switch {
	case e.Status == 200:
		return upstream.Found
	case e.Status == 404 && strings.Contains(e.Body, "QUERY-SFeaa"):
		return upstream.NotFound
	case e.Status == 403 && strings.Contains(e.Body, "QUERY-dsfr3"):
		return upstream.TokenRefused
	case e.Status == 401, e.Status == 403, strings.Contains(e.Body, "AUTHZ-cdgFk"):
		return upstream.Denied
	}
	return 0 // unavailable
}

func TestGetSession_ReadsWhatWasRecorded(t *testing.T) {
	t.Parallel()
	outcomes := map[upstream.Outcome]int{}
	var now atomic.Pointer[exchange]
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { now.Load().answer(w) })
	c := ask(t, s.URL)
	for _, e := range recordings(t) {
		if e.Method != "GET" && e.Path != getPath || strings.HasSuffix(e.Path, "/healthz") {
			continue
		}
		id := session.ID(e.id(t))
		if _, err := session.ParseID(string(id)); err != nil {
			if _, err := c.GetSession(t.Context(), id, "", upstream.As(callers)); !errors.As(err, new(*session.InvalidError)) {
				t.Errorf("%s: %v", e.Name, err)
			}
			continue
		}
		now.Store(&e)
		got, err := c.GetSession(t.Context(), id, "", upstream.As(callers))
		outcomes[want(e)]++
		if want(e) == 0 {
			if !errors.Is(err, upstream.ErrUnavailable) {
				t.Errorf("%s: %v, %v", e.Name, got, err)
			}
			continue
		}
		if err != nil || got.Outcome != want(e) || got.Answer.Status != e.Status || string(got.Answer.Body) != e.Body {
			t.Errorf("%s: %+v, %v", e.Name, got, err)
			continue
		}
		if got.Outcome != upstream.Found {
			continue
		}
		if !got.Keepable || got.Why != "" {
			t.Errorf("%s: not keepable: %s", e.Name, got.Why)
		}
		// Nothing is lost: the document that would be stored says the same.
		var raw, kept any
		if err := json.Unmarshal(got.Raw, &raw); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(session.AppendJSON(nil, got.Decoded), &kept); err != nil {
			t.Error(err)
		}
		if !reflect.DeepEqual(raw, kept) {
			t.Errorf("%s: %s\nwas read as %s", e.Name, got.Raw, session.AppendJSON(nil, got.Decoded))
		}
	}
	for o, least := range map[upstream.Outcome]int{upstream.Found: 25, upstream.NotFound: 5, upstream.TokenRefused: 4, upstream.Denied: 4, 0: 2} {
		if outcomes[o] < least {
			t.Errorf("%d recordings have outcome %d, want at least %d", outcomes[o], o, least)
		}
	}
}

// REST and Connect say the same of one session: so Connect stands for both.
func TestGetSession_RecordedRESTAndConnectSayTheSame(t *testing.T) {
	t.Parallel()
	s := serve(t, recorded(t, "connect v2 get").handler)
	over, err := ask(t, s.URL).GetSession(t.Context(), "401643068324842534", "", upstream.AsOurs())
	if err != nil {
		t.Fatal(err)
	}
	rest, connect := recorded(t, "get S1 right after create"), recorded(t, "connect v2 get token")
	if string(over.Answer.Body) != connect.Body {
		t.Errorf("with the token: %s", connect.Body)
	}
	members := func(text string) (names []string) {
		var body map[string]map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		for name := range body {
			names = append(names, name)
		}
		return names
	}
	if !reflect.DeepEqual(members(rest.Body), members(connect.Body)) {
		t.Errorf("%s\nand %s", rest.Body, connect.Body)
	}
}

func TestI6_GetSession_PutsTheTokenInTheBody(t *testing.T) {
	t.Parallel()
	s := serve(t, recorded(t, "connect v2 get token").handler)
	c := ask(t, s.URL+"/zitadel/", func(c *upstream.Config) { c.Host = "login.example.com" })
	for token, body := range map[string]string{
		sessionToken: `{"sessionId":"401643068324842534","sessionToken":"` + sessionToken + `"}`,
		"":           `{"sessionId":"401643068324842534"}`,
	} {
		if _, err := c.GetSession(t.Context(), "401643068324842534", token, upstream.AsOurs()); err != nil {
			t.Fatal(err)
		}
		all := s.requests("")
		r := all[len(all)-1]
		if r.method != "POST" || r.path != "/zitadel"+getPath || r.host != "login.example.com" || r.body != body {
			t.Errorf("got %+v", r)
		}
		if r.header.Get("Authorization") != "Bearer "+pat || r.header.Get("Content-Type") != "application/json" || r.header.Get("Connect-Protocol-Version") != "1" {
			t.Errorf("got %v", r.header)
		}
	}
}

func TestGetSession_DoesNotAskAboutATokenThatZitadelNeverMakes(t *testing.T) {
	t.Parallel()
	s := serve(t, recorded(t, "connect v2 get token").handler)
	c := ask(t, s.URL)
	for _, token := range []string{strings.Repeat("t", 501), "a b", "a\x00", "ä", "a\n"} {
		got, err := c.GetSession(t.Context(), "401643068324842534", token, upstream.AsOurs())
		if err != nil || got.Outcome != upstream.TokenRefused || got.Answer != nil {
			t.Errorf("%q: %+v, %v", token, got, err)
		}
	}
	if n := len(s.requests("")); n != 0 {
		t.Errorf("it was asked %d times", n)
	}
	if got, err := c.GetSession(t.Context(), "401643068324842534", strings.Repeat("t", 500), upstream.AsOurs()); err != nil || got.Outcome != upstream.Found {
		t.Errorf("500 characters: %v", err)
	}
}

// What is not clearly an answer of ZITADEL's says nothing of a session.
func TestI2_GetSession_PagesOfProxiesAreUnavailable(t *testing.T) {
	t.Parallel()
	page := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	found := recorded(t, "connect v2 get")
	const notFound = `{"code":"not_found","message":"Session does not exist (QUERY-SFeaa)"}`
	for name, answer := range map[string]http.HandlerFunc{
		"404 page":             status(404),
		"404 of another path":  recorded(t, "connect v2 unknown call").handler,
		"404 as HTML":          page(404, "text/html", notFound),
		"404 of another JSON":  page(404, "application/json", `{"error":"QUERY-SFeaa"}`),
		"404 of another thing": page(404, "application/json", `{"code":"not_found","message":"Organisation not found (ORG-3n8fs)"}`),
		"404 without an ID":    page(404, "application/json", `{"code":5,"message":"Not Found"}`),
		"403 page":             status(403),
		"401 page":             status(401),
		"400":                  recorded(t, "connect v2 get no id").handler,
		"502 page":             status(502),
		"redirect":             func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"200 page":             status(200),
		"200 as text":          page(200, "text/plain", found.Body),
		"200 of another":       page(200, "application/json", `{"session":{"id":"2"}}`),
		"200 of nothing":       page(200, "application/json", `{}`),
		"200 null":             page(200, "application/json", `{"session":null}`),
		"200 cut JSON":         page(200, "application/json", found.Body[:100]),
		"204":                  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"200 compressed": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			found.answer(w)
		},
		"200 spelled twice": page(200, "application/json", `{"session":{"id":"401643068324842534","Id":"2"}}`),
		"200 two IDs":       page(200, "application/json", `{"session":{"id":"2","ID":"401643068324842534"}}`),
	} {
		s := serve(t, answer)
		got, err := ask(t, s.URL).GetSession(t.Context(), "401643068324842534", "", upstream.As(callers))
		if !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A 401 to our own credentials is no word on who asks.
func TestGetSession_OurCredentialsRefused_IsUnavailable(t *testing.T) {
	t.Parallel()
	s := serve(t, recorded(t, "connect v2 list bad auth").handler)
	c := ask(t, s.URL)
	if got, err := c.GetSession(t.Context(), "1", "", upstream.AsOurs()); !errors.Is(err, upstream.ErrUnavailable) || !strings.Contains(err.Error(), "refuses our credentials") {
		t.Errorf("%+v, %v", got, err)
	}
	if got := c.State(); got.Refused != "it refuses our access token" || c.gauge(t, "cloakroom_upstream_account_refused") != 1 {
		t.Errorf("%+v", got)
	}
	if n := len(s.requests("")); n != 1 {
		t.Errorf("a personal access token was tried %d times", n)
	}
	if got, err := c.GetSession(t.Context(), "1", "", upstream.As(callers)); err != nil || got.Outcome != upstream.Denied {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.CheckCredentials(t.Context()); !errors.Is(err, upstream.ErrUnavailable) {
		t.Error(err)
	}
	if n := c.log.Count("zitadel refuses our access token"); n != 1 {
		t.Errorf("it is in the log %d times", n)
	}
}

func TestGetSession_WhatIsNotKnownHereIsPassedOnAndNotKept(t *testing.T) {
	t.Parallel()
	var body atomic.Pointer[string]
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"session": ` + *body.Load() + ` , "details":{}}`))
	})
	c := ask(t, s.URL, func(c *upstream.Config) { c.SessionBytes = 2048 })
	f := func(raw, why, metric string, decoded bool) {
		t.Helper()
		body.Store(&raw)
		got, err := c.GetSession(t.Context(), "7", "", upstream.AsOurs())
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			return
		}
		if string(got.Raw) != raw || got.Keepable != (why == "") || !strings.Contains(got.Why, why) || (got.Decoded != nil) != decoded {
			t.Errorf("%s: %+v", raw, got)
		}
		if strings.Contains(got.Why, "marker") {
			t.Errorf("%s repeats a value: %s", raw, got.Why)
		}
		if metric != "" && c.count(t, "cloakroom_upstream_unkeepable_sessions_total "+metric) == 0 {
			t.Errorf("%s: not counted as %s", raw, metric)
		}
	}
	const dates = `"id":"7",  "creationDate":"2026-11-28T19:25:02.707304Z", "changeDate":"2026-11-28T19:25:02.707304Z"`
	f(`{`+dates+`}`, "", "", true)
	f(`{`+dates+`, "sequence": "5","factors":{"user":{"id":"u"}}}`, "", "", true)
	f(`{`+dates+`,"state":"marker"}`, "state: is not known here", "unknown", true)
	f(`{`+dates+`,"factors":{"user":{"id":"u","extra":{"a":[1]}}}}`, "is not known here", "unknown", true)
	f(`{`+dates+`,"factors":{"user":{"id":"u"},"passkey":{}}}`, "factors.passkey: is not known here", "unknown", true)
	f(`{`+dates+`,"creator":"u"}`, "creator: is not known here", "unknown", true)
	f(`{`+dates+`,"tokenSha256":"00"}`, "is not known here", "unknown", true)
	f(`{"id":"7"}`, "creationDate", "unknown", true)
	f(`{`+dates+`,"metadata":{"k":"`+strings.Repeat("bWFya2Vy", 400)+`"}}`, "must have at most 2048 bytes", "limits", true)
	f(`{`+dates+`,"factors":{"user":{"id":"u","displayName":"`+strings.Repeat("marker", 40)+`"}}}`, "factors.user.displayName: must have at most 200 characters", "limits", true)
	f(`{`+dates+`,"factors":{"password":{}}}`, "factors.user", "limits", true)
	f(`{`+dates+`,"sequence":"marker"}`, "sequence", "unreadable", false)
	f(`{`+dates+`,"metadata":["marker"]}`, "metadata", "unreadable", false)
	f(`{`+dates+`,"sequence":"1","sequence":"2"}`, "sequence: is given twice", "unreadable", false)
}

func TestCalls_ListDeleteAndHealth(t *testing.T) {
	t.Parallel()
	var now atomic.Pointer[exchange]
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { now.Load().answer(w) })
	c := ask(t, s.URL)
	last := func() seen { all := s.requests(""); return all[len(all)-1] }
	use := func(name string) { e := recorded(t, name); now.Store(&e) }

	use("connect v2 delete")
	if a, err := c.DeleteSession(t.Context(), "401643068324842534", upstream.As(callers)); err != nil || a.Status != 200 || string(a.Body) != now.Load().Body {
		t.Errorf("%+v, %v", a, err)
	}
	if r := last(); r.path != "/zitadel.session.v2.SessionService/DeleteSession" || r.body != `{"sessionId":"401643068324842534"}` || r.header.Get("Authorization") != callers {
		t.Errorf("%+v", r)
	}
	use("connect v2 delete wrong token")
	if a, err := c.DeleteSession(t.Context(), "1", upstream.As(callers)); err != nil || a.Status != 403 || a.ErrorID() != "COMMAND-sGr42" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := c.DeleteSession(t.Context(), "a/b", upstream.AsOurs()); !errors.As(err, new(*session.InvalidError)) {
		t.Error(err)
	}
	use("connect v2 list bad auth")
	if a, err := c.ListSessions(t.Context(), []byte(`{"query":{"limit":5}}`), upstream.As(callers)); err != nil || a.Status != 401 || a.ErrorID() != "AUTH-7fs1e" {
		t.Errorf("%+v, %v", a, err)
	}
	if r := last(); r.path != "/zitadel.session.v2.SessionService/ListSessions" || r.body != `{"query":{"limit":5}}` {
		t.Errorf("%+v", r)
	}
	use("debug/healthz")
	if _, err := c.Clock(t.Context()); err != nil {
		t.Error(err)
	}
	if r := last(); r.path != now.Load().Path || r.header.Get("Authorization") != "" {
		t.Errorf("%+v", r)
	}
	use("connect v2 get unknown")
	if err := c.CheckCredentials(t.Context()); err != nil {
		t.Error(err)
	}
	use("connect v2 timeout 1 ms")
	if err := c.CheckCredentials(t.Context()); err == nil || !strings.Contains(err.Error(), "403 (AUTH-Bs7Ds)") {
		t.Error(err)
	}
	use("connect v2 unknown call")
	if _, err := c.Clock(t.Context()); !errors.Is(err, upstream.ErrUnavailable) {
		t.Error(err)
	}
}
