package batch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

func newClusterReads(t *testing.T, rdb *redis.ClusterClient) *batch.ClusterReads {
	t.Helper()
	r := batch.NewClusterReads(rdb, batch.Config{Timeout: time.Minute})
	t.Cleanup(r.Close)
	return r
}

func TestClusterReads_OfAllMastersInOneCall(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := c.Client(t)
	r := newClusterReads(t, rdb)
	keys := keysOf(c, 4)
	var all []string
	for i := range 4 { // in turn
		for _, of := range keys {
			all = append(all, of[i])
			if err := rdb.Set(t.Context(), of[i], "value of "+of[i], 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	all = append(all, "nothing")
	got, err := getAll(t.Context(), r, all...)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range all[:len(all)-1] {
		if got[i] != "value of "+k {
			t.Errorf("%s: %q", k, got[i])
		}
	}
	if got[len(all)-1] != "" {
		t.Errorf("what is not there: %q", got[len(all)-1])
	}
	if n := r.Masters(); n != 3 {
		t.Errorf("%d masters were asked", n)
	}
}

// While a slot moves, and when it has moved, what is read is right; a list that is
// asked for beside it, too.
func TestClusterReads_FollowsASlot(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := c.Client(t)
	r := newClusterReads(t, rdb)
	const n = 6
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("{k}", i))
		if err := rdb.Set(t.Context(), keys[i], i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(rdb.RPush(t.Context(), "{k}list", "a", "b").Err(), rdb.HSet(t.Context(), "{k}hash", "a", 1, "b", 2).Err(),
		rdb.ZAdd(t.Context(), "{k}set", redis.Z{Score: 1.5, Member: "m"}).Err(), rdb.Set(t.Context(), "other", "here", 0).Err()); err != nil {
		t.Fatal(err)
	}
	slot := c.SlotOf("k")
	masters := c.Masters()
	m := c.Migrate(slot, masters[(slices.Index(masters, c.Master(slot))+1)%3])
	all := func() {
		t.Helper()
		got, err := getAll(t.Context(), r, slices.Concat(keys, []string{"other", "{k}not"})...)
		if err != nil || !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5", "here", ""}) {
			t.Errorf("got %q, %v", got, err)
		}
		call := batch.NewCall()
		defer call.Release()
		call.Add("lrange", "{k}list", "0", "-1")
		call.Add("get", "{k}list")
		call.Add("hmget", "{k}hash", "a", "none", "b")
		call.Add("zscore", "{k}set", "m")
		call.Add("zscore", "{k}set", "none")
		call.Add("zcard", "{k}set")
		if err := r.Do(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		replies := call.Replies()
		if parts := string(replies.Next()); parts != "*2\r\n$1\r\na\r\n$1\r\nb\r\n" {
			t.Errorf("the list: %q", parts)
		}
		if _, _, err := replies.Text(); !strings.HasPrefix(fmt.Sprint(err), "WRONGTYPE") {
			t.Errorf("of another type: %v", err)
		}
		if n, err := replies.Array(); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		for _, want := range []string{"1", "", "2", "1.5", "", "1"} {
			if text, is, err := replies.Text(); string(text) != want || is != (want != "") || err != nil {
				t.Errorf("got %q, %v, %v, want %q", text, is, err, want)
			}
		}
	}
	all()
	for m.Move(1) > 0 {
		all()
	}
	all()
	m.End()
	all()
	all()
}

// When a master dies, its replica is found without a restart, and a caller that asks
// meanwhile gets an error. (I2)
func TestI2_ClusterReadsFindTheNewMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := c.Client(t)
	r := newClusterReads(t, rdb)
	slot := c.SlotOf("k")
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := getAll(t.Context(), r, "k"); err != nil || got[0] != "v" {
		t.Fatalf("got %q, %v", got, err)
	}
	c.WaitSynced()
	dead := c.Master(slot)
	dead.Kill()
	if got, err := getAll(t.Context(), r, "k"); err == nil {
		t.Errorf("a dead master: %q", got)
	}
	c.WaitPromoted(slot, dead)
	for {
		got, err := getAll(t.Context(), r, "k")
		if err == nil {
			if got[0] != "v" {
				t.Fatal("the key is gone")
			}
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}
