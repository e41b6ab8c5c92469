package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// allowApp gives user app, on each server, the rights that serve needs, and then
// what rule says.
func allowApp(t *testing.T, when acl.When, rule string, servers ...*redistest.Server) {
	t.Helper()
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	least := acl.RuleOf(space, acl.Needed(cache.Rights(), when))
	words := append([]string{"reset", "on", ">secret"}, strings.Fields(least.String()+" "+rule)...)
	for _, s := range servers {
		if err := s.Client(t).ACLSetUser(t.Context(), "app", words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func asApp(s *redistest.Server) string { return "redis://app:secret@" + s.Addr }

// A right that writes or reads need is missed before the first of them does, by
// its name; it counts again as soon as it is there.
func TestReadyz_ARightIsMissing(t *testing.T) {
	t.Parallel()
	hasTurn := testdepth.OneIn(t, 3)
	for i, test := range []struct{ rule, names string }{
		{"-evalsha", "evalsha"},
		{"-hset", "hset"},
		{"-zadd", "zadd"},
		{"-eval -evalsha", "eval, evalsha; without them Cloakroom cannot tell what else is missing"},
		{"-hmget -zrank", "hmget, zrank"},
		{"resetkeys ~cr:[stcxuakjdm]*", "keys cr:p:*"},
	} {
		if !hasTurn(i) {
			continue
		}
		t.Run(test.rule, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			allowApp(t, acl.Near, test.rule, s)
			p := launch(t, append([]string{"serve", "--redis-url", asApp(s), "--auth-anonymous"}, quick()...))
			api, admin := p.ready(t)
			answer := want(t, 503, "GET", admin+"/readyz?verbose", "")
			wantLines(t, answer, "not ready: the redis user app may not use "+test.names, "rights: the redis user app may not use "+test.names+"\n", "redis: answers\n")
			want(t, 200, "GET", admin+"/livez", "")
			wantLines(t, want(t, 200, "GET", admin+"/metrics", ""), "cloakroom_redis_rights_missing ")
			if line := p.logged(t, "the redis user lacks rights: cloakroom is not ready until it has them", 1); line["user"] != "app" || !strings.HasPrefix(test.names, line["may_not_use"].(string)) {
				t.Errorf("logged %v", line)
			}
			allowApp(t, acl.Near, "", s)
			awaitStatus(t, 200, admin+"/readyz")
			p.logged(t, "the redis user has all rights that requests need", 1)
			wantLines(t, want(t, 200, "GET", admin+"/readyz?verbose", ""), "rights: all there\n")
			create(t, api, "u1")

			allowApp(t, acl.Near, test.rule, s) // while it runs
			awaitStatus(t, 503, admin+"/readyz")
			p.logged(t, "the redis user lacks rights: cloakroom is not ready until it has them", 2)
		})
	}
}

// What a deployment does not need, and what it can do without, does not count.
func TestReadyz_ARightThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	allowApp(t, acl.Always, "-script -scan", s) // no near cache, no replicas that are waited for
	p := launch(t, append([]string{"serve", "--redis-url", asApp(s), "--auth-anonymous", "--near-cache-bytes=0"}, quick()...))
	api, admin := p.ready(t)
	wantLines(t, want(t, 200, "GET", admin+"/readyz?verbose", ""), "ready\n", "rights: all that requests need; not scan, script|load\n")
	p.logged(t, "the redis user lacks rights that requests can do without", 1)
	create(t, api, "u1")
}

// Of a Cluster each master has users of its own.
func TestReadyz_ARightIsMissingAtOneMaster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	var all []*redistest.Server
	for _, n := range cluster.Nodes {
		all = append(all, n.Server)
	}
	allowApp(t, acl.Near|acl.Cluster, "", all...)
	allowApp(t, acl.Near|acl.Cluster, "-zadd", all[1])
	p := launch(t, append([]string{"serve", "--redis-url", "redis+cluster://app:secret@" + strings.Join(cluster.Addrs(), ","), "--auth-anonymous"}, quick()...))
	_, admin := p.ready(t)
	wantLines(t, want(t, 503, "GET", admin+"/readyz", ""), "not ready: the redis user app may not use zadd")
	allowApp(t, acl.Near|acl.Cluster, "", all[1])
	awaitStatus(t, 200, admin+"/readyz")
}

// Without TIME there is no clock, so no store: that is a wrong configuration.
func TestServe_TimeIsForbidden(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	allowApp(t, acl.Near, "-time", s)
	code, _, stderr := once(t, append([]string{"serve", "--redis-url", asApp(s), "--auth-anonymous"}, quick()...)...)
	if code != exitUsage || !strings.Contains(stderr, "the Redis user must be allowed TIME: the store's clock is Redis'") {
		t.Errorf("exit code %d, want %d:\n%s", code, exitUsage, stderr)
	}
}

// What is forbidden at the start is named, and waited for.
func TestServe_AKeyIsForbiddenAtTheStart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	allowApp(t, acl.Near, "resetkeys ~cr:[stcxuakjdp]:*", s)
	p := launch(t, append([]string{"serve", "--redis-url", asApp(s), "--auth-anonymous"}, quick()...))
	line := p.logged(t, "redis is not usable yet, trying again", 1)
	if !strings.Contains(line["error"].(string), "the redis user app may not use keys cr:meta") {
		t.Errorf("logged %v", line)
	}
	allowApp(t, acl.Near, "", s)
	_, admin := p.ready(t)
	want(t, 200, "GET", admin+"/readyz", "")
}

// A DELETE at a replica that lacks the session is not done: the master has it.
func TestDelete_AtAReplicaThatLacksTheSession(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := launch(t, append([]string{"serve", "--redis-url", s.URL(), "--auth-anonymous", "--near-cache-bytes=0"}, quick()...))
	api, _ := p.ready(t)
	want(t, 200, "DELETE", api+"/v2/sessions/123", "{}") // a master knows that there is none
	if err := s.Client(t).ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	want(t, 503, "DELETE", api+"/v2/sessions/123", "{}")
}

// The rights are asked for with little: what a look costs Redis.
func BenchmarkRights(b *testing.B) {
	s := redistest.Start(b)
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		b.Fatal(err)
	}
	least := acl.RuleOf(space, acl.Needed(cache.Rights(), acl.Near))
	if err := s.Client(b).ACLSetUser(b.Context(), "app", append([]string{"on", ">secret"}, strings.Fields(least.String())...)...).Err(); err != nil {
		b.Fatal(err)
	}
	client := s.Client(b, func(o *redis.Options) { o.Username, o.Password = "app", "secret" })
	begin := time.Now()
	for b.Loop() {
		if lacks, err := acl.Check(b.Context(), client, space, acl.Needed(cache.Rights(), acl.Near)); err != nil || len(lacks.All) > 0 {
			b.Fatal(lacks, err)
		}
	}
	b.ReportMetric(float64(time.Since(begin).Microseconds())/float64(b.N), "µs/look")
}
