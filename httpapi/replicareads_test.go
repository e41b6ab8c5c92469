package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// A costly search reads the replica, unless it is to be fresh or is by cursor:
// also while copies are configured and may not be used.
func TestConsistency_ReplicaReads(t *testing.T) {
	for name, nearBytes := range map[string]int{"near cache off": 0, "near cache not used": 1 << 20} { // it does not run
		t.Run(name, func(t *testing.T) {
			const many = 1200
			replica := redistest.Start(t)
			f := newFixture(t, func(s *setup) { s.store.NearBytes, s.store.Replicas = nearBytes, replica.Client(t) })
			f.redis.Do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
			for i := range many {
				at := f.now() + session.Time(i)
				made := &session.Session{
					ID: session.ID(fmt.Sprintf("s%04d", i)), CreationDate: at, ChangeDate: at, Sequence: 1, ExpirationDate: session.Never,
					Creator: "many", Factors: session.Factors{User: &session.UserFactor{ID: "many"}},
				}
				if err := f.store.Put(t.Context(), made, nil); err != nil {
					t.Fatal(err)
				}
			}
			f.advance(time.Second)
			host, port, _ := net.SplitHostPort(f.redis.Addr)
			replica.Do("REPLICAOF", host, port)
			eventually.Holds(t, "the replica is in sync", func() bool { return replica.Do("DBSIZE") == f.redis.Do("DBSIZE") })
			asked := func() int { return replica.Calls("zrange") + replica.Calls("hget") }
			check := func(want bool, cursor string, headers ...string) (next string) {
				t.Helper()
				before := asked()
				r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search",
					`{"query":{"limit":10`+cursor+`},"queries":[{"userIdQuery":{"id":"many"}},{"creatorQuery":{"id":"many"}}]}`, headers...)
				if !strings.Contains(r.body, `"totalResult":"1200"`) {
					t.Errorf("%.200s", r.body)
				}
				if n := asked() - before; (n > 0) != want {
					t.Errorf("cursor %q, %v: the replica was asked %d times, want some: %v", cursor, headers, n, want)
				}
				_, next, _ = strings.Cut(r.body, `"nextCursor":"`)
				next, _, _ = strings.Cut(next, `"`)
				return next
			}
			check(true, "")
			check(false, "", "Session-Consistency", "fresh")
			next := check(false, `,"cursor":""`)
			if next == "" {
				t.Fatal("there is no next page")
			}
			check(false, `,"cursor":"`+next+`"`)
			check(false, `,"cursor":"`+next+`"`, "Session-Consistency", "fresh")
			check(true, "")
		})
	}
}
