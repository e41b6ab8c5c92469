package cache

import (
	"context"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// readWatch is a hook that checks every command that goes through it.
type readWatch struct {
	check func(redis.Cmder) error
	mu    sync.Mutex
	seen  map[string]int
	wrong []string
}

func (w *readWatch) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (w *readWatch) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.look(cmd)
		return err
	}
}

func (w *readWatch) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		w.look(cmds...)
		return err
	}
}

func (w *readWatch) look(cmds ...redis.Cmder) {
	for _, one := range cmds {
		for _, cmd := range batch.Sent(one) {
			err := w.check(cmd)
			w.mu.Lock()
			w.seen[cmd.Name()]++
			if err != nil {
				w.wrong = append(w.wrong, err.Error())
			}
			w.mu.Unlock()
		}
	}
}

// small says why a command is not a small read.
func small(cmd redis.Cmder) error {
	const chunk = 250
	switch cmd.Name() {
	case "zcount", "zcard", "zrank", "zrevrank", "hget", "multi", "exec": // O(log N), or one field of a hash
		return nil
	case "hello", "client": // a new connection
		return nil
	case "zrange":
		got := 0
		switch c := cmd.(type) {
		case *redis.ZSliceCmd:
			got = len(c.Val())
		case *redis.StringSliceCmd:
			got = len(c.Val())
		case *redis.Cmd: // its reply is not here
			got = most(c.Args())
		}
		if got > chunk {
			return fmt.Errorf("%d elements from one command: %.80v", got, cmd.Args())
		}
		for i, arg := range cmd.Args() {
			if text, ok := arg.(string); ok && strings.EqualFold(text, "limit") && fmt.Sprint(cmd.Args()[i+1]) != "0" {
				return fmt.Errorf("elements are walked over: %.80v", cmd.Args())
			}
		}
		return nil
	}
	return fmt.Errorf("a read sent %s", cmd.Name())
}

// most is how many elements a ZRANGE may answer.
func most(args []any) int {
	number := func(i int) int {
		n, err := strconv.Atoi(fmt.Sprint(args[i]))
		if err != nil {
			return math.MaxInt
		}
		return n
	}
	for i, arg := range args {
		if text, ok := arg.(string); ok && strings.EqualFold(text, "limit") {
			return number(i + 2)
		}
	}
	return number(3) - number(2) + 1 // by rank
}

// TestI10_ReadsAreSmallAndWriteNothing runs every kind of search over lists of
// thousands, with ties and an unswept backlog, and looks at each command.
func TestI10_ReadsAreSmallAndWriteNothing(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			rdb := redistest.Start(t).Client(t)
			begin := session.TimeOf(time.Now())
			now := begin
			s, err := Open(t.Context(), Config{Redis: rdb, Shards: shards, Clock: func() session.Time { return now }, MaxCandidates: 5000})
			if err != nil {
				t.Fatal(err)
			}
			const sessions = 3000
			fingerprint := "device"
			var ids []session.ID
			for i := range sessions {
				made := &session.Session{
					ID: session.ID(fmt.Sprintf("s%05d", i)), CreationDate: begin.Add(time.Duration(i/700) * time.Second), ChangeDate: begin, Sequence: 1,
					ExpirationDate: begin.Add(time.Hour + time.Duration(i%20)*time.Minute), Creator: "creator",
					Factors: session.Factors{User: &session.UserFactor{ID: "user", OrganizationID: "org"}}, UserAgent: session.UserAgent{FingerprintID: &fingerprint},
				}
				if err := s.Put(t.Context(), made, nil); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, made.ID)
			}
			now = begin.Add(time.Hour + 2*time.Minute) // three in twenty are due

			watch := &readWatch{check: small, seen: map[string]int{}}
			rdb.AddHook(watch)
			all := index.Sees{All: true}
			later := index.ByCreation(index.Dates{Min: begin.Add(time.Second), Max: session.Never})
			middle := index.ByCreation(index.Dates{Min: begin.Add(time.Second), Max: begin.Add(2 * time.Second)})
			most := index.ByExpiration(index.Dates{Min: begin.Add(time.Hour + 11*time.Minute), Max: begin.Add(time.Hour + 18*time.Minute)})
			soon := index.ByExpiration(index.Dates{Min: now, Max: begin.Add(time.Hour + 9*time.Minute)})
			for i, q := range []index.Query{
				{Sees: all, Limit: 1000},
				{Sees: all, Limit: 1000, Offset: 2000},
				{Sees: all, Limit: 300, Predicates: []index.Predicate{later}},
				{Sees: all, Limit: 300, Offset: 600, Predicates: []index.Predicate{middle}},
				{Sees: all, Limit: 1000, Predicates: []index.Predicate{index.ByUser("user")}},
				{Sees: all, Limit: 1000, Predicates: []index.Predicate{index.ByAgent("device"), soon}},
				{Sees: all, Limit: 1000, Predicates: []index.Predicate{index.ByCreator("creator"), later}},
				{Sees: all, Limit: 1000, Predicates: []index.Predicate{soon, middle}},
				{Sees: all, Limit: 1000, Predicates: []index.Predicate{index.ByIDs(ids...)}},
				{Sees: index.Sees{UserID: "user"}, Limit: 1000},
				{Sees: index.Sees{AgentID: "device", UserID: "creator"}, Limit: 1000, Predicates: []index.Predicate{middle}},
				{Sees: index.Sees{Orgs: []string{"org"}}, Limit: 1000},
				{Sees: all, Limit: 1000, Offset: 100, Predicates: []index.Predicate{most}},
				{Sees: all, Limit: 1000, Predicates: []index.Predicate{most, index.ByCreator("creator")}},
				{Sees: all, Limit: 1000, Cursor: &index.Candidate{Creation: begin.Add(2 * time.Second), ID: "s01750"}, Predicates: []index.Predicate{most}},
				{Sees: all, Limit: 1000, Cursor: &index.Candidate{}},
				{Sees: all, Limit: 1000, Cursor: &index.Candidate{Creation: begin.Add(2 * time.Second), ID: "s01750"}}, // in the midst of a date
				{Sees: all, Limit: 1000, Cursor: &index.Candidate{Creation: begin.Add(2 * time.Second), ID: "s01750+"}},
				{Sees: all, Limit: 300, Cursor: &index.Candidate{Creation: begin.Add(time.Second), ID: "s01150+"}, Predicates: []index.Predicate{middle}},
				{Sees: all, Limit: 300, Cursor: &index.Candidate{Creation: begin.Add(2 * time.Second), ID: "s01750+"}, Predicates: []index.Predicate{index.ByCreator("creator")}},
				{Sees: all, Limit: 300, Cursor: &index.Candidate{Creation: begin.Add(2 * time.Second), ID: "s01750+"}, Predicates: []index.Predicate{index.ByUser("user")}},
			} {
				for _, q.Ascending = range []bool{false, true} {
					page, err := s.Search(t.Context(), &q)
					if err != nil {
						t.Fatalf("search %d: %v", i, err)
					}
					if len(page.Sessions) == 0 || uint64(len(page.Sessions)) > page.Total {
						t.Errorf("search %d: %d sessions of %d", i, len(page.Sessions), page.Total)
					}
				}
			}
			if _, err := s.Get(t.Context(), ids[5]); err != nil {
				t.Error(err)
			}
			if len(watch.wrong) > 0 {
				t.Errorf("%d commands: %s, …", len(watch.wrong), watch.wrong[0])
			}
			if watch.seen["zrange"] < 100 || watch.seen["hget"] < 10_000 {
				t.Errorf("hardly anything was looked at: %v", watch.seen)
			}
		})
	}
}

// TestI10_CostlySearchesHaveTheirOwnConnections checks that a search of many
// candidates leaves the connections of the others alone.
func TestI10_CostlySearchesHaveTheirOwnConnections(t *testing.T) {
	server := redistest.Start(t)
	rdb, costly := server.Client(t), server.Client(t)
	s, err := Open(t.Context(), Config{Redis: rdb, Costly: costly})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1200 {
		at := s.Now()
		made := &session.Session{ID: session.ID(fmt.Sprint(i)), CreationDate: at, ChangeDate: at, Sequence: 1, ExpirationDate: session.Never, Creator: "creator", Factors: session.Factors{User: &session.UserFactor{ID: "user"}}}
		if err := s.Put(t.Context(), made, nil); err != nil {
			t.Fatal(err)
		}
	}
	anything := func(redis.Cmder) error { return nil }
	usual, apart := &readWatch{check: anything, seen: map[string]int{}}, &readWatch{check: anything, seen: map[string]int{}}
	rdb.AddHook(usual)
	costly.AddHook(apart)
	page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{UserID: "creator"}, Limit: 10})
	if err != nil || page.Total != 1200 {
		t.Fatalf("%+v, %v", page, err)
	}
	if usual.seen["hget"] > 10 || apart.seen["hget"] < 1200 {
		t.Errorf("documents read: %d beside other calls, %d apart", usual.seen["hget"], apart.seen["hget"])
	}
}

// TestI5_PutAfterRedisDroppedTheHash loses a session's hash as eviction would,
// long before its time, and puts the session again.
func TestI5_PutAfterRedisDroppedTheHash(t *testing.T) {
	for _, shards := range []int{1, 4} {
		rdb := redistest.Start(t).Client(t)
		s, err := Open(t.Context(), Config{Redis: rdb, Shards: shards})
		if err != nil {
			t.Fatal(err)
		}
		at := s.Now()
		made := func(user string) *session.Session {
			return &session.Session{ID: "lost", CreationDate: at, ChangeDate: at, Sequence: 1, ExpirationDate: session.Never, Creator: "by " + user, Factors: session.Factors{User: &session.UserFactor{ID: user}}}
		}
		if err := s.Put(t.Context(), made("first"), nil); err != nil {
			t.Fatal(err)
		}
		if n := rdb.Del(t.Context(), s.keys.Session("lost")).Val(); n != 1 {
			t.Fatalf("%d hashes dropped", n)
		}
		if err := s.Put(t.Context(), made("second"), nil); err != nil {
			t.Fatal(err)
		}
		f := func(want uint64, p index.Predicate) {
			t.Helper()
			page, err := s.Search(t.Context(), &index.Query{Sees: index.Sees{All: true}, Limit: 10, Predicates: []index.Predicate{p}})
			if err != nil || page.Total != want || uint64(len(page.Sessions)) != want {
				t.Errorf("P=%d, %v: %+v, %v, want %d", shards, p, page, err, want)
			}
		}
		f(0, index.ByUser("first"))
		f(0, index.ByCreator("by first"))
		f(1, index.ByUser("second"))
		f(1, index.ByCreator("by second"))
		for _, key := range []string{s.keys.User("first"), s.keys.Creator(s.keys.ShardOf("lost"), "by first"), s.keys.Pending(s.keys.ShardOf("lost"))} {
			if n := rdb.Exists(t.Context(), key).Val(); n != 0 {
				t.Errorf("P=%d: %q is left over", shards, key)
			}
		}
	}
}

func z(score float64, member string) redis.Z { return redis.Z{Score: score, Member: member} }
