package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// newNearFixture is a fixture whose store has a near cache that is in use, and
// holds the session s1 of user u1.
func newNearFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, func(s *setup) { s.store.NearBytes, s.store.NearStaleness = 1<<20, time.Minute })
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.store.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s1", searchSessions[0])
	for begin := time.Now(); f.store.NearStats().Sessions.Hits == 0; {
		f.want(http.StatusOK, "admin", "GET", "/v2/sessions/s1", "")
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("the near cache is not used: %s", f.store.NearStats().State)
		}
	}
	return f
}

const searchU1 = `{"queries":[{"userIdQuery":{"id":"u1"}}]}`

func TestConsistency_FreshGoesPastTheNearCache(t *testing.T) {
	f := newNearFixture(t)
	hits := func() uint64 {
		s := f.store.NearStats()
		return s.Sessions.Hits + s.Lists.Hits + s.Tokens.Hits
	}
	check := func(copies bool, as, method, path, body string, headers ...string) {
		t.Helper()
		f.want(http.StatusOK, as, method, path, body, headers...) // so that there are copies of all of it
		before := hits()
		f.want(http.StatusOK, as, method, path, body, headers...)
		if used := hits() > before; used != copies {
			t.Errorf("%s %s %v: copies were used: %v, want %v", method, path, headers, used, copies)
		}
	}
	check(true, "admin", "GET", "/v2/sessions/s1", "")
	check(false, "admin", "GET", "/v2/sessions/s1", "", "Session-Consistency", "fresh")
	check(false, "admin", "GET", "/v2beta/sessions/s1", "", "session-consistency", "FRESH")
	check(true, "admin", "POST", "/v2/sessions/search", searchU1)
	check(false, "admin", "POST", "/v2/sessions/search", searchU1, "Session-Consistency", "Fresh")
	check(false, "admin", "PATCH", "/v2/sessions/s1", `{}`)
	check(false, "admin", "PUT", "/v2/sessions/s1", searchSessions[0])

	f.want(http.StatusBadRequest, "admin", "GET", "/v2/sessions/s1", "", "Session-Consistency", "fresh", "Session-Consistency", "stale")
	r := f.want(http.StatusBadRequest, "admin", "GET", "/v2/sessions/s1", "", "Session-Consistency", "eventual")
	if !strings.Contains(r.body, "the header Session-Consistency must be fresh") {
		t.Error(r.body)
	}
}

// A session token is looked up by copies for reads only.
func TestConsistency_TokensThatAuthoriseWrites(t *testing.T) {
	f := newNearFixture(t)
	made := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s2?issueToken=true",
		`{"creationDate":"2050-01-01T00:00:01Z","factors":{"user":{"id":"u1"},"password":{"verifiedAt":"2050-01-01T00:00:01Z"}}}`)
	_, rest, _ := strings.Cut(made.body, `"sessionToken":"`)
	token, _, _ := strings.Cut(rest, `"`)
	authorization := []string{"Authorization", "Bearer " + token}
	hits := func() uint64 { return f.store.NearStats().Sessions.Hits }

	f.want(http.StatusOK, "", "GET", "/v2/sessions/s2", "", authorization...)
	before := hits()
	f.want(http.StatusOK, "", "GET", "/v2/sessions/s2", "", authorization...)
	if hits() != before+2 {
		t.Errorf("%d hits for token and session, want 2", hits()-before)
	}
	before = hits()
	f.want(http.StatusOK, "", "DELETE", "/v2/sessions/s1", "", authorization...)
	if hits() != before {
		t.Error("a copy decided over a write")
	}
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/s1", "")
}

// What a body takes to come is not the store's time.
func TestSlowBodyLeavesTheStoreItsTime(t *testing.T) {
	f := newFixture(t)
	c := newTestCall(nil)
	c.route, c.start = &routes[0], time.Now().Add(-time.Hour)
	c.http.Request.Header.SetMethod("POST")
	c.http.Request.Header.Set("Authorization", "Bearer "+f.secret["admin"])
	c.http.Request.SetBodyStream(strings.NewReader(searchU1), len(searchU1))
	if err := f.server.run(t.Context(), c, false); err != nil {
		t.Error(err)
	}
}
