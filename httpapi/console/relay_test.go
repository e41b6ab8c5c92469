package console

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// found is an answer to a search.
type found struct {
	Details  struct{ TotalResult, NextCursor string }
	Sessions []struct{ ID string }
	Explain  any
}

func TestRelay_SearchesAndGets(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	id, _ := f.logIn("alice", "org-1")
	f.logIn("bob", "org-2")
	got := decoded[found](t, b.want(200, "POST", "search", `{"query":{"limit":1,"cursor":""},"explain":true}`))
	if got.Details.TotalResult != "2" || len(got.Sessions) != 1 || got.Explain == nil || got.Details.NextCursor == "" {
		t.Errorf("got %+v", got)
	}
	got = decoded[found](t, b.want(200, "POST", "search", `{"query":{"limit":1,"cursor":"`+got.Details.NextCursor+`"}}`))
	if len(got.Sessions) != 1 || got.Sessions[0].ID != id {
		t.Errorf("the next page has %+v", got)
	}
	r := b.want(200, "GET", "sessions/"+id, "")
	if !strings.HasPrefix(r.body, `{"session":{"id":"`+id+`"`) || r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s %v", r.body, r.header)
	}
	r.secured(t, "Get")
	b.want(404, "GET", "sessions/none", "").secured(t, "Get")
	b.want(404, "GET", "sessions/a%20b", "")
	b.want(400, "POST", "search", `{"query":{"limit":"many"}}`).secured(t, "search")
}

func TestRelay_Judges(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("org")
	id, token := f.logIn("alice", "org-1")
	theirs, _ := f.logIn("bob", "org-2")
	for body, by := range map[string]string{`{"id":"` + id + `"}`: "id", `{"token":"` + token + `"}`: "session_token"} {
		r := b.want(200, "POST", "judge", body)
		got := decoded[struct {
			Passes        bool
			By, SessionID string
		}](t, r)
		if !got.Passes || got.By != by || got.SessionID != id || strings.Contains(r.body, token) {
			t.Errorf("got %s", r.body)
		}
		r.secured(t, "judge")
	}
	if r := f.signIn("reader").want(200, "POST", "judge", `{"id":"none"}`); !strings.Contains(r.body, `"reason":"not_found"`) {
		t.Errorf("got %s", r.body)
	}
	b.want(403, "POST", "judge", `{"id":"`+theirs+`"}`).secured(t, "judge")
	if one, none := b.do("POST", "judge", `{"id":"`+theirs+`"}`), b.do("POST", "judge", `{"id":"none"}`); one.body != none.body || !strings.Contains(one.body, "nothing was found that this key may see") {
		t.Errorf("whether there is such a session shows: %s, %s", one.body, none.body)
	}
	b.want(400, "POST", "judge", `{}`)
	b.want(401, "POST", "judge", `{"id":"`+id+`"}`, "Cookie", "")
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	b.want(503, "POST", "judge", `{"id":"`+id+`"}`) // I2
}

func TestRelay_Live(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("reader")
	type picture struct {
		From, Seq int64
		Sessions  any
	}
	var first picture
	eventually.Holds(t, "the program is sampled", func() bool {
		r := b.want(200, "GET", "live", "")
		if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Encoding") != "" {
			t.Fatalf("got %v", r.header)
		}
		first = decoded[picture](t, r)
		return first.Seq >= 0
	})
	path := fmt.Sprintf("live?after=%d", first.Seq)
	zipped := b.want(200, "GET", path, "", "Accept-Encoding", "gzip")
	zipped.secured(t, path)
	r, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil || zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("Vary") != "Accept-Encoding" {
		t.Fatal(err, zipped.header)
	}
	var next picture
	if err := json.NewDecoder(r).Decode(&next); err != nil || next.Seq < first.Seq || next.From < first.From {
		t.Errorf("got %+v after %+v, %v", next, first, err)
	}
	for _, after := range []string{"", "x", "-1", "1.5", "99999999999999999999"} {
		b.want(400, "GET", "live?after="+after, "")
	}
	b.want(401, "GET", "live", "", "Cookie", "")
	// A key of one organization is not told of the others' sessions.
	limited := f.signIn("org")
	for _, path := range []string{"live", "live?after=0"} {
		if r := limited.want(200, "GET", path, ""); !strings.Contains(r.body, `"sessions":null`) || strings.Contains(r.body, `"sessions":[`) || strings.Contains(r.body, "answers") {
			t.Errorf("%s: %s", path, r.body)
		}
		if r := b.want(200, "GET", path, ""); !strings.Contains(r.body, `"sessions":{"known"`) || !strings.Contains(r.body, `"sessions":[`) {
			t.Errorf("%s: %s", path, r.body)
		}
	}
	// A page that only watches does not keep its session of the console alive.
	used := func() (last time.Time) {
		f.console.signIns.mu.Lock()
		defer f.console.signIns.mu.Unlock()
		for _, s := range f.console.signIns.all {
			if s.used.After(last) {
				last = s.used
			}
		}
		return last
	}
	before := used()
	b.want(200, "GET", "live", "")
	if !used().Equal(before) {
		t.Error("live counts as use")
	}
	b.want(200, "GET", "me", "")
	if !used().After(before) {
		t.Error("nothing counts as use")
	}
}

// The permissions of the key hold, in each organization.
func TestRelay_PermissionsHold(t *testing.T) {
	f := newFixture(t)
	ours, _ := f.logIn("alice", "org-1")
	theirs, _ := f.logIn("bob", "org-2")
	for as, want := range map[string]struct {
		total         string
		ours, theirs  int
		revokedOfBoth string
	}{
		"admin":  {"2", 200, 200, "2"},
		"reader": {"2", 200, 200, "0"},
		"org":    {"1", 200, 403, "1"},
	} {
		b := f.signIn(as)
		if got := decoded[found](t, b.want(200, "POST", "search", `{}`)); got.Details.TotalResult != want.total {
			t.Errorf("%s finds %s, want %s", as, got.Details.TotalResult, want.total)
		}
		b.want(want.ours, "GET", "sessions/"+ours, "")
		if r := b.do("GET", "sessions/"+theirs, ""); r.status != want.theirs {
			t.Errorf("%s: got %d %s, want %d", as, r.status, r.body, want.theirs)
		}
		both := `"queries":[{"idsQuery":{"ids":["` + ours + `","` + theirs + `"]}}]`
		if r := b.want(200, "POST", "revocations", `{"dryRun":true,`+both+`}`); r.body != `{"revoked":"`+want.revokedOfBoth+`"}` {
			t.Errorf("%s would revoke %s, want %s", as, r.body, want.revokedOfBoth)
		}
	}
	// A key that may only read revokes nothing, whatever its page shows.
	job := f.signIn("reader").revokes(`{"all":true}`)
	if job.State != "done" || string(job.Answer) != `{"revoked":"0"}` {
		t.Errorf("got %+v", job)
	}
	admin := f.signIn("admin")
	admin.want(200, "GET", "sessions/"+ours, "")
	if job := f.signIn("org").revokes(`{"all":true}`); string(job.Answer) != `{"revoked":"1"}` {
		t.Errorf("got %+v", job)
	}
	admin.want(404, "GET", "sessions/"+ours, "")
	admin.want(200, "GET", "sessions/"+theirs, "")
}

// No key, cookie or token reaches the log, at any level. (I6)
func TestI6_NoSecretIsLogged(t *testing.T) {
	f := newFixture(t)
	_, token := f.logIn("alice", "org-1")
	b := f.signIn("admin")
	const wrong = "ck_notthekey"
	b.do("POST", "sign-in", `{"key":"`+wrong+`"}`)
	b.do("POST", "sign-in", `{"key":"`+wrong+`"`)
	b.do("POST", "sign-in", `{"`+wrong+`":1}`)
	b.do("POST", "judge", `{"token":"`+token+`"}`)
	b.do("POST", "judge", `{"token":"`+token)
	b.do("POST", "search", `{"`+token+`":1}`)
	b.do("GET", "sessions/"+token, "")
	b.revokes(`{"queries":[{"userIdQuery":{"id":"alice"}}]}`)
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	b.do("POST", "judge", `{"token":"`+token+`"}`)
	b.do("GET", "sessions/"+token, "")
	b.do("POST", "sign-out", `{}`)
	logged := f.logs.String()
	_, cookie, _ := strings.Cut(b.cookie, "=")
	for what, secret := range map[string]string{"key": f.secret["admin"], "cookie": cookie, "proof": b.proof, "token": token, "end of the token": token[len(token)-20:], "wrong key": wrong} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has the %s: %s", what, logged)
		}
	}
	for _, line := range []string{`msg="console sign-in" proxy=127.0.0.1 request_id=`, `msg="console sign-out" proxy=127.0.0.1 request_id=`, "caller=admin", "msg=write request_id="} {
		if !strings.Contains(logged, line) {
			t.Errorf("the log does not have %s: %s", line, logged)
		}
	}
}
