package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

const userLimitText = `"code":8,"message":"the user has as many sessions as --max-sessions-per-user allows, which is 2"`

// At the limit of a user's sessions, a create, a set of the user, a PUT and a
// line of an import are refused, and nothing of them is stored.
func TestUserLimit_Refuse(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards), func(s *setup) { s.store.MaxSessionsPerUser = 2 })
		const alice = `{"factors":{"user":{"id":"alice"}}}`
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/a", alice)
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/b", alice)
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/nobodys", `{}`)
		for _, c := range []struct{ method, path, body string }{
			{"POST", "/v2/sessions", `{"checks":{"user":{"userId":"alice"}}}`},
			{"POST", "/v2beta/sessions", `{"checks":{"user":{"userId":"alice"}}}`},
			{"PATCH", "/v2/sessions/nobodys", `{"checks":{"user":{"userId":"alice"}},"metadata":{"k":"dg=="}}`},
			{"PUT", "/v2/sessions/c", alice},
			{"PUT", "/v2/sessions/nobodys", alice},
		} {
			if r := f.want(http.StatusTooManyRequests, "admin", c.method, c.path, c.body); !strings.Contains(r.body, userLimitText) {
				t.Errorf("%s %s: %s", c.method, c.path, r.body)
			}
		}
		r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", `{"id":"d","factors":{"user":{"id":"alice"}}}
{"id":"a","factors":{"user":{"id":"alice"}}}
{"id":"e","factors":{"user":{"id":"bob"}}}`)
		if !strings.Contains(r.body, `"stored":2,"expired":0,"failed":1,"errors":[{"line":1,"message":"the user has as many sessions`) {
			t.Errorf("got %s", r.body)
		}
		r = f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{"queries":[{"userIdQuery":{"id":"alice"}}]}`)
		if !strings.Contains(r.body, `"totalResult":"2"`) {
			t.Errorf("got %s", r.body)
		}
		if s := f.get("nobodys").Session; s.Sequence != "1" || len(s.Metadata) > 0 {
			t.Errorf("a refused Set left %+v", s)
		}
	})
}

// With evictions, the oldest session goes, its token with it, and the log says
// which, for whom, and nothing secret.
func TestUserLimit_Evict(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards), func(s *setup) { s.store.MaxSessionsPerUser, s.store.EvictOldest = 2, true })
		var ids, tokens []string
		for range 3 {
			r := f.want(http.StatusCreated, "admin", "POST", "/v2/sessions", `{"checks":{"user":{"userId":"alice"}},"factors":{"password":{}}}`)
			token := newToken.FindStringSubmatch(r.body)[1]
			id, _, _ := strings.Cut(token, ".")
			ids, tokens = append(ids, id), append(tokens, token)
			f.clock.Add(1_000_000)
		}
		f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/"+ids[0], "")
		f.want(http.StatusUnauthorized, tokens[0], "GET", "/v2/sessions/"+ids[1], "")
		f.want(http.StatusOK, tokens[1], "GET", "/v2/sessions/"+ids[1], "")
		f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+ids[2], "")
		want := fmt.Sprintf(`msg="session evicted" audit=true session_id=%s user_id=alice for_session_id=%s limit=2`, ids[0], ids[2])
		if log := f.logs.String(); strings.Count(log, "session evicted") != 1 || !strings.Contains(log, want) {
			t.Errorf("the log has not once %s:\n%s", want, log)
		}
		for _, token := range tokens {
			if strings.Contains(f.logs.String(), token) {
				t.Errorf("P=%d: the log has a token", shards)
			}
		}
		if n := f.store.Evicted(); n != 1 {
			t.Errorf("%d were evicted, want 1", n)
		}
	})
}

// Many who log in as one user at the same time get through, or are told to try
// again; the user has as many sessions as allowed in the end.
func TestUserLimit_ManyAtOnce(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards), func(s *setup) { s.store.MaxSessionsPerUser, s.store.EvictOldest = 2, true })
		var group sync.WaitGroup
		var created, conflicts atomic.Int64
		for range 16 {
			group.Go(func() {
				for range 5 {
					r, err := f.try("admin", "POST", "/v2/sessions", `{"checks":{"user":{"userId":"alice"}}}`)
					switch {
					case err != nil:
						t.Error(err)
					case r.status == http.StatusCreated:
						created.Add(1)
					case r.status == http.StatusConflict && strings.Contains(r.body, "try again"), r.status == http.StatusServiceUnavailable:
						conflicts.Add(1)
					default:
						t.Errorf("got %d %s", r.status, r.body)
					}
				}
			})
		}
		group.Wait()
		t.Logf("%d created, %d told to try again", created.Load(), conflicts.Load())
		if n := created.Load(); n < 16 {
			t.Errorf("only %d got through", n)
		}
		r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{"queries":[{"userIdQuery":{"id":"alice"}}]}`)
		left := strings.Count(r.body, `"creationDate"`)
		if left > 2 || left < 2 && conflicts.Load() == 0 { // who gave up may have evicted
			t.Errorf("%d are left: %s", left, r.body)
		}
	})
}
