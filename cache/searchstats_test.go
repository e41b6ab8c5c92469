package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// counted are the searches and candidates of one plan.
type counted struct{ answered, failed, tooCostly, busy, candidates uint64 }

// countsOf returns what the plans with searches have counted, and checks that
// their buckets belong together.
func countsOf(t *testing.T, s *Store) map[string]counted {
	t.Helper()
	all := map[string]counted{}
	for _, p := range s.SearchStats().Plans {
		last := uint64(0)
		for _, bound := range slices.Sorted(maps.Keys(p.UpTo)) {
			if p.UpTo[bound] < last {
				t.Errorf("%s: %v", p.Plan, p.UpTo)
			}
			last = p.UpTo[bound]
		}
		if last > p.Answered+p.Failed {
			t.Errorf("%s: %d of %d searches", p.Plan, last, p.Answered+p.Failed)
		}
		if c := (counted{p.Answered, p.Failed, p.TooCostly, p.Busy, p.Candidates}); c != (counted{}) {
			all[p.Plan] = c
		}
	}
	return all
}

// fillForStats stores 1,100 sessions of one creator, the i-th of which ends i
// seconds after an hour from begin. Ten are of each user, except for the first
// hundred, which are of nobody and of two devices.
func fillForStats(t *testing.T, s *Store, begin session.Time) {
	t.Helper()
	for i := range 1100 {
		made := &session.Session{
			ID: session.ID(fmt.Sprint("s", i)), CreationDate: begin.Add(time.Duration(i) * time.Millisecond), ChangeDate: begin, Sequence: 1,
			ExpirationDate: begin.Add(time.Hour + time.Duration(i)*time.Second), Creator: "creator",
		}
		if i < 100 {
			device := fmt.Sprint("device", i%2)
			made.UserAgent.FingerprintID = &device
		} else {
			made.Factors.User = &session.UserFactor{ID: fmt.Sprint("u", i/10)}
		}
		if err := s.Put(t.Context(), made, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Each search is counted where its candidates come from, with as many as it had to look at.
func TestSearchStats_PlansAndCandidates(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			begin := session.TimeOf(time.Now())
			s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), Shards: shards, Clock: func() session.Time { return begin }, MaxCandidates: 1050})
			if err != nil {
				t.Fatal(err)
			}
			fillForStats(t, s, begin)
			all, ended := index.Sees{All: true}, func() context.Context {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return ctx
			}()
			ending := func(first, last int) index.Predicate {
				hour := begin.Add(time.Hour)
				return index.ByExpiration(index.Dates{Min: hour.Add(time.Duration(first) * time.Second), Max: hour.Add(time.Duration(last) * time.Second)})
			}
			created := func(first, last int) index.Predicate {
				return index.ByCreation(index.Dates{Min: begin.Add(time.Duration(first) * time.Millisecond), Max: begin.Add(time.Duration(last) * time.Millisecond)})
			}
			before := countsOf(t, s)
			if len(before) != 0 {
				t.Errorf("before the first search: %v", before)
			}
			for _, test := range []struct {
				q    index.Query
				ctx  context.Context
				plan string
				want counted
			}{
				{q: index.Query{Sees: all, Predicates: []index.Predicate{index.ByUser("u50"), index.ByUser("u51")}}, plan: "none", want: counted{answered: 1}},
				{q: index.Query{Limit: 10}, plan: "none", want: counted{answered: 1}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{index.ByIDs("s1", "s2", "s2", "nobody")}}, plan: "ids", want: counted{answered: 1, candidates: 3}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{index.ByUser("u50")}}, plan: "user", want: counted{answered: 1, candidates: 10}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{index.ByUser("u50"), ending(500, 500)}}, plan: "user", want: counted{answered: 1, candidates: 10}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{index.ByAgent("device1")}}, plan: "user_agent", want: counted{answered: 1, candidates: 50}},
				{q: index.Query{Sees: all, Limit: 20, Predicates: []index.Predicate{index.ByCreator("creator")}}, plan: "creator", want: counted{answered: 1, candidates: 20}},
				{q: index.Query{Sees: all, Limit: 15, Predicates: []index.Predicate{created(300, 900)}}, plan: "creation_date", want: counted{answered: 1, candidates: 15}},
				{q: index.Query{Sees: all, Limit: 7}, plan: "all", want: counted{answered: 1, candidates: 7}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{ending(600, 629), index.ByCreator("creator")}}, plan: "expiration_date", want: counted{answered: 1, candidates: 30}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{ending(0, 499)}}, plan: "expiration_date", want: counted{answered: 1, candidates: 500}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{ending(0, 1019)}}, plan: "all", want: counted{answered: 1, candidates: 10}}, // few are left out
				{q: index.Query{Sees: index.Sees{Orgs: []string{"o"}}, Limit: 10, Predicates: []index.Predicate{ending(0, 1019)}}, plan: "expiration_date", want: counted{answered: 1, candidates: 1020}},
				{q: index.Query{Sees: index.Sees{Orgs: []string{"o"}}, Limit: 10, Predicates: []index.Predicate{ending(0, 1069)}}, plan: "expiration_date", want: counted{tooCostly: 1}},
				{q: index.Query{Sees: index.Sees{Orgs: []string{"o"}}, Limit: 10}, plan: "all", want: counted{tooCostly: 1}},
				{q: index.Query{Sees: index.Sees{UserID: "u50"}, Limit: 10}, plan: "own", want: counted{answered: 1, candidates: 10}},
				{q: index.Query{Sees: index.Sees{AgentID: "device0"}, Limit: 10}, plan: "own", want: counted{answered: 1, candidates: 50}},
				{q: index.Query{Sees: all, Limit: 10}, ctx: ended, plan: "all", want: counted{failed: 1}},
				{q: index.Query{Sees: all, Limit: 10, Predicates: []index.Predicate{index.ByUser("u50")}}, ctx: ended, plan: "user", want: counted{failed: 1}},
			} {
				ctx := test.ctx
				if ctx == nil {
					ctx = t.Context()
				}
				before := countsOf(t, s)
				_, err := s.Search(ctx, &test.q)
				after := countsOf(t, s)
				got := after[test.plan]
				was := before[test.plan]
				if got = (counted{got.answered - was.answered, got.failed - was.failed, got.tooCostly - was.tooCostly, got.busy - was.busy, got.candidates - was.candidates}); got != test.want {
					t.Errorf("%+v: %s has %+v, want %+v; now %v", test.q, test.plan, got, test.want, after)
				}
				delete(before, test.plan)
				delete(after, test.plan)
				if !maps.Equal(before, after) {
					t.Errorf("%+v: counted at others than %s, too: %v", test.q, test.plan, after)
				}
				if failed := err != nil; failed != (test.want.answered == 0) {
					t.Errorf("%+v: %v", test.q, err)
				}
			}
		})
	}
}

// An offset that is too far where sessions are spread is refused, and counts so.
func TestSearchStats_OffsetTooFar(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{Redis: redistest.Start(t).Client(t), Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	var invalid *session.InvalidError
	if _, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10, Offset: 100_001}); !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if got, want := countsOf(t, s), (map[string]counted{"all": {tooCostly: 1}}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A list of the near cache is a plan of its own.
func TestSearchStats_Copies(t *testing.T) {
	t.Parallel()
	p := startNear(t, redistest.Start(t).Client(t), 1)
	for i := range 5 {
		if err := p.Put(t.Context(), sessionOf(fmt.Sprint("s", i), "user", 1), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, reads := range []index.Reads{index.ReadAny, index.ReadAny, index.ReadMasters} {
		page, err := p.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10, Reads: reads, Predicates: []index.Predicate{index.ByUser("user")}})
		if err != nil || page.Total != 5 {
			t.Fatal(page, err)
		}
	}
	want := map[string]counted{"copy": {answered: 2, candidates: 10}, "user": {answered: 1, candidates: 5}}
	if got := countsOf(t, p.Store); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// hold is a hook that lets nothing but greetings pass until it is opened.
type hold chan struct{}

func (h hold) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (h hold) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h hold) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name != "hello" && name != "client" {
			<-h
		}
		return next(ctx, cmds)
	}
}

// Costly searches that run, that wait, and that were refused are told apart.
func TestSearchStats_CostlySearches(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	costly, begin := server.Client(t), session.TimeOf(time.Now())
	s, err := Open(t.Context(), Config{Redis: server.Client(t), Costly: costly, Clock: func() session.Time { return begin }})
	if err != nil {
		t.Fatal(err)
	}
	fillForStats(t, s, begin)
	h := make(hold)
	costly.AddHook(h)
	release := sync.OnceFunc(func() { close(h) })
	t.Cleanup(release)
	search := func() error {
		_, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{UserID: "creator"}, Limit: 1})
		return err
	}
	const callers = 40 // more than run and wait
	ended := make(chan error, callers)
	for range callers {
		go func() { ended <- search() }()
	}
	var got index.SearchStats
	var refused uint64
	if !eventually.Within(time.Minute, func() bool {
		got, refused = s.SearchStats(), countsOf(t, s)["own"].busy
		return got.CostlyRunning == got.CostlyLimit && got.CostlyRunning+got.CostlyWaiting+int(refused) == callers
	}) {
		t.Fatalf("%d of at most %d run, %d wait, %d are refused", got.CostlyRunning, got.CostlyLimit, got.CostlyWaiting, refused)
	}
	if got.CostlyLimit < 1 || got.CostlyWaiting == 0 {
		t.Errorf("at most %d run, %d wait", got.CostlyLimit, got.CostlyWaiting)
	}
	release()
	var want counted
	for range callers {
		switch err := <-ended; {
		case err == nil:
			want.answered++
			want.candidates += 1100
		case errors.Is(err, index.ErrBusy):
			want.busy++
		default:
			t.Error(err)
		}
	}
	if got := countsOf(t, s)["own"]; got != want || want.busy == 0 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := s.SearchStats(); got.CostlyRunning != 0 || got.CostlyWaiting != 0 {
		t.Errorf("%d run and %d wait when all have ended", got.CostlyRunning, got.CostlyWaiting)
	}
}
