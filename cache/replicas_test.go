package cache

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// A WAIT tells the truth also where nothing new is written: a reply that is
// asked for again, and the deletion of what is gone already.
func TestDelete_SaysHowManyReplicasHaveIt(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	faults := new(redistest.Faults)
	frail := p.client()
	frail.AddHook(faults)
	s := openFailover(t, frail, 1, 100, 1)
	for _, id := range []string{"1", "2", "3", "4"} {
		mustPut(t, s, sessionOf(id, "ada", 1))
	}
	// A busy machine may keep the replica from answering in time, once or twice.
	next := uint64(0)
	acknowledged := func() bool {
		next += 2
		mustPut(t, s, sessionOf("0", "ada", next))
		gone := mustDelete(t, s, "0")
		return gone.Replicas == 1 && !gone.Fewer()
	}
	eventually.Holds(t, "the replica acknowledges a deletion", acknowledged)
	eventually.Holds(t, "the replica acknowledges what is gone", func() bool {
		got, err := s.ConfirmDeleted(t.Context(), "0")
		return err == nil && got.Replicas == 1
	})
	if err := frail.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	mustDelete(t, s, "1")
	eventually.Holds(t, "the replica acknowledges a deletion after the scripts were gone", acknowledged)
	mustDelete(t, s, "2")
	p.between.Stall(true)
	old, err := s.GetFresh(t.Context(), "3")
	if err != nil {
		t.Fatal(err)
	}
	faults.Arm(redistest.CutAfter(1)) // the reply is lost; the answer is that of the second try
	gone, err := s.Delete(t.Context(), old, "deleted")
	if err != nil || !faults.Fired() || gone.Replicas != 0 {
		t.Errorf("a deletion whose reply was lost: on %d of %d, %v", gone.Replicas, gone.Wanted, err)
	}
	faults.Arm(redistest.Cut{})
	if got, err := s.ConfirmDeleted(t.Context(), "3"); err != nil || got.Replicas != 0 {
		t.Errorf("the deletion of what is gone, but not on the replica: %+v, %v", got, err)
	}
	fewer := atomic.Int64{}
	n, err := s.Revoke(t.Context(), Revocation{
		Query: &index.Query{Sees: index.Sees{All: true}}, Reason: "revoked",
		Replicated: func(a Acknowledged) {
			if a.Fewer() {
				fewer.Add(1)
			}
		},
	})
	if n != 1 || err != nil || fewer.Load() != 1 {
		t.Errorf("a revocation: %d, %d of them on too few, %v", n, fewer.Load(), err)
	}
	p.between.Stall(false)
	eventually.Holds(t, "the replica has it", func() bool {
		got, err := s.ConfirmDeleted(t.Context(), "3")
		return err == nil && got.Replicas == 1
	})
}

// Reads and other writes do not stand behind deletions that wait.
func TestDelete_WaitsAlone(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	s := openFailover(t, p.client(), 1, 100, 1)
	s.WaitForReplicas(5 * time.Second) // longer than any trip
	mustPut(t, s, sessionOf("1", "ada", 1))
	mustPut(t, s, sessionOf("2", "ada", 1))
	p.synced()
	p.between.Stall(true)
	gone := make(chan Deleted, 1)
	waits := make(chan struct{})
	go func() {
		old, err := s.GetFresh(context.Background(), "1")
		if err != nil {
			t.Error(err)
		}
		close(waits)
		got, err := s.Delete(context.Background(), old, "deleted")
		if err != nil {
			t.Error(err)
		}
		gone <- got
	}()
	<-waits
	eventually.Holds(t, "it is deleted", func() bool {
		_, err := s.GetFresh(t.Context(), "1")
		return errors.Is(err, session.ErrNotFound)
	})
	mustPut(t, s, sessionOf("3", "ada", 1))
	if _, err := s.Get(t.Context(), "2"); err != nil {
		t.Error(err)
	}
	select {
	case <-gone:
		t.Error("the deletion did not wait")
	default:
	}
	p.between.Stall(false)
	if got := <-gone; got.Replicas != 1 {
		t.Errorf("after it has waited, it is said to be on %d of %d", got.Replicas, got.Wanted)
	}
}

// A user that may not WAIT is told so from the start, and deletes all the same.
func TestDelete_WithoutTheRightToWait(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client(t)
	if err := admin.Do(t.Context(), "acl", "setuser", "u", "on", ">p", "allkeys", "allchannels", "+@all", "-wait").Err(); err != nil {
		t.Fatal(err)
	}
	s := openFailover(t, server.Client(t, func(o *redis.Options) { o.Username, o.Password = "u", "p" }), 1, 100, 1)
	if state := s.FailoverStats().Wait; !strings.Contains(state, "NOPERM") {
		t.Errorf("it is said to be %q", state)
	}
	mustPut(t, s, sessionOf("1", "ada", 1))
	if gone := mustDelete(t, s, "1"); gone.Replicas != 0 || gone.Wanted != 1 {
		t.Errorf("the deletion is said to be on %d of %d", gone.Replicas, gone.Wanted)
	}
	if _, err := s.GetFresh(t.Context(), "1"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("it is not deleted: %v", err)
	}
	if n := s.FailoverStats().Remembered; n != 1 {
		t.Errorf("%d are remembered", n)
	}
}
