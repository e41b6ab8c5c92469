package redistest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// Four steps in three trips: the pipeline is one. The cut trip fails as a whole, and what ran is seen past the hook.
func TestFaults_CutsTrips(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	direct, faulty := s.Client(t), s.Client(t)
	var faults redistest.Faults
	faulty.AddHook(&faults)

	f := func(cut redistest.Cut, failed, ran []int, fired bool) {
		t.Helper()
		if err := direct.FlushDB(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		faults.Arm(cut)
		var pipelined []redis.Cmder
		steps := []func() error{
			func() error { return faulty.Incr(t.Context(), "1").Err() },
			func() (err error) {
				pipelined, err = faulty.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
					pipe.Incr(t.Context(), "2")
					pipe.Incr(t.Context(), "2")
					return nil
				})
				return err
			},
			func() error { return faulty.Incr(t.Context(), "3").Err() },
		}
		var gotFailed, gotRan []int
		for i, step := range steps {
			if err := step(); errors.Is(err, redistest.ErrCut) {
				gotFailed = append(gotFailed, i+1)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		for i, key := range []string{"1", "2", "3"} {
			if direct.Exists(t.Context(), key).Val() == 1 {
				gotRan = append(gotRan, i+1)
			}
		}
		if !slices.Equal(gotFailed, failed) || !slices.Equal(gotRan, ran) {
			t.Errorf("failed %v, want %v; ran %v, want %v", gotFailed, failed, gotRan, ran)
		}
		for _, cmd := range pipelined {
			if cutIt := slices.Contains(failed, 2); errors.Is(cmd.Err(), redistest.ErrCut) != cutIt {
				t.Errorf("a pipelined command has the error %v", cmd.Err())
			}
		}
		if faults.Trips() != 3 || faults.Fired() != fired {
			t.Errorf("trips %d, fired %v, want 3, %v", faults.Trips(), faults.Fired(), fired)
		}
	}
	f(redistest.Cut{}, nil, []int{1, 2, 3}, false)
	f(redistest.CutBefore(1), []int{1}, []int{2, 3}, true)
	f(redistest.CutBefore(2), []int{2}, []int{1, 3}, true)
	f(redistest.CutBefore(4), nil, []int{1, 2, 3}, false)
	f(redistest.CutAfter(2), []int{2}, []int{1, 2, 3}, true)
	f(redistest.CutAfter(3), []int{3}, []int{1, 2, 3}, true)
	f(redistest.CrashBefore(2), []int{2, 3}, []int{1}, true)
}

func TestFaults_ChoosesByCommand(t *testing.T) {
	t.Parallel()
	c := redistest.Start(t).Client(t)
	var faults redistest.Faults
	c.AddHook(&faults)
	faults.Arm(redistest.Cut{Before: func(_ int, cmds []redis.Cmder) error {
		if cmds[0].Name() == "del" {
			return redistest.ErrCut
		}
		return nil
	}})
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
	if err := c.Del(t.Context(), "k").Err(); !errors.Is(err, redistest.ErrCut) {
		t.Errorf("got %v, want ErrCut", err)
	}
}
