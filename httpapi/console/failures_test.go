package console

import (
	"net/netip"
	"testing"
	"time"
)

// netOf is a client's network, another one for each number.
func netOf(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

func TestFailures_AreLimitedByNetwork(t *testing.T) {
	var f failures
	now := time.Now()
	for n := range netBurst + 5 {
		if got := f.allow(netOf(1), now); got != (n < netBurst) {
			t.Errorf("wrong key %d is allowed: %v", n+1, got)
		}
	}
	if !f.allow(netOf(2), now) {
		t.Error("one network keeps another one out")
	}
	now = now.Add(time.Second)
	if !f.allow(netOf(1), now) || f.allow(netOf(1), now) {
		t.Error("a second later one more is to be allowed")
	}
	allowed := 0
	for n := range 2 * allBurst {
		if f.allow(netOf(100+n), now) {
			allowed++
		}
	}
	if allowed == 0 || allowed > allBurst {
		t.Errorf("of many networks %d were allowed, want at most %d", allowed, allBurst)
	}
}

func TestFailures_AreBounded(t *testing.T) {
	var f failures
	now := time.Now()
	for n := range 2 * maxNets {
		f.allow(netOf(n), now)
	}
	if len(f.nets) != maxNets {
		t.Errorf("%d networks are counted apart, want %d", len(f.nets), maxNets)
	}
	f.allow(netOf(-1), now.Add(time.Minute))
	if len(f.nets) != 1 {
		t.Errorf("%d networks are known that have tried nothing for a while", len(f.nets)-1)
	}
}
