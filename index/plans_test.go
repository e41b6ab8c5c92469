package index_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

var update = flag.Bool("update", false, "write testdata/plans.golden")

// TestI9_PlansAreTheSame holds how the property test's queries are answered against a
// file: which plan, how many candidates, what was asked over which connections, by
// a hash to the last argument, what the answer was, and how the plan was explained. `go test ./index -update`
// writes the file: its difference is then what a change of plans does.
func TestI9_PlansAreTheSame(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, shards := range []int{1, 4} {
		for _, initial := range []int{40, 500, 4000} {
			for _, maxCandidates := range []int{index.DefaultMaxCandidates, 300} {
				fmt.Fprintf(&got, "# %d shards, %d sessions, at most %d candidates\n", shards, initial, maxCandidates)
				writePlans(t, &got, shards, initial, maxCandidates)
			}
		}
	}
	const golden = "testdata/plans.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(text), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(want) || line != want[i] {
			t.Errorf("line %d:\n%s\nwant\n%s", i+1, line, append(want, make([]string, i+1)...)[i])
		}
	}
}

func writePlans(t *testing.T, got *strings.Builder, shards, initial, maxCandidates int) {
	t.Helper()
	server := redistest.Start(t)
	clock := storetest.ClockAt(4_000_000_000_000_000) // in 2096
	store, err := cache.Open(t.Context(), cache.Config{Redis: server.Client(t), Shards: shards, Clock: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	queries, live := storetest.Queries(storetest.Subject{Store: store, Clock: clock, Initial: initial}, 150)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	space, err := keys.NewSpace(keys.DefaultPrefix, shards)
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{byID: make(map[session.ID]*session.Stored)}
	held := make(map[string][]index.Candidate)
	for _, s := range live {
		r.byID[s.ID] = s
		held[s.UserID] = append(held[s.UserID], index.Candidate{Creation: s.Creation, ID: s.ID})
	}
	for _, l := range held {
		slices.SortFunc(l, func(a, b index.Candidate) int {
			return strings.Compare(fmt.Sprint(a.Creation, a.ID), fmt.Sprint(b.Creation, b.ID))
		})
	}
	client := func(name string) *redis.Client {
		c := server.Client(t)
		c.AddHook(hook{r, name})
		return c
	}
	shared := trips{client("trips")}
	ix := index.New(index.Config{
		Redis: client("redis"), Searches: client("searches"), Trips: shared, Lists: shared.lists, Costly: client("costly"), Replicas: client("replicas"),
		Keys: space, Resolve: r.resolve, MaxCandidates: maxCandidates,
		Users: func(_ context.Context, user string, _ *index.Evidence) ([]index.Candidate, bool, error) {
			r.note("held list")
			return held[user], user != "u0", nil
		},
	})
	for i, q := range queries {
		q.Reads = []index.Reads{index.ReadAny, index.ReadServers, index.ReadUnlagged, index.ReadMasters, index.ReadServers}[i%5]
		explained, err := ix.Explain(t.Context(), q, clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		r.asked = nil
		before := ix.Stats()
		page, err := ix.Search(t.Context(), q, clock.Now())
		did := planned(before, ix.Stats())
		fmt.Fprintf(got, "%d %s; %s; %s\n\t%s\n", i, did, answer(page, err), r.summary(), explained)
		source, _, _ := strings.Cut(did, ",")
		refused := strings.HasSuffix(did, "too costly") && !errors.As(err, new(*session.InvalidError))
		if text := explained.String(); !strings.Contains(text, lists[source]) || refused && !strings.Contains(text, "refuse") {
			t.Errorf("%s: it was explained as: %s", did, text)
		}
		r.asked = nil
		before = ix.Stats()
		_, _ = ix.Search(t.Context(), q, clock.Now()) // lists are known now
		did, asked := planned(before, ix.Stats()), r.summary()
		r.asked = nil
		before = ix.Stats()
		with := *q
		with.Explain = new(index.Explanation)
		again, againErr := ix.Search(t.Context(), &with, clock.Now())
		if got := answer(again, againErr); got != answer(page, err) || r.summary() != asked || planned(before, ix.Stats()) != did {
			t.Errorf("%s: explained it is %s, %s, %s, want %s, %s", did, planned(before, ix.Stats()), got, r.summary(), answer(page, err), asked)
		}
		checkExplanation(t, with.Explain, again, explained.String(), source, refused)
	}
}

// checkExplanation compares an explanation with what is known otherwise.
func checkExplanation(t *testing.T, e *index.Explanation, page *index.Page, plan, source string, refused bool) {
	t.Helper()
	predicate := map[string]string{
		"copy": "userIdQuery", "ids": "idsQuery", "user": "userIdQuery", "user_agent": "userAgentQuery", "creator": "creatorQuery",
		"creation_date": "creationDateQuery", "expiration_date": "expirationDateQuery",
	}[source]
	last := e.Steps[len(e.Steps)-1]
	if e.Lists != source || e.Predicate != predicate || refused != (last == index.StepRefused && page == nil) {
		t.Errorf("%s, refused %v: %+v", source, refused, e)
	}
	if first, _, _ := strings.Cut(plan, "; else"); !strings.HasPrefix(e.Plan, first) {
		t.Errorf("got the plan %s, want %s", e.Plan, plan)
	}
	if slices.Contains(e.Steps, index.StepCounted) && e.Plan != plan {
		t.Errorf("got the plan %s, want %s", e.Plan, plan)
	}
	switch {
	case refused && (e.Candidates <= int64(e.Limit) || e.Examined != 0):
		t.Errorf("refused, and %+v", e)
	case page != nil && e.Candidates < int64(page.Total), page != nil && e.Candidates < e.Examined, e.Examined < int64(len(pageOf(page))):
		t.Errorf("%d of %d: %+v", len(pageOf(page)), page.Total, e)
	}
}

func pageOf(p *index.Page) []*session.Stored {
	if p == nil {
		return nil
	}
	return p.Sessions
}

// lists is how the plan of each source names it.
var lists = map[string]string{
	"none": "nothing can match", "copy": "the user's held list", "ids": "given IDs", "user": "the user's list",
	"user_agent": "the user agent's list", "creator": "the creator's lists", "creation_date": "the creation dates",
	"expiration_date": "the expiration dates", "own": "the caller's lists", "all": "all sessions",
}

// planned says which plan a search had, how many candidates, and how it ended.
func planned(before, after index.SearchStats) string {
	for i, b := range before.Plans {
		a := after.Plans[i]
		for how, n := range map[string]uint64{"answered": a.Answered - b.Answered, "failed": a.Failed - b.Failed, "too costly": a.TooCostly - b.TooCostly, "busy": a.Busy - b.Busy} {
			if n > 0 {
				return fmt.Sprintf("%s, %d candidates, %s", a.Plan, a.Candidates-b.Candidates, how)
			}
		}
	}
	return "not counted"
}

func answer(page *index.Page, err error) string {
	if costly, ok := errors.AsType[*index.TooCostlyError](err); ok {
		return fmt.Sprintf("{Predicate:%s Limit:%d Unprivileged:%v}", costly.Predicate, costly.Limit, costly.Unprivileged)
	}
	if err != nil {
		return err.Error()
	}
	h := fnv.New32a()
	for _, s := range page.Sessions {
		fmt.Fprintln(h, s.ID)
	}
	return fmt.Sprintf("%d of %d, more %v, %08x", len(page.Sessions), page.Total, page.More, h.Sum32())
}

// recorder keeps what a search asks.
type recorder struct {
	byID  map[session.ID]*session.Stored
	mu    sync.Mutex
	asked []string
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what)
}

func (r *recorder) resolve(_ context.Context, candidates []index.Candidate, how index.How) ([]*session.Stored, error) {
	r.note(fmt.Sprintf("documents {Costly:%v Reads:%v}\n%v", how.Costly, how.Reads, candidates))
	found := make([]*session.Stored, len(candidates))
	for i, c := range candidates {
		found[i] = r.byID[c.ID]
	}
	return found, nil
}

// summary counts round trips by their first line, and hashes them. Shards are asked
// at once, so that their order is not told.
func (r *recorder) summary() string {
	slices.Sort(r.asked)
	h := fnv.New64a()
	var parts []string
	for i := 0; i < len(r.asked); {
		first, _, _ := strings.Cut(r.asked[i], "\n")
		n := 0
		for ; i < len(r.asked); i, n = i+1, n+1 {
			if f, _, _ := strings.Cut(r.asked[i], "\n"); f != first {
				break
			}
			fmt.Fprintln(h, r.asked[i])
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, first))
	}
	return fmt.Sprintf("%s %016x", strings.Join(parts, ", "), h.Sum64())
}

// hook tells of each round trip of a client: the commands' names, and then all of
// them.
type hook struct {
	r    *recorder
	name string
}

func (h hook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.trip(cmd)
		return next(ctx, cmd)
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.trip(cmds...)
		return next(ctx, cmds)
	}
}

func (h hook) trip(cmds ...redis.Cmder) {
	names, all := h.name, ""
	for i := 0; i < len(cmds); {
		n := 0
		for name := cmds[i].Name(); i < len(cmds) && cmds[i].Name() == name; i, n = i+1, n+1 {
			args := slices.Clone(cmds[i].Args())
			if strings.HasSuffix(name, "rank") { // entries in other shards have a random tag
				args[2] = index.MemberID(args[2].(string))
			}
			all += fmt.Sprintf("\n%q", args)
		}
		names += fmt.Sprintf(" %s*%d", cmds[i-1].Name(), n)
	}
	if strings.Contains(names, "hello") || strings.Contains(names, "client") {
		return // a connection was made
	}
	h.r.note(names + all)
}

// trips makes a round trip of its own for each caller.
type trips struct{ rdb *redis.Client }

func (d trips) Do(ctx context.Context, cmds ...redis.Cmder) error {
	pipe := d.rdb.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	return err
}

func (d trips) lists(ctx context.Context, lists []string, least, most string, limit int, _ []session.ID, _ *session.Memory) (members []string, whole bool, read []*session.Stored, err error) {
	var cmds []redis.Cmder
	for _, key := range lists {
		cmds = append(cmds, redis.NewStringSliceCmd(ctx, "zrange", key, least, most, "byscore", "limit", 0, limit))
	}
	if err := d.Do(ctx, cmds...); err != nil {
		return nil, false, nil, err
	}
	for _, cmd := range cmds {
		got := cmd.(*redis.StringSliceCmd).Val()
		if len(got) == limit {
			return nil, false, nil, nil
		}
		members = append(members, got...)
	}
	return members, true, nil, nil
}
