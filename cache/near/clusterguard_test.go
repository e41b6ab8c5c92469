package near

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// standsFor is a command in whose place others are sent, as a batch.Command.
type standsFor struct {
	*redis.StatusCmd
	keys []string
}

func (s *standsFor) Keys(yield func(key string) bool) {
	for _, k := range s.keys {
		if !yield(k) {
			return
		}
	}
}

// The guard sees keys that are followed in each kind of command. (I3)
func TestI3_GuardSeesTheKeysOfACommand(t *testing.T) {
	space, err := keys.NewSpace("cr:", 4)
	if err != nil {
		t.Fatal(err)
	}
	followed, other := space.Session("1"), "other:1"
	f := func(want bool, cmd redis.Cmder) {
		t.Helper()
		if got := touches(space, cmd, nil); got != want {
			t.Errorf("%v: %v, want %v", cmd, got, want)
		}
	}
	ping := redis.NewStatusCmd(t.Context(), "ping", "x")
	f(true, redis.NewStringCmd(t.Context(), "hget", followed, "doc"))
	f(false, redis.NewStringCmd(t.Context(), "hget", other, "doc"))
	f(false, ping)
	f(true, &standsFor{ping, []string{other, followed}})
	f(false, &standsFor{ping, []string{other}})
	f(false, &standsFor{ping, nil})
}

// Where loads are read over links, a command that may write, sent to a node whose link does not
// answer for the key, ends all proofs: another link answers without it. (I4)
func TestI4_GuardEndsProofsWhereAnotherNodeIsWrittenTo(t *testing.T) {
	t.Run("no link", func(t *testing.T) { writeElsewhere(t, nil) })
	t.Run("another link", func(t *testing.T) { writeElsewhere(t, &master{shards: []int{}}) })
}

func writeElsewhere(t *testing.T, elsewhere *master) {
	n := linked(t, Config{ByKey: true})
	n.tracker.followed.Store(&[]*followedMaster{{}})
	followed, session := &clusterGuard{near: n}, n.space.Session("1")
	followed.followed.Store(&master{shards: []int{n.space.ShardOfKey(session)}})
	other := &clusterGuard{near: n}
	other.followed.Store(elsewhere)
	write := redis.NewCmd(t.Context(), "evalsha", "hash", 1, session)
	f := func(g *clusterGuard, cmd redis.Cmder, usable bool) {
		t.Helper()
		g.pass(cmd)
		if _, is := n.Begin(); is != usable {
			t.Errorf("%v: copies may be used: %v, want %v", cmd, is, usable)
		}
	}
	f(followed, write, true)
	f(other, redis.NewCmd(t.Context(), "evalsha", "hash", 1, "other"), true)
	f(other, redis.NewStringCmd(t.Context(), "hget", session, "doc"), true)
	f(other, &standsFor{redis.NewStatusCmd(t.Context(), "ping", "x"), []string{session}}, true)
	n.tracker.followed.Store(nil) // there is nothing that a link could answer
	f(other, write, true)
	n.tracker.followed.Store(&[]*followedMaster{{}})
	f(other, write, false)
}
