package experiment

import (
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

func TestExpiryCliff_Judges(t *testing.T) {
	first := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := &expiryCliff{flags: &Flags{count: 10}, prefix: "7", first: first} // one ends every 100 ms
	list := func(numbers ...int) (all []scenario.SessionJSON) {
		for _, i := range numbers {
			all = append(all, scenario.SessionJSON{ID: c.id(i)})
		}
		return all
	}
	at := first.Add(150 * time.Millisecond) // 0 and 1 have ended
	f := func(right bool, answered time.Duration, total string, found []scenario.SessionJSON) {
		t.Helper()
		if err := c.judgeSearch(3, at, at.Add(answered), total, found); (err == nil) != right {
			t.Errorf("%s of %v: %v", total, found, err)
		}
	}
	f(true, 0, "3", list(4, 3, 2))
	f(false, 0, "2", list(4, 3))
	f(true, 60*time.Millisecond, "2", list(4, 3)) // 2 ended meanwhile
	f(false, 60*time.Millisecond, "3", list(4, 3))
	f(false, 0, "4", list(4, 3, 2, 1))
	f(false, 0, "3", list(4, 3, 9))

	g := func(right, served bool, sent, answered time.Duration) {
		t.Helper()
		end := c.end(3)
		if err := c.judgeGet(3, served, end.Add(sent), end.Add(answered)); (err == nil) != right {
			t.Errorf("served %t, %v to %v of the end: %v", served, sent, answered, err)
		}
	}
	g(true, true, -time.Second, time.Second)
	g(true, false, -time.Second, time.Second)
	g(false, true, 10*time.Millisecond, time.Second)
	g(false, false, -time.Second, -10*time.Millisecond)
}
