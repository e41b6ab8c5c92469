package cache

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// replicated are masters with replicas, and a proxy before each master for the
// connections of the near cache.
type replicated struct {
	t                 *testing.T
	shards            int
	rdb, replicasRdb  redis.UniversalClient
	masters, replicas []*redistest.Server
	proxies           map[string]*redistest.Proxy // by what the client calls the master
	costly, few       []index.Predicate
}

const (
	// manySessions make a search costly.
	manySessions = 1200
	fewSessions  = 20
)

func sentinelReplicas(t *testing.T) *replicated {
	c := redistest.StartSentinels(t, redistest.SentinelConfig{})
	c.NeverFailOver()
	replicas := c.Client(t, func(o *redis.FailoverOptions) { o.ReplicaOnly = true })
	r := &replicated{t: t, shards: 1, rdb: c.Client(t), replicasRdb: replicas, masters: c.Servers[:1], replicas: c.Servers[1:]}
	r.proxies = map[string]*redistest.Proxy{r.rdb.(*redis.Client).Options().Addr: redistest.NewProxy(t, c.Master().Addr)}
	r.fill(c.WaitSynced)
	return r
}

func clusterReplicas(t *testing.T) *replicated {
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	replicas := c.Client(t, func(o *redis.ClusterOptions) { o.ReadOnly = true })
	r := &replicated{t: t, shards: 32, rdb: c.Client(t), replicasRdb: replicas, proxies: map[string]*redistest.Proxy{}}
	for _, m := range c.Masters() {
		r.masters = append(r.masters, m.Server)
		r.proxies[m.Addr] = redistest.NewProxy(t, m.Addr)
		for _, one := range c.Replicas(m) {
			r.replicas = append(r.replicas, one.Server)
		}
	}
	r.fill(c.WaitSynced)
	// A node names no replica of which it has not been told yet that it has something.
	eventually.Holds(t, "every node names a replica of every slot", func() bool {
		return !slices.ContainsFunc(c.Nodes, func(n *redistest.Node) bool {
			return slices.ContainsFunc(n.Do("CLUSTER", "SLOTS").([]any), func(slots any) bool { return len(slots.([]any)) < 4 }) // from, to, master
		})
	})
	return r
}

// fill stores many sessions of one user and creator, and few of others.
func (r *replicated) fill(wait func()) {
	r.t.Helper()
	s, err := Open(r.t.Context(), Config{Redis: r.rdb, Shards: r.shards})
	if err != nil {
		r.t.Fatal(err)
	}
	var group sync.WaitGroup
	const writers = 8
	for w := range writers {
		group.Go(func() {
			for i := w; i < manySessions+fewSessions; i += writers {
				made := sessionOf(fmt.Sprintf("s%04d", i), "many", 1)
				if made.Creator = "many"; i >= manySessions {
					made.Factors.User.ID, made.Creator = "few", "few"
				}
				made.CreationDate += session.Time(i)
				if err := s.Put(r.t.Context(), made, nil); err != nil {
					r.t.Error(err)
				}
			}
		})
	}
	group.Wait()
	wait()
	// Both lists are as long, so that neither answers alone.
	r.costly = []index.Predicate{index.ByUser("many"), index.ByCreator("many")}
	r.few = []index.Predicate{index.ByUser("few"), index.ByCreator("few")}
}

// near opens a store with a near cache whose connections go through the proxies.
func (r *replicated) near(t *testing.T) *nearProcess {
	t.Helper()
	c := Config{Redis: r.rdb, Replicas: r.replicasRdb, Shards: r.shards, NearBytes: 16 << 20, NearStaleness: testBound}
	return openNear(t, c, func(o *redis.Options) {
		o.Addr, o.Dialer = r.proxies[o.Addr].Addr, new(net.Dialer).DialContext
	})
}

func (r *replicated) each(do func(*redistest.Proxy)) {
	for _, p := range r.proxies {
		do(p)
	}
}

// searches makes every kind of search, and checks which servers answer and
// whether copies do.
func (r *replicated) searches(t *testing.T, s *Store, copies bool) {
	t.Helper()
	hits := func() (n uint64) {
		if s.near == nil {
			return 0
		}
		stats := s.NearStats()
		return stats.Sessions.Hits + stats.Lists.Hits
	}
	middle := &index.Candidate{Creation: 1_700_000_000_000_000 + 600, ID: "s0600"}
	for what, f := range map[string]struct {
		q                index.Query
		replicas, copies bool
	}{
		"costly":                         {index.Query{Predicates: r.costly}, true, true},
		"costly, at an offset":           {index.Query{Predicates: r.costly, Offset: 600}, true, true},
		"costly, fresh":                  {index.Query{Predicates: r.costly, Reads: index.ReadMasters}, false, false},
		"costly, by cursor":              {index.Query{Predicates: r.costly, Cursor: &index.Candidate{}}, false, true},
		"costly, by cursor, from midway": {index.Query{Predicates: r.costly, Cursor: middle}, false, true},
		"costly, by cursor, fresh":       {index.Query{Predicates: r.costly, Cursor: middle, Reads: index.ReadMasters}, false, false},
		"few":                            {index.Query{Predicates: r.few}, false, true},
		"few, fresh":                     {index.Query{Predicates: r.few, Reads: index.ReadMasters}, false, false},
		"all, by rank":                   {index.Query{}, false, true},
		"all, by rank, fresh":            {index.Query{Reads: index.ReadMasters}, false, false},
	} {
		forget := func() {
			for _, server := range append(r.masters, r.replicas...) {
				server.Do("CONFIG", "RESETSTAT")
			}
		}
		forget()
		before := hits()
		f.q.Sees, f.q.Limit, f.q.Ascending = index.Sees{All: true}, 10, true
		page, err := s.Search(t.Context(), &f.q)
		want := uint64(manySessions)
		switch {
		case len(f.q.Predicates) == 0:
			want += fewSessions
		case f.q.Predicates[0].Value == "few":
			want = fewSessions
		}
		if err != nil || page.Total != want || len(page.Sessions) != 10 {
			t.Fatalf("%s: %+v, %v", what, page, err)
		}
		asked := 0
		for _, server := range r.replicas {
			asked += server.Calls("zrange") + server.Calls("zcount") + server.Calls("hget")
		}
		// A costly search asks the replicas for lists and for documents.
		if (asked > 0) != f.replicas || f.replicas && asked < manySessions/2 {
			t.Errorf("%s: replicas were asked %d times, and may be: %v", what, asked, f.replicas)
		}
		if used := hits() > before; used != (copies && f.copies) {
			t.Errorf("%s: copies were used: %v", what, used)
		}
		forget()
		explained, e, err := s.Explain(t.Context(), &f.q, nil)
		if err != nil || explained.Total != page.Total {
			t.Errorf("%s: %+v, %v", what, explained, err)
		}
		documents := func(of []*redistest.Server) (n int) {
			for _, server := range of {
				n += server.Calls("hget")
			}
			return n
		}
		if e.Replicas != documents(r.replicas) || e.Redis != documents(r.masters) || (e.Replicas > 0) != f.replicas || (e.Copies > 0) != (copies && f.copies) {
			t.Errorf("%s: %d copies, %d documents from replicas of %d, %d from masters of %d", what, e.Copies, e.Replicas, documents(r.replicas), e.Redis, documents(r.masters))
		}
	}
}

func eachReplicated(t *testing.T, f func(*testing.T, *replicated)) {
	for name, start := range map[string]func(*testing.T) *replicated{"Sentinels": sentinelReplicas, "Cluster": clusterReplicas} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, start(t))
		})
	}
}

// Replicas answer costly searches that are neither fresh nor by cursor, and
// nothing else, however the near cache is.
func TestSearch_ReplicasAnswerCostlySearchesOnly(t *testing.T) {
	t.Parallel()
	eachReplicated(t, func(t *testing.T, r *replicated) {
		t.Run("near cache off", func(t *testing.T) {
			s, err := Open(t.Context(), Config{Redis: r.rdb, Replicas: r.replicasRdb, Shards: r.shards})
			if err != nil {
				t.Fatal(err)
			}
			r.searches(t, s, false)
		})
		t.Run("near cache never connected", func(t *testing.T) {
			r.each(func(p *redistest.Proxy) { p.Refuse(true) })
			defer r.each(func(p *redistest.Proxy) { p.Refuse(false) })
			p := r.near(t)
			p.during("down", p.run)
			r.searches(t, p.Store, false)
			if p.usable() {
				t.Error("the near cache is usable")
			}
		})
		t.Run("near cache used, then stalled", func(t *testing.T) {
			p := r.near(t)
			p.run()
			p.await("the near cache is usable", p.usable)
			for _, id := range []session.ID{"s0000", "s0600", "s0601", "s1200", "s1201"} { // one on each page, at least
				p.want(id, 1, false)
				p.want(id, 1, true)
			}
			r.searches(t, p.Store, true)
			if !p.usable() {
				t.Error("the near cache is not usable any more")
			}
			r.each(func(p *redistest.Proxy) { p.Stall(true) })
			defer r.each(func(p *redistest.Proxy) { p.Stall(false) })
			p.pass(2 * testBound)
			r.searches(t, p.Store, false)
			if p.usable() {
				t.Error("the near cache is usable")
			}
		})
	})
}

// onFirstRead is a hook that does something before the first documents are read.
type onFirstRead struct {
	once sync.Once
	do   func()
}

func (h *onFirstRead) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h *onFirstRead) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *onFirstRead) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if batch.Sent(cmds[0])[0].Name() == "hget" {
			h.once.Do(h.do)
		}
		return next(ctx, cmds)
	}
}

// A search that has to begin anew because its copies were not proven to the end
// reads replicas again, and no master more than before.
func TestSearch_BegunAnewReadsReplicas(t *testing.T) {
	t.Parallel()
	eachReplicated(t, func(t *testing.T, r *replicated) {
		p := r.near(t)
		p.run()
		p.await("the near cache is usable", p.usable)
		r.replicasRdb.AddHook(&onFirstRead{do: func() { p.clock.Add(int64(2 * testBound)) }})
		for _, server := range append(r.masters, r.replicas...) {
			server.Do("CONFIG", "RESETSTAT")
		}
		page, err := p.Search(t.Context(), &index.Query{Predicates: r.costly, Sees: index.Sees{All: true}, Limit: 10})
		if err != nil || page.Total != manySessions || len(page.Sessions) != 10 {
			t.Fatalf("%+v, %v", page, err)
		}
		if p.usable() {
			t.Error("the copies were proven to the end")
		}
		documents := func(servers []*redistest.Server) (n int) {
			for _, server := range servers {
				n += server.Calls("hget")
			}
			return n
		}
		// Each time the page is read from masters, and all that may be on it from replicas.
		if n := documents(r.replicas); n != 2*manySessions {
			t.Errorf("replicas were asked for %d documents, want %d", n, 2*manySessions)
		}
		if n := documents(r.masters); n != 2*10 {
			t.Errorf("masters were asked for %d documents, want %d", n, 2*10)
		}
	})
}
