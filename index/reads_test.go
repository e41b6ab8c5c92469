package index

import (
	"context"
	"fmt"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Every plan reads documents, and a costly one its lists, as the query says, and
// pages by cursor without replicas; only a search that may read copies asks for lists
// of users that are held.
func TestReads_EveryPlanKeepsToThem(t *testing.T) {
	t.Parallel()
	master, replica := redistest.Start(t), redistest.Start(t)
	const many, few = 1100, 20
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	rdb, replicaRdb := master.Client(t), replica.Client(t)
	for _, to := range []*redis.Client{rdb, replicaRdb} {
		pipe := to.Pipeline()
		add := func(n int, lists ...string) {
			for i := range n {
				for _, key := range lists {
					pipe.ZAdd(t.Context(), key, redis.Z{Score: float64(1000 + i), Member: fmt.Sprintf("s%04d", i)})
				}
			}
		}
		add(many, space.Created(0), space.User("many"), space.Creator(0, "many"))
		add(few, space.User("few"))
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var got map[Reads]int
	var user string
	resolve := func(_ context.Context, candidates []Candidate, how How) ([]*session.Stored, error) {
		got[how.Reads]++
		var found []*session.Stored
		for _, c := range candidates {
			var i int
			if _, err := fmt.Sscanf(string(c.ID), "s%d", &i); err != nil {
				return nil, err
			}
			found = append(found, &session.Stored{Facts: session.Facts{ID: c.ID, UserID: user, Creator: "many", Creation: session.Time(1000 + i), Expiration: session.Never}})
		}
		return found, nil
	}
	heldAsked := 0
	users := func(context.Context, string, *Evidence) ([]Candidate, bool, error) {
		heldAsked++
		return nil, false, nil
	}
	ix := New(Config{Redis: rdb, Replicas: replicaRdb, Trips: direct{rdb}, Lists: direct{rdb}.lists, Keys: space, Resolve: resolve, Users: users})
	for what, f := range map[string]struct {
		predicates []Predicate
		costly     bool
		user       string
	}{
		"costly": {[]Predicate{ByUser("many"), ByCreator("many")}, true, "many"},
		"few":    {[]Predicate{ByUser("few")}, false, "few"},
		"ranked": {nil, false, "many"},
	} {
		user = f.user
		for _, after := range []*Candidate{nil, {}, {Creation: 1005, ID: "s0005"}} {
			for reads, byCursor := range map[Reads]Reads{
				ReadAny: ReadUnlagged, ReadServers: ReadMasters, ReadUnlagged: ReadUnlagged, ReadMasters: ReadMasters,
			} {
				want := reads
				if after != nil {
					want = byCursor
				}
				got, heldAsked = map[Reads]int{}, 0
				replica.Do("CONFIG", "RESETSTAT")
				page, err := ix.Search(t.Context(), &Query{Predicates: f.predicates, Sees: Sees{All: true}, Ascending: true, Limit: 10, Cursor: after, Reads: reads}, 5000)
				if err != nil || len(page.Sessions) != 10 {
					t.Fatalf("%s, after %v: %+v, %v", what, after, page, err)
				}
				if len(got) != 1 || got[want] == 0 {
					t.Errorf("%s, after %v, reads %d: documents were read as %v, want %d", what, after, reads, got, want)
				}
				if asked := replica.Calls("zrange"); (asked > 0) != (f.costly && want.Replicas()) {
					t.Errorf("%s, after %v, reads %d: the replica was asked for %d chunks of lists", what, after, reads, asked)
				}
				if (heldAsked > 0) != (len(f.predicates) > 0 && want.Copies()) {
					t.Errorf("%s, after %v, reads %d: held lists were asked for %d times", what, after, reads, heldAsked)
				}
			}
		}
	}
}

// direct makes a round trip of its own for each caller.
type direct struct{ rdb *redis.Client }

func (d direct) Do(ctx context.Context, cmds ...redis.Cmder) error {
	pipe := d.rdb.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	return err
}

// noUsers has no list.
func noUsers(context.Context, string, *Evidence) ([]Candidate, bool, error) { return nil, false, nil }

func (d direct) lists(ctx context.Context, lists []string, least, most string, limit int, _ []session.ID, _ *session.Memory) (members []string, whole bool, read []*session.Stored, err error) {
	for _, key := range lists {
		got, err := d.rdb.Do(ctx, "zrange", key, least, most, "byscore", "limit", 0, limit).StringSlice()
		if err != nil || len(got) == limit {
			return nil, false, nil, err
		}
		members = append(members, got...)
	}
	return members, true, nil, nil
}
