package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

func newCluster(t *testing.T, rdb *redis.ClusterClient) *batch.Cluster {
	t.Helper()
	b := batch.NewCluster(rdb, batch.Config{Timeout: time.Minute})
	t.Cleanup(b.Close)
	return b
}

// keysOf returns keys, so many for each master, in the order of the masters.
func keysOf(c *redistest.Cluster, each int) [][]string {
	masters := c.Masters()
	keys := make([][]string, len(masters))
	for i := 0; ; i++ {
		key := fmt.Sprint("key", i)
		if m := slices.Index(masters, c.Master(c.SlotOf(key))); len(keys[m]) < each {
			keys[m] = append(keys[m], key)
		}
		if !slices.ContainsFunc(keys, func(k []string) bool { return len(k) < each }) {
			return keys
		}
	}
}

func TestCluster_CommandsOfAllMastersInOneCall(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := newCluster(t, c.Client(t))
	keys := slices.Concat(keysOf(c, 5)...)
	for round := range 2 {
		var cmds []redis.Cmder
		for i, key := range keys {
			cmds = append(cmds, redis.NewStatusCmd(t.Context(), "set", key, fmt.Sprint(i, round)))
		}
		cmds = append(cmds, redis.NewStringCmd(t.Context(), "get", "nothing"))
		if err := b.Do(t.Context(), cmds...); err != nil {
			t.Fatal(err)
		}
		if err := cmds[len(keys)].Err(); !errors.Is(err, redis.Nil) {
			t.Errorf("a key that is not there: %v", err)
		}
		for i, key := range keys {
			get := redis.NewStringCmd(t.Context(), "get", key)
			if err := b.Do(t.Context(), get); err != nil || get.Val() != fmt.Sprint(i, round) {
				t.Errorf("%s: %q, %v", key, get.Val(), err)
			}
		}
	}
	// An error of one command is its own.
	wrong, right := redis.NewIntCmd(t.Context(), "incr", keys[0]), redis.NewStringCmd(t.Context(), "get", keys[len(keys)-1])
	if err := wrong.Err(); err != nil {
		t.Fatal(err)
	}
	if err := b.Do(t.Context(), redis.NewIntCmd(t.Context(), "lpush", keys[0], "x"), right); !redis.HasErrorPrefix(err, "WRONGTYPE") || right.Err() != nil {
		t.Errorf("the wrong command's error is %v, the other's %v", err, right.Err())
	}
}

// A Batcher that is idle for a moment is no reason to put it away: who was given
// it is about to use it.
func TestCluster_KeepsWhoIsIdleAMoment(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := newCluster(t, c.Client(t))
	keys := keysOf(c, 1)
	for range 3 {
		for _, of := range keys { // one master after the other
			if err := b.Do(t.Context(), redis.NewStringCmd(t.Context(), "get", of[0])); err != nil && !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
		}
	}
	if got := b.Masters(); got != len(keys) {
		t.Errorf("%d of %d masters have a Batcher", got, len(keys))
	}
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			for range 500 {
				var cmds []redis.Cmder
				for _, of := range keys {
					cmds = append(cmds, redis.NewStringCmd(t.Context(), "get", of[0]))
				}
				if err := b.Do(t.Context(), cmds...); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// While one master is silent, commands for the others are answered.
func TestCluster_SilentMasterHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	c.NeverFailOver()
	b := newCluster(t, c.Client(t))
	keys := keysOf(c, 8)
	masters := c.Masters()
	for _, k := range keys {
		if err := b.Do(t.Context(), redis.NewStringCmd(t.Context(), "get", k[0])); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	masters[0].Pause()
	waiting := make(chan error)
	for _, key := range keys[0] {
		go func() {
			waiting <- b.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", key, "late"))
		}()
	}
	for _, key := range slices.Concat(keys[1:]...) {
		if err := b.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", key, "soon")); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	select {
	case err := <-waiting:
		t.Errorf("a paused master answered: %v", err)
	default:
	}
	// A caller that gives up waits no longer, and the fate of its commands is not known.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := b.Do(ctx, redis.NewStringCmd(ctx, "get", keys[0][0]), redis.NewStringCmd(ctx, "get", keys[1][0])); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that gave up: %v", err)
	}
	masters[0].Resume()
	for range keys[0] {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
}

func TestCluster_FollowsASlot(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := newCluster(t, c.Client(t))
	const n = 6
	for i := range n {
		if err := b.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", fmt.Sprint("{k}", i), i)); err != nil {
			t.Fatal(err)
		}
	}
	slot := c.SlotOf("k")
	masters := c.Masters()
	m := c.Migrate(slot, masters[(slices.Index(masters, c.Master(slot))+1)%3])
	all := func() {
		t.Helper()
		var cmds []redis.Cmder
		for i := range n {
			cmds = append(cmds, redis.NewStringCmd(t.Context(), "get", fmt.Sprint("{k}", i)))
		}
		if err := b.Do(t.Context(), cmds...); err != nil {
			t.Error(err)
		}
		for i := range n {
			if got := cmds[i].(*redis.StringCmd).Val(); got != fmt.Sprint(i) {
				t.Errorf("key %d is %q", i, got)
			}
		}
	}
	const both = "return redis.call('INCR', KEYS[1]) + redis.call('INCR', KEYS[2])"
	script := func() (int, error) {
		cmd := redis.NewCmd(t.Context(), "eval", both, 2, "{k}0", "{k}1")
		err := b.Do(t.Context(), cmd)
		sum, _ := cmd.Int()
		return sum, err
	}
	all()
	m.Move(1)
	all()
	a, err := m.From.Client(t).Exists(t.Context(), "{k}0", "{k}1").Result()
	if redis.HasErrorPrefix(err, "TRYAGAIN") == (a != 0) {
		t.Fatalf("EXISTS: %d, %v", a, err)
	}
	for m.Move(1) > 0 {
		all()
	}
	// All keys are there, and the slot is still said to be here.
	all()
	if sum, err := script(); err != nil || sum != 1+0+1+1 {
		t.Errorf("a script: %d, %v", sum, err)
	}
	m.End()
	if sum, err := script(); err != nil || sum != 1+0+1+1+2 {
		t.Errorf("a script: %d, %v", sum, err)
	}
}

// A script whose keys are on both sides of a migration is refused as long as they are, and not run.
func TestCluster_ScriptOnBothSidesIsRefused(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := newCluster(t, c.Client(t))
	if err := b.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", "{k}here", 0), redis.NewStatusCmd(t.Context(), "set", "other", 0)); err != nil {
		t.Fatal(err)
	}
	slot := c.SlotOf("k")
	masters := c.Masters()
	m := c.Migrate(slot, masters[(slices.Index(masters, c.Master(slot))+1)%3])
	script := redis.NewCmd(t.Context(), "eval", "redis.call('SET', KEYS[2], 1) return redis.call('INCR', KEYS[1])", 2, "{k}here", "{k}not")
	// What else is in the batch is run once.
	other := redis.NewIntCmd(t.Context(), "incr", "other")
	if err := b.Do(t.Context(), script, other); !redis.IsTryAgainError(err) || other.Err() != nil || other.Val() != 1 {
		t.Errorf("the script: %v; the other command: %d, %v", err, other.Val(), other.Err())
	}
	m.Finish()
	again := redis.NewCmd(t.Context(), script.Args()...)
	if err := b.Do(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if n, err := again.Int(); n != 1 || err != nil {
		t.Errorf("it was run %d times: %v", n, err)
	}
}

// When a master dies, its replica is found without a restart, and a caller that asks meanwhile gets an error.
func TestCluster_FindsTheNewMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := newCluster(t, c.Client(t))
	slot := c.SlotOf("k")
	if err := b.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", "k", "v")); err != nil {
		t.Fatal(err)
	}
	c.WaitSynced()
	dead := c.Master(slot)
	dead.Kill()
	if err := b.Do(t.Context(), redis.NewStringCmd(t.Context(), "get", "k")); err == nil || errors.Is(err, redis.Nil) {
		t.Errorf("a dead master: %v", err) // I2
	}
	c.WaitPromoted(slot, dead)
	for {
		get := redis.NewStringCmd(t.Context(), "get", "k")
		err := b.Do(t.Context(), get)
		if err == nil && get.Val() == "v" {
			return
		}
		if errors.Is(get.Err(), redis.Nil) {
			t.Fatal("the key is gone")
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestCluster_ClosedTakesNothing(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	b := batch.NewCluster(c.Client(t), batch.Config{Timeout: long})
	if err := b.Do(t.Context(), redis.NewStatusCmd(t.Context(), "set", "k", "v")); err != nil {
		t.Fatal(err)
	}
	b.Close()
	get := redis.NewStringCmd(t.Context(), "get", "k")
	if err := b.Do(t.Context(), get); !errors.Is(err, batch.ErrClosed) || !errors.Is(get.Err(), batch.ErrClosed) {
		t.Errorf("after Close: %v, the command's error %v", err, get.Err())
	}
}
