package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// A memory: that has all the sessions it takes is the caller's limit: 429.
func TestServe_MemoryIsFull(t *testing.T) {
	t.Parallel()
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...))
	api, _ := p.ready(t)
	const part = redisconn.MemorySessions / 10 // in one it may take longer than a client waits, on a busy machine
	for first := 0; first < redisconn.MemorySessions; first += part {
		var lines strings.Builder
		for i := range part {
			fmt.Fprintf(&lines, "{\"id\": \"s%d\", \"sequence\": \"1\"}\n", first+i)
		}
		want(t, 200, "POST", api+"/v2/sessions/import", lines.String())
	}
	for method, url := range map[string]string{"POST": api + "/v2/sessions", "PUT": api + "/v2/sessions/new"} {
		if body := want(t, 429, method, url, "{}"); !strings.Contains(body, `"code":8`) || !strings.Contains(body, "10,000 with memory:") {
			t.Errorf("%s: %s", method, body)
		}
	}
	if body := want(t, 200, "POST", api+"/v2/sessions/import", `{"id": "new", "sequence": "1"}`); !strings.Contains(body, `"failed":1`) {
		t.Errorf("import: %s", body)
	}
	want(t, 200, "PUT", api+"/v2/sessions/s1", `{"sequence": "2"}`) // no further session
	want(t, 200, "GET", api+"/v2/sessions/s1", "")
	want(t, 200, "DELETE", api+"/v2/sessions/s1", "")
	want(t, 201, "POST", api+"/v2/sessions", "{}")
}

// A Redis at its maxmemory is unavailable to writes: 503. It is read and deleted from.
func TestServe_RedisIsFull(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := launch(t, append([]string{"serve", "--redis-url", server.URL(), "--auth-anonymous"}, quick()...))
	api, _ := p.ready(t)
	id := create(t, api, "u1")
	server.Do("CONFIG", "SET", "maxmemory", "1")
	for _, write := range [][3]string{
		{"POST", "/v2/sessions", "{}"},
		{"PUT", "/v2/sessions/new", "{}"},
		{"PATCH", "/v2/sessions/" + id, `{"metadata":{"a":"Yg=="}}`},
	} {
		if body := want(t, 503, write[0], api+write[1], write[2]); !strings.Contains(body, `"code":14`) {
			t.Errorf("%s %s: %s", write[0], write[1], body)
		}
	}
	want(t, 200, "GET", api+"/v2/sessions/"+id, "", "Session-Consistency", "fresh")
	if n := total(t, api, `{"queries":[{"userIdQuery":{"id":"u1"}}]}`); n != "1" {
		t.Errorf("%s sessions are found", n)
	}
	want(t, 200, "DELETE", api+"/v2/sessions/"+id, "")
	server.Do("CONFIG", "SET", "maxmemory", "0")
	create(t, api, "u1")
}
