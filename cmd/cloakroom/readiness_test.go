package main

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// wantLines fails the test unless an answer has each of the lines, or lines that begin so.
func wantLines(t *testing.T, answer string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+answer, "\n"+line) {
			t.Errorf("no line %q in\n%s", line, answer)
		}
	}
}

func TestReadyz_NamesEachPart(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...))
	_, admin := p.ready(t)
	wantLines(t, want(t, 200, "GET", admin+"/readyz?verbose", ""), "ready\n", "redis: answers\n", "breaker: closed\n", "eviction: noeviction\n", "rights: all there\n", "near cache: ")
	if answer := want(t, 200, "GET", admin+"/readyz", ""); answer != "ready\n" {
		t.Errorf("got %q", answer)
	}
	redis.Stop()
	wantLines(t, want(t, 503, "GET", admin+"/readyz?verbose", ""), "not ready: ", "redis: the session store is unavailable", "breaker: ", "eviction: noeviction\n", "near cache: ")
	memory := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, quick()...))
	_, admin = memory.ready(t)
	wantLines(t, want(t, 200, "GET", admin+"/readyz?verbose", ""), "ready\n", "eviction: redis does not tell", "rights: redis does not tell\n")
}

// A Redis that may throw sessions away is none to rely on. Requests are answered all the same: who sent them here knows why.
func TestReadyz_RedisMayEvict(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "maxmemory 100mb", "maxmemory-policy allkeys-lru")
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous"}, quick()...))
	api, admin := p.ready(t)
	answer := want(t, 503, "GET", admin+"/readyz?verbose", "")
	wantLines(t, answer, "not ready: redis may evict sessions: its maxmemory-policy is allkeys-lru and must be noeviction", "eviction: allkeys-lru\n", "redis: answers\n")
	wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_may_evict 1\n")
	want(t, 200, "GET", admin+"/livez", "")
	create(t, api, "u1")
	rdb := redis.Client(t)
	if err := rdb.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, 200, admin+"/readyz")
	wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_may_evict 0\n")
	if err := rdb.ConfigSet(t.Context(), "maxmemory-policy", "volatile-ttl").Err(); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, 503, admin+"/readyz")
	p.logged(t, "redis may evict sessions: cloakroom is not ready until that is mended", 2)
	p.logged(t, "redis evicts no sessions any more", 1)
}

// A silent Redis: not ready, but alive; and ready again when it answers again, without a restart. The breaker tells once
// that it opens, and once that it closes.
func TestReadyz_SilentRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	proxy := redistest.NewProxy(t, redis.Addr)
	p := launch(t, append([]string{"serve", "--redis-url", "redis://" + proxy.Addr, "--auth-anonymous"}, quick()...))
	api, admin := p.ready(t)
	id := create(t, api, "u1")
	proxy.Stall(true)
	p.logged(t, "redis is away: calls are refused until it answers again", 1)
	if answer := want(t, 503, "GET", admin+"/readyz", ""); !strings.Contains(answer, "the session store is unavailable") {
		t.Errorf("got %s", answer)
	}
	awaitAnswer(t, 503, admin+"/readyz", "that it is the master") // an open breaker does not say it
	want(t, 200, "GET", admin+"/livez", "")
	want(t, 503, "GET", api+"/v2/sessions/"+id, "") // I2
	wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_breaker_open 1\n", "cloakroom_redis_breaker_trips_total 1\n", "cloakroom_redis_breaker_refused_total ")
	proxy.Stall(false)
	awaitStatus(t, 200, admin+"/readyz")
	p.logged(t, "redis answers again", 1)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
	wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_breaker_open 0\n")
	if log := p.stderr.String(); strings.Count(log, "redis is away: calls") != strings.Count(log, "redis answers again") {
		t.Errorf("openings and closings in the log differ:\n%s", log)
	}
}

// With --stale-if-error verify answers while Redis is away, so that long the sidecar is ready: it must not be taken
// out of service at the moment it is for.
func TestReadyz_StaleIfError(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous", "--stale-if-error=1h"}, quick()...))
	api, admin := p.ready(t)
	create(t, api, "u1")
	nearIsOn(t, admin)
	redis.Stop()
	p.logged(t, "redis is away: calls are refused until it answers again", 1)
	wantLines(t, want(t, 200, "GET", admin+"/readyz?verbose", ""), "ready\n", "redis: the session store is unavailable", "breaker: open: "+redis.Addr)
	if answer := want(t, 200, "GET", admin+"/readyz?verbose", ""); !strings.Contains(answer, "(--stale-if-error)") {
		t.Errorf("got %s", answer)
	}
}

// nearIsOn waits until copies of sessions are proven to be fresh.
func nearIsOn(t *testing.T, admin string) {
	t.Helper()
	for {
		answer := want(t, 200, "GET", admin+"/metrics", "")
		if strings.Contains(answer, "\ncloakroom_near_link_up 1\n") && !strings.Contains(answer, "\ncloakroom_near_proof_age_seconds -1\n") {
			return
		}
	}
}
