package index

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Each search is in one bucket, its bound included, and what was refused is in none.
func TestSearchStats_Buckets(t *testing.T) {
	t.Parallel()
	space, err := keys.NewSpace("cr:", 1)
	if err != nil {
		t.Fatal(err)
	}
	ix := New(Config{Keys: space})
	for _, candidates := range []int{0, 10, 11, 250, 251, 1000, 20_000, 20_001} {
		ix.counts.add(work{sourceCreator, candidates}, nil)
	}
	ix.counts.add(work{sourceCreator, 5}, context.DeadlineExceeded)
	for _, err := range []error{&TooCostlyError{}, fmt.Errorf("more: %w", &TooCostlyError{}), errTooFar} {
		ix.counts.add(work{sourceCreator, 700}, err)
	}
	for range 2 {
		ix.counts.add(work{sourceCreator, 700}, errors.Join(ErrBusy, session.ErrUnavailable))
	}
	for i, got := range ix.Stats().Plans {
		want := PlanStats{Plan: sourceNames[i], UpTo: map[float64]uint64{10: 0, 50: 0, 250: 0, 1000: 0, 5000: 0, 20_000: 0}}
		if source(i) == sourceCreator {
			want = PlanStats{
				Plan: "creator", Answered: 8, Failed: 1, TooCostly: 3, Busy: 2, Candidates: 10 + 11 + 250 + 251 + 1000 + 20_000 + 20_001 + 5,
				UpTo: map[float64]uint64{10: 3, 50: 4, 250: 5, 1000: 7, 5000: 7, 20_000: 8},
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// A search that near copies answer pays nothing for being counted.
func TestSearchStats_Allocations(t *testing.T) {
	var counts searchCounts
	if n := testing.AllocsPerRun(100, func() { counts.add(work{sourceCopy, 5}, nil) }); n != 0 {
		t.Errorf("counting a search allocates %v times", n)
	}
}
