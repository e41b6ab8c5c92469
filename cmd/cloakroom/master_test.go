package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// pair is a master and its replica, and an address that leads to the master.
type pair struct {
	t               *testing.T
	master, replica *redistest.Server
	proxy           *redistest.Proxy
}

func startPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, master: redistest.Start(t, "repl-diskless-sync-delay 0"), replica: redistest.Start(t, "repl-diskless-sync-delay 0")}
	host, port, _ := net.SplitHostPort(p.master.Addr)
	p.replica.Do("REPLICAOF", host, port)
	eventually.Holds(p.t, "the replica follows", func() bool {
		return strings.Contains(p.replica.Do("INFO", "replication").(string), "master_link_status:up")
	})
	p.proxy = redistest.NewProxy(t, p.master.Addr)
	return p
}

// caughtUp waits until the replica has all that the master was told.
func (p *pair) caughtUp() {
	p.t.Helper()
	eventually.Holds(p.t, "the replica has all", func() bool {
		at := fmt.Sprintf("master_repl_offset:%v", strings.Fields(strings.TrimPrefix(fmt.Sprint(p.master.Do("ROLE")), "["))[1])
		return strings.Contains(p.replica.Do("INFO", "replication").(string), at)
	})
}

// cutOff makes a server a replica whose master is not there: its data grow old.
func cutOff(s *redistest.Server) { s.Do("REPLICAOF", "127.0.0.1", "1") }

// serve launches a sidecar at the address of the pair.
func (p *pair) serve(flags ...string) *cloakroom {
	return launch(p.t, append([]string{"serve", "--redis-url", "redis://" + p.proxy.Addr, "--auth-anonymous"}, quick(flags...)...))
}

var nearSettings = map[string]string{"near": "--near-cache-bytes=16MiB", "no near": "--near-cache-bytes=0"}

// The address moves to the promoted replica, and the old master is a replica with its link down, to which connections
// stay open. What one sidecar deletes, the other refuses.
func TestI4_TheEndpointMoves(t *testing.T) {
	t.Parallel()
	for name, near := range nearSettings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPair(t)
			a, _ := p.serve(near).ready(t)
			b, admin := p.serve(near).ready(t)
			id := create(t, a, "u1")
			for range 20 {
				want(t, 200, "GET", b+"/v2/sessions/"+id, "")
			}
			p.caughtUp()
			p.replica.Do("REPLICAOF", "NO", "ONE")
			cutOff(p.master)
			p.proxy.Lead(p.replica.Addr)
			eventually.Holds(p.t, "the session is deleted", func() bool {
				status, answer := call(t, "DELETE", a+"/v2/sessions/"+id, "")
				if status != 200 && status != 503 {
					t.Fatalf("%d: %s", status, answer)
				}
				return status == 200
			})
			deleted := time.Now()
			for _, header := range [][]string{{"Session-Consistency", "fresh"}, nil} {
				eventually.Holds(p.t, "it is refused", func() bool {
					begun := time.Now()
					status, answer := call(t, "GET", b+"/v2/sessions/"+id, "", header...)
					if status == 200 && begun.Sub(deleted) > time.Second {
						t.Errorf("%q: it passes %v after it was deleted: %s", header, begun.Sub(deleted), answer)
					}
					return status == 404
				})
			}
			// All connections are dialled anew, so that no further write fails.
			for range 10 {
				create(t, a, "u2")
				create(t, b, "u2")
			}
			wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_master_proven 1\n", "cloakroom_redis_master_changes_total 1\n")
		})
	}
}

// Somebody demotes the master, and nothing takes its place: unavailable everywhere, and not ready.
func TestI2_TheMasterIsDemoted(t *testing.T) {
	t.Parallel()
	for name, near := range nearSettings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startPair(t)
			s := p.serve(near)
			api, admin := s.ready(t)
			id := create(t, api, "u1")
			want(t, 200, "GET", api+"/v2/sessions/"+id, "")
			cutOff(p.master)
			awaitAnswer(t, 503, admin+"/readyz", "replica")
			for path, status := range map[string]int{"/v2/sessions/" + id: 503, "/v2/sessions/18000": 503, "/verify": 401} {
				want(t, status, "GET", api+path, "")
			}
			if status, answer := call(t, "GET", api+"/verify", "", "Authorization", "Bearer unknown-token"); status != 503 {
				t.Errorf("verify: %d: %s", status, answer)
			}
			want(t, 503, "DELETE", api+"/v2/sessions/"+id, "")
			wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_master_proven 0\n")
			p.master.Do("REPLICAOF", "NO", "ONE")
			awaitStatus(t, 200, admin+"/readyz")
			want(t, 200, "GET", api+"/v2/sessions/"+id, "")
			s.logged(t, "redis is not used until a master is proven: reads and writes are refused", 1)
			s.logged(t, "redis proves to be the master", 1)
		})
	}
}

// --redis-url leads to a replica, from the start or later: a session that the replica lacks is not deleted in vain.
func TestI2_TheURLOfAReplica(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	p.proxy.Lead(p.replica.Addr)
	s := p.serve()
	admin := fmt.Sprint("http://", s.logged(t, "starting", 1)["admin"])
	awaitAnswer(t, 503, admin+"/readyz", "is a replica of "+p.master.Addr)
	p.proxy.Lead(p.master.Addr)
	api, _ := s.ready(t)
	cutOff(p.replica)
	id := create(t, api, "u1")
	p.proxy.Lead(p.replica.Addr)
	p.proxy.CutAll()
	eventually.Holds(p.t, "it is known", func() bool {
		status, answer := call(t, "DELETE", api+"/v2/sessions/"+id, "")
		if status != 503 {
			t.Fatalf("a deletion by a replica is answered with %d: %s", status, answer)
		}
		return strings.Contains(want(t, 503, "GET", admin+"/readyz", ""), "is a replica")
	})
	p.proxy.Lead(p.master.Addr)
	awaitStatus(t, 200, admin+"/readyz")
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
}

// Where CLIENT is forbidden there is no near cache, and all else works. Connections are named by HELLO.
func TestServeWithoutTheRightToCLIENT(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Do("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-client")
	for name, near := range nearSettings {
		t.Run(name, func(t *testing.T) {
			s := launch(t, append([]string{"serve", "--redis-url", "redis://app:secret@" + redis.Addr, "--auth-anonymous", near}, quick()...))
			api, admin := s.ready(t)
			serves(t, api, "u-"+name)
			if near != nearSettings["no near"] {
				p := &pair{t: t}
				eventually.Holds(p.t, "the near cache is off", func() bool {
					return strings.Contains(want(t, 200, "GET", admin+"/readyz?verbose", ""), "near cache: off: the server has no client tracking")
				})
			}
			if list := redis.Do("CLIENT", "LIST").(string); !strings.Contains(list, "name=cloakroom ") {
				t.Errorf("no connection has a name: %s", list)
			}
		})
	}
}

// hammer has many callers create, read and search, and returns how many of their calls failed.
func hammer(t *testing.T, api string) (failed int32) {
	t.Helper()
	http := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer http.CloseIdleConnections()
	var wrong atomic.Int32
	var group sync.WaitGroup
	for i := range 32 {
		group.Go(func() {
			id := "1"
			for n := range 30 {
				method, path, body := "GET", "/v2/sessions/"+id, ""
				switch (i + n) % 3 {
				case 0:
					method, path, body = "POST", "/v2/sessions", fmt.Sprintf(`{"checks":{"user":{"userId":"u%d"}}}`, i)
				case 1:
					method, path, body = "POST", "/v2/sessions/search", `{"query":{"limit":5},"queries":[{"creationDateQuery":{"creationDate":"2020-01-01T00:00:00Z","method":"TIMESTAMP_QUERY_METHOD_GREATER"}}]}`
				}
				if status, answer := callWith(t, http, method, api+path, body); status >= 500 {
					if wrong.Add(1) == 1 {
						t.Logf("%s %s: %d: %s", method, path, status, answer)
					}
				}
			}
		})
	}
	group.Wait()
	return wrong.Load()
}

// The documentation says how many connections a process has. Not parallel: no call may take longer than it is given.
func TestConnectionsAreAsManyAsDocumented(t *testing.T) {
	redis := redistest.Start(t)
	api, _ := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...)).ready(t)
	if failed := hammer(t, api); failed > 0 {
		t.Errorf("%d calls failed", failed)
	}
	if n := strings.Count(redis.Do("CLIENT", "LIST").(string), "name=cloakroom"); n < 5 || n > 24 {
		t.Errorf("%d connections", n)
	}
}

// Redis takes no further connections: all calls are answered over those that are open. Not parallel, as above.
func TestServeAtMaxclients(t *testing.T) {
	redis := redistest.Start(t, "maxclients 20")
	s := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous", "--near-cache-bytes=0"}, quick()...))
	api, admin := s.ready(t)
	hammer(t, api)
	var others []net.Conn
	for full := false; !full; {
		conn, err := net.Dial("tcp", redis.Addr)
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, conn)
		_, _ = conn.Write([]byte("PING\r\n"))
		answer := make([]byte, 5)
		n, err := conn.Read(answer)
		full = err != nil || string(answer[:n]) != "+PONG"
	}
	if failed := hammer(t, api); failed > 0 {
		t.Errorf("%d calls failed", failed)
	}
	want(t, 200, "GET", admin+"/readyz", "")
	if strings.Contains(s.stderr.String(), "redis is away") {
		t.Error("redis counts as away")
	}
	for _, conn := range others {
		_ = conn.Close()
	}
}
