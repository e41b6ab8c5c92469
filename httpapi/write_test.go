package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// got is a GetSessionResponse, as far as tests look at it.
type got struct {
	Session struct {
		Sequence       string
		ChangeDate     time.Time
		CreationDate   time.Time
		ExpirationDate *time.Time
		Metadata       map[string]string
	}
}

func (f *fixture) get(id string) got {
	f.t.Helper()
	var g got
	if err := json.Unmarshal([]byte(f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "").body), &g); err != nil {
		f.t.Fatal(err)
	}
	return g
}

// Many callers set one session at a time: every one that is told 200 finds its
// update in the end, and there are as many versions as updates.
func TestConcurrentSetsLoseNothing(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		// A slow machine must not run into the deadline: that is another test.
		f := newFixture(t, withShards(shards), func(s *setup) {
			s.limits.request = time.Minute
			s.config.MaxSessionBytes = 1 << 20
		})
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s", `{}`)
		const callers, each = 8, 25
		var wg sync.WaitGroup
		var mu sync.Mutex
		set, tokens := map[string]bool{}, map[string]bool{}
		for i := range callers {
			wg.Go(func() {
				for j := range each {
					key := fmt.Sprintf("%d-%d", i, j)
					for {
						r, err := f.try("writer", "PATCH", "/v2/sessions/s", `{"metadata":{"`+key+`":"MQ=="}}`)
						if err != nil {
							t.Error(err)
							return
						}
						if r.status == http.StatusConflict {
							continue // told so: nothing was written
						}
						if r.status != http.StatusOK {
							t.Errorf("set: %d %s", r.status, r.body)
							return
						}
						mu.Lock()
						set[key] = true
						tokens[newToken.FindStringSubmatch(r.body)[1]] = true
						mu.Unlock()
						break
					}
				}
			})
		}
		wg.Wait()
		g := f.get("s")
		if len(set) != callers*each || len(tokens) != callers*each {
			t.Errorf("%d updates and %d tokens, want %d", len(set), len(tokens), callers*each)
		}
		for key := range set {
			if g.Session.Metadata[key] == "" {
				t.Errorf("the update %s is lost", key)
			}
		}
		if want := fmt.Sprint(callers*each + 1); g.Session.Sequence != want {
			t.Errorf("the sequence is %s, want %s", g.Session.Sequence, want)
		}
		good := 0
		for token := range tokens {
			if f.do("nobody", "GET", "/v2/sessions/s?sessionToken="+token, "").status == http.StatusOK {
				good++
			}
		}
		if good != 1 {
			t.Errorf("%d tokens are good, want the last one alone", good)
		}
	})
}

// Many callers create sessions in the same microsecond: all get their own.
func TestConcurrentCreates(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r, err := f.try("admin", "POST", "/v2/sessions", `{}`)
				if err != nil || r.status != http.StatusCreated {
					t.Errorf("create: %d %s %v", r.status, r.body, err)
					return
				}
				mu.Lock()
				ids[newID.FindStringSubmatch(r.body)[1]] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) != 400 {
		t.Errorf("%d IDs, want 400", len(ids))
	}
}

// The change date never goes back, even if the clock does.
func TestChangeDateNeverGoesBack(t *testing.T) {
	f := newFixture(t)
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s", `{"changeDate":"2050-03-01T00:00:00Z"}`)
	f.want(http.StatusOK, "admin", "PATCH", "/v2/sessions/s", `{"metadata":{"a":"MQ=="}}`)
	if g := f.get("s"); g.Session.Sequence != "2" || !g.Session.ChangeDate.Equal(time.Date(2050, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", g.Session)
	}
}

// Without limits a session has the default lifetime, or never ends.
func TestLifetimes(t *testing.T) {
	expiration := func(f *fixture, body string) *time.Time {
		r := f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", body)
		return f.get(newID.FindStringSubmatch(r.body)[1]).Session.ExpirationDate
	}
	never := newFixture(t)
	if e := expiration(never, `{}`); e != nil {
		t.Errorf("a session without a lifetime ends at %v", e)
	}
	if e := expiration(never, `{"lifetime":"1.5s"}`); e == nil || !e.Equal(start.Add(1500*time.Millisecond)) {
		t.Errorf("a lifetime of 1.5s ends at %v", e)
	}
	if e := expiration(never, `{"lifetime":"0.000001s"}`); e == nil || !e.Equal(start.Add(time.Microsecond)) {
		t.Errorf("a lifetime of a microsecond ends at %v", e)
	}
	if e := expiration(never, `{"lifetime":"0.000000001s"}`); e == nil || !e.Equal(start.Add(time.Microsecond)) {
		t.Errorf("a lifetime of a nanosecond ends at %v", e)
	}
	if e := expiration(never, `{"lifetime":"9223372036s"}`); e == nil || e.Year() != 2342 {
		t.Errorf("a lifetime of 292 years ends at %v", e)
	}
	hour := newFixture(t, func(s *setup) { s.config.DefaultLifetime = time.Hour })
	if e := expiration(hour, `{}`); e == nil || !e.Equal(start.Add(time.Hour)) {
		t.Errorf("the default lifetime ends at %v", e)
	}
	if e := expiration(hour, `{"lifetime":"86400s"}`); e == nil || !e.Equal(start.Add(24*time.Hour)) {
		t.Errorf("a lifetime above the default ends at %v", e)
	}
	// Set changes it, and cannot remove it.
	r := hour.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{}`)
	id := newID.FindStringSubmatch(r.body)[1]
	hour.want(http.StatusOK, "admin", "PATCH", "/v2/sessions/"+id, `{"lifetime":null,"metadata":{"a":"MQ=="}}`)
	if e := hour.get(id).Session.ExpirationDate; e == nil || !e.Equal(start.Add(time.Hour)) {
		t.Errorf("after a Set without a lifetime it ends at %v", e)
	}
	hour.want(http.StatusOK, "admin", "PATCH", "/v2/sessions/"+id, `{"lifetime":"60s"}`)
	if e := hour.get(id).Session.ExpirationDate; e == nil || !e.Equal(start.Add(time.Minute)) {
		t.Errorf("after a Set with a lifetime it ends at %v", e)
	}
}

// A store that takes no further session says so.
func TestStoreFull(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.store.MaxSessions = 1 })
	f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{}`)
	r := f.want(http.StatusTooManyRequests, "admin", "POST", "/v2/sessions", `{}`)
	if !strings.Contains(r.body, `"code":8`) || !strings.Contains(r.body, session.ErrFull.Error()+": it holds as many sessions as it may") {
		t.Errorf("got %s", r.body)
	}
}

// Redis that is late is unavailable: no answer may say that a session does not
// exist, nor that a credential is bad.
func TestI2_LateIsUnavailable(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.request = 500 * time.Millisecond })
	r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s?issueToken=true",
		`{"factors":{"user":{"id":"alice"},"password":{}}}`)
	token := newToken.FindStringSubmatch(r.body)[1]
	f.redis.Pause()
	var wg sync.WaitGroup // all at once, as each takes its whole time
	for _, c := range []struct{ as, method, path, body string }{
		{"admin", "GET", "/v2/sessions/s", ""},
		{token, "GET", "/v2/sessions/s", ""},
		{"nobody", "GET", "/v2/sessions/s?sessionToken=" + token, ""},
		{"admin", "GET", "/v2beta/sessions/s", ""},
		{"admin", "POST", "/v2/sessions/search", "{}"},
		{"alice", "POST", "/v2/sessions/search", "{}"},
		{"admin", "POST", "/v2/sessions", "{}"},
		{"admin", "PATCH", "/v2/sessions/s", `{"metadata":{"a":"MQ=="}}`},
		{"admin", "DELETE", "/v2/sessions/s", ""},
		{"admin", "PUT", "/v2/sessions/s", "{}"},
	} {
		wg.Go(func() {
			r, err := f.try(c.as, c.method, c.path, c.body)
			if err != nil || r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"code":14`) {
				t.Errorf("%s %s: %d %v %s %v", c.method, c.path, r.status, r.header, r.body, err)
			}
		})
	}
	wg.Wait()
	f.redis.Resume()
	if !strings.Contains(f.logs.String(), "level=ERROR") {
		t.Error("the log does not say so")
	}
}

// A document in the store that cannot be read is a fault of the store, not an
// unknown session.
func TestI2_ErrorTable(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   refusal.Code
		status int
	}{
		{session.ErrNotFound, refusal.NotFound, 404},
		{session.ErrConflict, refusal.Aborted, 409},
		{session.ErrDeleted, refusal.Exists, 409},
		{session.ErrFull, refusal.Exhausted, 429},
		{session.ErrUnavailable, refusal.Unavailable, 503},
		{fmt.Errorf("anything else"), refusal.Unavailable, 503},
		{fmt.Errorf("wrapped: %w", session.ErrNotFound), refusal.NotFound, 404},
		{session.BrokenDoc("s", fmt.Errorf("no JSON")), refusal.Unavailable, 503},
		{&session.InvalidError{Field: "f", Problem: "p"}, refusal.Invalid, 400},
	} {
		e := asAPIError(c.err)
		if e.Code != c.code || e.Status() != c.status {
			t.Errorf("%v: got code %d and status %d, want %d and %d", c.err, e.Code, e.Status(), c.code, c.status)
		}
	}
}
