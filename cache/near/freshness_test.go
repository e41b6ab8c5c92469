package near

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
	p := f.follow(1)[0]
	want(false)
	f.proveLink(p, now)
	want(false) // no master
	f.proveMaster(p, now)
	want(true)
	now = at(bound/2 - 1)
	want(true)
	now = at(bound / 2)
	want(false) // the master's is too old
	f.proveMaster(p, now)
	want(true)
	now = at(bound - 1)
	want(true)
	now = at(bound)
	f.proveMaster(p, now)
	want(false) // the link's is too old
	f.proveLink(p, at(bound/2))
	want(true)
	f.proveLink(p, at(0)) // an older answer takes nothing back
	want(true)
	now = at(bound/2 + bound)
	f.proveMaster(p, now)
	want(false)
	f.proveLink(p, now)
	want(true)
	f.lapse()
	want(false)
	f.proveLink(p, now) // what comes late of links that have ended
	f.proveMaster(p, now)
	want(false)
	q := f.follow(1)[0]
	f.proveLink(p, now)
	f.proveMaster(p, now)
	want(false)
	f.proveLink(q, now)
	want(false)
	f.proveMaster(q, now)
	want(true)
}

// One master of several decides: the one that is least proven.
func TestI4_EveryMasterHasToBeProven(t *testing.T) {
	const bound = time.Second
	now := instant(0)
	f := newFreshness(bound, func() instant { return now })
	masters := f.follow(3)
	for i, p := range masters {
		if f.proven() || f.age() >= 0 || f.sinceProven() >= 0 {
			t.Errorf("proven with the proofs of %d masters", i)
		}
		f.proveLink(p, now)
		f.proveMaster(p, now)
	}
	now = now.add(bound / 4)
	if !f.proven() || f.age() != bound/2 || f.sinceProven() != bound/4 {
		t.Errorf("proven is %v, age %v, since %v", f.proven(), f.age(), f.sinceProven())
	}
	for _, p := range masters[1:] {
		f.proveLink(p, now)
		f.proveMaster(p, now)
	}
	now = instant(0).add(bound / 2)
	if f.proven() {
		t.Error("the proof of one master is too old")
	}
	f.lapse()
	if f.age() >= 0 || f.sinceProven() != bound/2 {
		t.Errorf("age %v, since %v", f.age(), f.sinceProven())
	}
}

func TestI4_GapBetweenTwoProofsOfAMaster(t *testing.T) {
	const bound = time.Second
	now := instant(0)
	f := newFreshness(bound, func() instant { return now })
	p := f.follow(1)[0]
	if f.gap(p, now.add(bound)) {
		t.Error("a gap before the first proof")
	}
	f.proveMaster(p, now)
	if f.gap(p, now.add(bound/2)) || !f.gap(p, now.add(bound/2+1)) {
		t.Error("a gap is what is longer than half the bound")
	}
}

func TestFreshness_Age(t *testing.T) {
	now := instant(0)
	f := newFreshness(time.Second, func() instant { return now })
	if f.age() >= 0 {
		t.Errorf("without a proof its age is %v", f.age())
	}
	p := f.follow(1)[0]
	f.proveLink(p, now)
	f.proveMaster(p, instant(time.Second/2))
	now = instant(time.Second / 4)
	if f.age() != time.Second/4 {
		t.Errorf("age is %v", f.age())
	}
}

// Each master has an age of its own, and the oldest is that of all. Proofs of links that have ended have none.
func TestFreshness_AgeOfEachMaster(t *testing.T) {
	now := instant(0)
	f := newFreshness(time.Second, func() instant { return now })
	masters := f.follow(2)
	want := func(all time.Duration, each ...time.Duration) {
		t.Helper()
		if f.age() != all {
			t.Errorf("at %v: all are %v old, want %v", time.Duration(now), f.age(), all)
		}
		for i, p := range masters {
			if got := f.ageOf(p); got != each[i] {
				t.Errorf("at %v: master %d is %v old, want %v", time.Duration(now), i, got, each[i])
			}
		}
	}
	want(-1, -1, -1)
	f.proveLink(masters[0], now)
	want(-1, -1, -1)
	f.proveMaster(masters[0], now)
	want(-1, 0, -1)
	now = now.add(100 * time.Millisecond)
	f.proveLink(masters[1], now)
	f.proveMaster(masters[1], now)
	want(200*time.Millisecond, 200*time.Millisecond, 0) // a master's proof may be half as old as a link's
	f.lapse()
	want(-1, -1, -1)
}
