package scenario

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// aboutTen is about ten sessions of five users, of which the first four are hot.
func aboutTen(t *testing.T) Config {
	t.Helper()
	var sessions []Session
	for i := range 10 {
		sessions = append(sessions, Session{ID: fmt.Sprint(900 + i), Token: fmt.Sprintf("a.b.c.d.token-%d", i), UserID: fmt.Sprint(500 + i%5)})
	}
	return Config{Host: "h", Key: "k", Zipf: 0.99, Created: newCreated(sessions), Hot: 4, ColdShare: 0.2}
}

func newKnownClient(t *testing.T, name string, c Config) (*known, load.Scenario) {
	t.Helper()
	s, err := New(name, c)
	if err != nil {
		t.Fatal(err)
	}
	return s.Client(0, load.NewRand(1, 1)).(*known), s
}

// The mix has its shares, asks for cold sessions once each, and creates, deletes and asks for what it has deleted in turn.
func TestUpstreamMix_Mixes(t *testing.T) {
	for _, hasVerify := range []bool{true, false} {
		c := aboutTen(t)
		c.HasVerify = hasVerify
		k, s := newKnownClient(t, "upstream-mix", c)
		const n = 20_000
		kinds, cold := map[asking]int{}, map[string]int{}
		for i := range n {
			before := c.Created.cold.Load()
			request, want := k.Next(nil)
			kinds[k.kind]++
			if c.Created.cold.Load() > before && before < 6 {
				cold[k.session.ID]++
			}
			switch k.kind {
			case creates:
				if err := k.Check(&load.Answer{Status: 201, Body: fmt.Appendf(nil, `{"sessionId":"made-%d","sessionToken":"t"}`, i)}); err != nil {
					t.Fatal(err)
				}
				if want != 201 || !bytes.Contains(request, []byte(`{"user":{"userId":"`+k.session.UserID+`"}}`)) {
					t.Fatalf("%d %s", want, request)
				}
			case deletes:
				if err := k.Check(&load.Answer{Status: 200, Body: []byte(`{"details":{}}`)}); err != nil {
					t.Fatal(err)
				}
				if want != 200 || !bytes.HasPrefix(request, []byte("DELETE /v2/sessions/made-")) {
					t.Fatalf("%d %s", want, request)
				}
			case refusals:
				if !strings.HasPrefix(k.session.ID, "made-") || want/100 != 4 {
					t.Fatalf("%d %s", want, request)
				}
			case verifies:
				right := "GET /verify HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + k.session.ID + ":" + k.session.Token + "\r\n\r\n"
				if !hasVerify {
					right = "GET /v2/sessions/" + k.session.ID + "?sessionToken=" + k.session.Token + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\n\r\n"
				}
				if string(request) != right || want != 200 {
					t.Fatalf("%d %s", want, request)
				}
			case searches:
				if !bytes.HasPrefix(request, []byte("POST /v2/sessions/search ")) || !bytes.Contains(request, []byte(`"queries":[{"userIdQuery":{"id":"`+k.session.UserID+`"}}]`)) {
					t.Fatalf("%s", request)
				}
			}
		}
		for kind, share := range map[asking]float64{verifies: 0.8, gets: 0.15, searches: 0.04, creates: 0.005, deletes: 0.005, refusals: 0.005} {
			if got := float64(kinds[kind]) / n; got < 0.7*share || got > 1.3*share {
				t.Errorf("%s: %.4f of all, want %g", kind, got, share)
			}
		}
		if len(cold) != 6 {
			t.Errorf("%d cold sessions were asked for, of 6", len(cold))
		}
		for id, times := range cold {
			if times > 1 || id < "904" {
				t.Errorf("%s was asked for %d times as a cold one", id, times)
			}
		}
		if invalid, ok := s.(interface{ Invalid() string }); !ok || !strings.Contains(invalid.Invalid(), "cold sessions") {
			t.Error("cold sessions were asked for twice, and the run is valid")
		}
	}
	k, s := newKnownClient(t, "get", aboutTen(t))
	for range 1000 {
		if k.Next(nil); k.kind != gets {
			t.Fatalf("get asks for a %s", k.kind)
		}
	}
	if why := s.(interface{ Invalid() string }).Invalid(); why != "" {
		t.Error(why)
	}
}

// A true answer passes in any form of JSON, and each kind of wrong answer is an error.
func TestAboutCreated_ChecksAnswers(t *testing.T) {
	const (
		session  = `{"id":"900","factors":{"user":{"id":"500"}}}`
		other    = `{"id":"905","factors":{"user":{"id":"500"}}}` // of the same user
		verified = `{"active":true,"subject":"500","sub":"500","id":"900"}`
		head     = "HTTP/1.1 200 OK\r\nX-Session-User: 500\r\n\r\n"
	)
	f := func(kind asking, hasVerify bool, head, body string, wantQuick, wantDeep bool) {
		t.Helper()
		c := aboutTen(t)
		c.HasVerify = hasVerify
		k := newKnown(c)
		k.kind, k.session = kind, c.Created.Sessions[0]
		deep := k.Deep()
		if err := k.Check(&load.Answer{Status: 200, Head: []byte(head), Body: []byte(body)}); (err == nil) != wantQuick {
			t.Errorf("%s of %s: %v", kind, body, err)
		}
		if deep == nil {
			return
		}
		if err := deep([]byte(body)); (err == nil) != wantDeep {
			t.Errorf("%s of %s, in full: %v", kind, body, err)
		}
	}
	for _, kind := range []asking{gets, verifies} {
		f(kind, false, "", `{"session":`+session+`}`, true, true)
		f(kind, false, "", `{"session": {"id": "900", "factors": {"user": {"id": "500"}}}}`, true, true)
		f(kind, false, "", `{"session":`+other+`}`, false, false)
		f(kind, false, "", `{"session":{"id":"900","factors":{"user":{"id":"501"}}}}`, false, false)
		f(kind, false, "", `{"session":{"id":"500","factors":{"user":{"id":"900"}}}}`, true, false) // only all of it tells
		f(kind, false, "", `{}`, false, false)
		f(kind, false, "", ``, false, false)
	}
	f(verifies, true, head, verified, true, true)
	f(verifies, true, "HTTP/1.1 200 OK\r\nX-Session-User: 501\r\n\r\n", verified, false, true)
	f(verifies, true, head, strings.Replace(verified, "900", "901", 1), false, false)
	f(verifies, true, head, strings.Replace(verified, "true", "false", 1), false, false)
	f(verifies, true, head, strings.Replace(verified, `"subject":"500"`, `"subject":"501"`, 1), true, false)
	f(searches, false, "", `{"details":{}, "sessions":[`+session+`, `+other+`]}`, true, true)
	f(searches, false, "", `{"sessions":[`+session+`,`+other+`,{"id":"1","factors":{"user":{"id":"500"}}}]}`, true, true) // a new one
	f(searches, false, "", `{"sessions":[`+session+`]}`, false, false)
	f(searches, false, "", `{"sessions":[`+session+`,`+other+`,{"id":"1","factors":{"user":{"id":"501"}}}]}`, true, false)
	f(searches, false, "", `{"details":{}}`, false, false)
	f(deletes, false, "", `{"details":{}}`, true, true)
	f(deletes, false, "", `{}`, false, false)
	f(creates, false, "", `{"sessionId":"1","sessionToken":"t"}`, true, true)
	f(creates, false, "", `{"sessionId":"1"}`, false, false)
	f(creates, false, "", `{"sessionId":"1 HTTP/1.1","sessionToken":"t"}`, false, false)
}

// The file of sessions is its owner's alone, comes back as it was, and is not believed.
func TestCreated_File(t *testing.T) {
	want := aboutTen(t).Created
	file := filepath.Join(t.TempDir(), "sessions")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	got, err := ReadCreated(file)
	if err != nil || fmt.Sprint(got.Sessions, got.ofUser) != fmt.Sprint(want.Sessions, want.ofUser) {
		t.Errorf("%v, %v", got, err)
	}
	refuses := func(why, content string, read func(string) error) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(file); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want an error with %q", content, err, why)
		}
	}
	sessions := func(file string) error { _, err := ReadCreated(file); return err }
	refuses("has no sessions", "", sessions)
	refuses("session 1: an ID or a token is missing", `{"id":"1","userId":"2"}`, sessions)
	refuses("session 2: an ID or a token is missing", `{"id":"1","token":"t","userId":"2"} {"id":"1\r\nX: y","token":"t","userId":"2"}`, sessions)
	refuses("session 1", `{"id":`, sessions)
	users := func(file string) error { _, err := ReadUserIDs(file); return err }
	refuses("has no user IDs", "\n \n", users)
	refuses("number 2", "1\n2/3\n", users)
}
