package httpapi

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// withReplicas has deletions wait for one replica, and remembers them.
func withReplicas(s *setup) {
	s.store.RevokeWaitReplicas, s.store.RememberDeletions = 1, 1000
}

// An answer says how many replicas have the deletion, over REST and Connect.
func TestDeletionsSayHowManyReplicasHaveThem(t *testing.T) {
	f := newFixture(t, withReplicas)
	put := func(id string) {
		t.Helper()
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id, `{"factors":{"user":{"id":"ada"}}}`)
	}
	expect := func(what, want string, r reply) {
		t.Helper()
		if r.status != http.StatusOK || r.header.Get(headerReplicas) != want {
			t.Errorf("%s: %d, %q, want 200, %q; %s", what, r.status, r.header.Get(headerReplicas), want, r.body)
		}
	}
	connect := func(id string) reply {
		return f.do("admin", "POST", "/zitadel.session.v2.SessionService/DeleteSession", `{"sessionId":"`+id+`"}`, "Content-Type", "application/json")
	}
	for _, id := range []string{"1", "2", "3", "4"} {
		put(id)
	}
	expect("without a replica", "0/1", f.do("admin", "DELETE", "/v2/sessions/1", ""))
	expect("once more", "0/1", f.do("admin", "DELETE", "/v2/sessions/1", ""))
	expect("by Connect", "0/1", connect("2"))
	r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true}`)
	if r.body != `{"revoked":"2"}` {
		t.Errorf("a dry run: %s", r.body)
	}
	r = f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"all":true}`)
	if r.body != `{"revoked":"2","unreplicated":"2"}` {
		t.Errorf("a revocation without a replica: %s", r.body)
	}
	for _, id := range []string{"1", "2", "3", "4"} {
		f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/"+id, "")
	}
	if r := f.do("admin", "GET", "/v2/sessions/1", ""); r.header.Get(headerReplicas) != "" {
		t.Error("a read says how many replicas have it")
	}

	if err := f.redis.Client(t).ConfigSet(t.Context(), "repl-diskless-sync-delay", "0").Err(); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(f.redis.Addr)
	redistest.Start(t, "replicaof "+host+" "+port)
	eventually.Holds(t, "the replica has it", func() bool {
		return f.do("admin", "DELETE", "/v2/sessions/1", "").header.Get(headerReplicas) == "1/1"
	})
	n := 0
	eventually.Holds(t, "a deletion is on the replica", func() bool {
		n++
		put(fmt.Sprint("rest", n))
		return f.do("admin", "DELETE", fmt.Sprint("/v2/sessions/rest", n), "").header.Get(headerReplicas) == "1/1"
	})
	eventually.Holds(t, "a revocation is on the replica", func() bool {
		n++
		put(fmt.Sprint("revoke", n))
		return f.do("admin", "POST", "/v2/sessions/revoke", `{"all":true}`).body == `{"revoked":"1"}`
	})
}

// Callers see nothing of a session that was deleted here and that an older
// snapshot has brought back, and mirrors may put it again only with a higher sequence.
func TestI4_RestoredSessionIsGoneForCallers(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.store.RememberDeletions = 1000 })
	const doc = `{"sequence":"5","factors":{"user":{"id":"ada"},"password":{}},"metadata":{"a":"MQ=="}}`
	r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s?issueToken=true", doc)
	_, token, _ := strings.Cut(r.body, `"sessionToken":"`)
	token, _, _ = strings.Cut(token, `"`)
	if err := f.redis.Client(t).Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/s", "")
	f.redis.Kill()
	f.redis.Restart()
	eventually.Holds(t, "Redis is back", func() bool { return f.store.Ping(t.Context()) == nil })
	if n := f.redis.Client(t).DBSize(t.Context()).Val(); n < 3 {
		t.Fatalf("the snapshot has brought nothing back: %d keys", n)
	}

	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/s", "")
	f.want(http.StatusNotFound, "admin", "PATCH", "/v2/sessions/s", `{"metadata":{"a":"Mg=="}}`)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/s", "")
	if r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{}`); !strings.Contains(r.body, `"totalResult":"0"`) {
		t.Errorf("a search finds it: %s", r.body)
	}
	if r := f.do("", "GET", "/verify", "", "X-Session-Token", token); r.status != http.StatusUnauthorized || r.header.Get("X-Auth-Reason") != "revoked" {
		t.Errorf("verify: %d %s", r.status, r.header.Get("X-Auth-Reason"))
	}
	f.want(http.StatusConflict, "admin", "PUT", "/v2/sessions/s", doc)
	f.want(http.StatusConflict, "admin", "PUT", "/v2/sessions/s", strings.Replace(doc, `"5"`, `"6"`, 1))
	if r := f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", `{"id":"s",`+doc[1:]); !strings.Contains(r.body, `"failed":1`) {
		t.Errorf("an import brings it back: %s", r.body)
	}
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/s", strings.Replace(doc, `"5"`, `"7"`, 1))
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/s", "")
}
