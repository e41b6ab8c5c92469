package readiness

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/leaks"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	redistest.Quiet()
	leaks.Verify(m)
}

// running is a store on a real Redis, as the program has it, and how it is.
type running struct {
	*Readiness
	t     *testing.T
	files string // what is wrong with the files
}

// startOn starts a store at a URL. change may configure it.
func startOn(t *testing.T, url string, change func(*cache.Config)) *running {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	u, ok := redisconn.ParseURL(url)
	if !ok {
		t.Fatal(url)
	}
	all := parts.New()
	t.Cleanup(func() {
		if err := all.Stop(); err != nil {
			t.Error(err)
		}
	})
	access, breakers := &redisconn.Access{}, breaker.New(log)
	b, err := redisconn.Connect(t.Context(), &redisconn.Connection{URL: &u, Access: access, Staleness: time.Second, Breakers: breakers, Parts: all, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c := cache.Config{Redis: b.Client, Searches: b.Searches, Costly: b.Costly, MaxSessions: b.MaxSessions, NearBytes: 1 << 20, Logger: log}
	if change != nil {
		change(&c)
	}
	store, err := cache.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	all.OnStop("store", store.Close)
	if b.Master != nil {
		b.Master.OnLoss(store.MasterLost)
	}
	all.Start("run", store.Run)
	breakers.Arm()
	evicts := NewEviction(b.Client, log)
	all.Start("eviction", evicts.Run)
	rights, err := NewRights(b.Client, access.User(&u), "", func() acl.When { return acl.Near | acl.Waits }, log)
	if err != nil {
		t.Fatal(err)
	}
	all.Start("rights", rights.Run)
	evicts.Look(t.Context())
	rights.Look(t.Context())
	r := &running{Readiness: New(), t: t}
	r.Yes(State{
		Store: store, Master: b.Master, Breakers: breakers, Eviction: evicts, Rights: rights, Own: u.Memory,
		Files: func() (string, bool) {
			if r.files != "" {
				return r.files, false
			}
			return "in use as they are", true
		},
	})
	return r
}

// await waits until a part is in that condition and says that.
func (r *running) await(name string, state Condition, says string) {
	r.t.Helper()
	var last []Part
	holds := eventually.Within(20*time.Second, func() bool {
		last = r.Health(r.t.Context())
		for _, p := range last {
			if p.Name == name {
				return p.State == state && strings.Contains(p.Says, says)
			}
		}
		return false
	})
	if !holds {
		r.t.Fatalf("%s is never %s and says %q: %+v", name, state, says, last)
	}
	checkAdvice(r.t, last)
}

// checkAdvice makes sure that whatever is not good comes with advice, and nothing else does.
func checkAdvice(t *testing.T, all []Part) {
	t.Helper()
	for _, p := range all {
		if (p.Do == "") != (p.State == Good) || p.Name == "" || p.Says == "" || strings.Contains(p.Says+p.Do, "\n") {
			t.Errorf("a part without what it needs: %+v", p)
		}
	}
}

// app makes a Redis user with all rights but some, and returns the URL for it.
func app(redis *redistest.Server, without ...any) string {
	redis.Do(append([]any{"ACL", "SETUSER", "app", "on", ">p", "~*", "&*", "+@all"}, without...)...)
	return "redis://app:p@" + redis.Addr
}

// Where all is well every part says so, /readyz?verbose has a line for each, and the console two more.
func TestHealth_AllGood(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r := startOn(t, redis.URL(), nil)
	r.await("near cache", Good, "on")
	all := r.Health(t.Context())
	names := []string{}
	for _, p := range all {
		names = append(names, p.Name)
		if p.State != Good {
			t.Errorf("%+v", p)
		}
	}
	const want = "redis, master, breaker, eviction, rights, files, near cache, waiting for replicas, drift, sweep backlog"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("parts %s, want %s", got, want)
	}
	master, _, _ := strings.Cut(strings.SplitAfter(r.Details(t.Context()), "\nmaster: ")[1], "\n")
	if want := "redis: answers\nmaster: " + master + "\nbreaker: closed\neviction: noeviction\nrights: all there\nfiles: in use as they are\nnear cache: on\nwaiting for replicas: off\n"; r.Details(t.Context()) != want || !strings.HasPrefix(master, "master "+redis.Addr) {
		t.Errorf("got\n%s\nwant\n%s", r.Details(t.Context()), want)
	}
	if err := r.Check(t.Context()); err != nil || r.Store() == nil {
		t.Errorf("check %v, store %v", err, r.Store())
	}
	r.files = "keys.yaml: no such file"
	r.await("files", Warn, r.files)
}

// While nothing is served that is all there is to say.
func TestHealth_NothingIsServed(t *testing.T) {
	r := New()
	r.No("waiting for redis: it refuses the connection")
	all := r.Health(t.Context())
	if len(all) != 1 || all[0].Name != "program" || all[0].State != Bad || all[0].Says != "waiting for redis: it refuses the connection" || r.Store() != nil || r.Details(t.Context()) != "" {
		t.Errorf("got %+v", all)
	}
	checkAdvice(t, all)
}

// Redis goes, and comes back.
func TestHealth_RedisAway(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r := startOn(t, redis.URL(), func(c *cache.Config) { c.StaleIfError = time.Hour })
	r.await("near cache", Good, "on")
	redis.Stop()
	r.await("redis", Bad, "the session store is unavailable")
	r.await("redis", Bad, "(--stale-if-error)")
	r.await("breaker", Bad, "open: "+redis.Addr)
	r.await("near cache", Warn, "no connection for invalidations")
	for _, p := range r.Health(t.Context()) {
		if p.Name == "near cache" && p.Do != "It comes back with Redis." {
			t.Errorf("while Redis is away the near cache advises %q", p.Do)
		}
	}
	redis.Restart()
	for _, name := range []string{"redis", "breaker", "near cache"} {
		r.await(name, Good, "")
	}
}

func TestHealth_Master(t *testing.T) {
	t.Parallel()
	t.Run("steps down", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t)
		r := startOn(t, redis.URL(), nil)
		r.await("master", Good, "master "+redis.Addr)
		redis.Do("REPLICAOF", "127.0.0.1", "1")
		r.await("master", Bad, "replica")
	})
	t.Run("cannot be proven", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t)
		r := startOn(t, app(redis, "-info"), nil)
		r.await("master", Warn, "by its own word")
		r.await("near cache", Warn, "")
	})
	t.Run("takes no new connections", func(t *testing.T) {
		t.Parallel()
		redis := redistest.Start(t)
		r := startOn(t, app(redis), nil)
		r.await("master", Good, "")
		redis.Do("ACL", "SETUSER", "app", "resetpass", ">other")
		r.await("master", Warn, "new connections fail")
	})
}

func TestHealth_Eviction(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, "maxmemory-policy allkeys-lru")
	r := startOn(t, redis.URL(), nil)
	r.await("eviction", Bad, "allkeys-lru")
	if err := r.Check(t.Context()); err == nil {
		t.Error("it is ready")
	}
	redis.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	r.await("eviction", Good, "noeviction")
}

func TestHealth_Rights(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r := startOn(t, app(redis, "-script|load"), nil)
	r.await("rights", Warn, "not script|load")
	if p := r.Health(t.Context())[4]; !strings.HasPrefix(p.Do, "Requests work") {
		t.Errorf("got %+v", p)
	}
	redis.Do("ACL", "SETUSER", "app", "-zadd", "-wait")
	r.await("rights", Bad, "may not use zadd")
	if err := r.Check(t.Context()); err == nil {
		t.Error("it is ready")
	}
}

func TestHealth_Replicas(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r := startOn(t, app(redis, "-wait"), func(c *cache.Config) { c.RevokeWaitReplicas = 1 })
	r.await("waiting for replicas", Warn, "WAIT fails")
	r = startOn(t, redis.URL(), func(c *cache.Config) { c.RevokeWaitReplicas = 1 })
	r.await("waiting for replicas", Good, "on, for 1 of them")
}

// A server of this process is not to be blamed for what it cannot tell; without a near cache none is missed.
func TestHealth_Memory(t *testing.T) {
	t.Parallel()
	r := startOn(t, "memory:", nil)
	r.await("near cache", Warn, "off: ")
	for _, name := range []string{"redis", "master", "breaker", "eviction", "rights"} {
		r.await(name, Good, "")
	}
	r = startOn(t, "memory:", func(c *cache.Config) { c.NearBytes = 0 })
	r.await("near cache", Good, "off")
}

// A real audit finds an entry of a session that is not there.
func TestHealth_Drift(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Client(t).ZAdd(t.Context(), space.Created(0), redis.Z{Score: 1, Member: "lost"}).Err(); err != nil {
		t.Fatal(err)
	}
	r := startOn(t, server.URL(), func(c *cache.Config) { c.AuditEvery = 10 * time.Millisecond })
	r.await("drift", Warn, "1 "+string(audit.EntryOrphan))
}

// That nothing was found is no news before somebody has looked.
func TestHealth_DriftBeforeTheFirstAudit(t *testing.T) {
	for passes, want := range map[uint64]string{0: "nobody has looked yet: no audit has ended", 1: "none"} {
		p := drift(cache.AuditStats{Passes: passes})
		checkAdvice(t, []Part{p})
		if p.State != Good || p.Says != want {
			t.Errorf("after %d audits: %+v", passes, p)
		}
	}
}

func TestHealth_SweepBacklog(t *testing.T) {
	for left, want := range map[int64]Condition{0: Good, 1000: Good, 1001: Warn} {
		p := backlog(left)
		if p.State != want {
			t.Errorf("%d: %+v", left, p)
		}
		checkAdvice(t, []Part{p})
	}
}

func TestHealth_ZITADEL(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		state upstream.State
		want  Condition
	}{
		"answers":       {upstream.State{Served: now}, Good},
		"not asked yet": {upstream.State{}, Good},
		"away":          {upstream.State{Away: true, Fault: "it cannot be connected to"}, Bad},
		"refuses us":    {upstream.State{Served: now, Refused: "it refuses our access token"}, Bad},
		"pauses":        {upstream.State{Served: now, Pause: time.Second}, Bad},
	} {
		p := zitadelPart(c.state, now)
		if p.State != c.want || p.Says != c.state.Text(now) {
			t.Errorf("%s: %+v, want %s", name, p, c.want)
		}
		checkAdvice(t, []Part{p})
	}
}

// Deadlines hold: a Redis that hangs holds nobody up for longer than PingTimeout.
func TestHealth_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	r := startOn(t, redis.URL(), nil)
	redis.Pause()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p := r.Health(ctx)[0]; p.State != Bad {
		t.Errorf("got %+v", p)
	}
	redis.Resume()
}
