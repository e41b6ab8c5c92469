package cache

import (
	"testing"
	"time"
)

func TestI4_CopiesAreUsedOnlyWhileBothProofsAreYoung(t *testing.T) {
	const bound = time.Second
	now := instant(0)
	f := newFreshness(bound, func() instant { return now })
	at := func(d time.Duration) instant { return instant(0).add(d) }
	want := func(proven bool) {
		t.Helper()
		if f.proven() != proven {
			t.Errorf("at %v: proven is %v", time.Duration(now), f.proven())
		}
	}
	want(false)
	f.proveLink(now)
	want(false) // no master
	f.proveMaster(now)
	want(true)
	now = at(bound/2 - 1)
	want(true)
	now = at(bound / 2)
	want(false) // the master's is too old
	f.proveMaster(now)
	want(true)
	now = at(bound - 1)
	want(true)
	now = at(bound)
	f.proveMaster(now)
	want(false) // the link's is too old
	f.proveLink(at(bound / 2))
	want(true)
	f.proveLink(at(0)) // an older answer takes nothing back
	want(true)
	now = at(bound/2 + bound)
	f.proveMaster(now)
	want(false)
	f.proveLink(now)
	want(true)
	f.lapse()
	want(false)
	f.proveLink(now)
	want(false)
	f.proveMaster(now)
	want(true)
}

func TestFreshness_Age(t *testing.T) {
	now := instant(0)
	f := newFreshness(time.Second, func() instant { return now })
	if f.age() >= 0 {
		t.Errorf("without a proof its age is %v", f.age())
	}
	f.proveLink(now)
	f.proveMaster(instant(time.Second / 2))
	now = instant(time.Second / 4)
	if f.age() != time.Second/4 {
		t.Errorf("age is %v", f.age())
	}
}
