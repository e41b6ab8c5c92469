// Package testdepth says how much of a long test to do: all of it, or with "go test -short" a share.
//
// "make test", which CI runs, does the share; "make test FULL=1" does all.
package testdepth

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Of returns how much of something to do: all of it, or with -short less.
func Of[T any](all, short T) T {
	if testing.Short() {
		return short
	}
	return all
}

// OneIn returns which cases of a test to do, by their number: all, or with -short one in n, and with the race detector fewer
// still. Which ones differs from run to run, so that all have their turn; the test's log says how to do the same ones again. It
// may be used by several goroutines.
func OneIn(t testing.TB, n int) func(i int) bool {
	t.Helper()
	if !testing.Short() || n < 2 {
		return func(int) bool { return true }
	}
	n *= rarer
	first, err := turn()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("one case in %d; the same ones again: CLOAKROOM_TEST_TURN=%d", n, first)
	return func(i int) bool { return i%n == first%n }
}

// turn is the same for all tests of a program.
var turn = sync.OnceValues(func() (int, error) {
	text, is := os.LookupEnv("CLOAKROOM_TEST_TURN")
	if !is {
		return rand.IntN(1 << 16), nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("CLOAKROOM_TEST_TURN=%s: want a number, 0 or more", text)
	}
	return n, nil
})
