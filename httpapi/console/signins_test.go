package console

import (
	"crypto/sha256"
	"testing"
	"testing/synctest"
	"time"
)

// keyOf is the hash of an API key, another one for each number.
func keyOf(n int) (key [sha256.Size]byte) {
	key[0], key[1] = byte(n), byte(n>>8)
	return key
}

func TestSignIns_EndIdleAndInAnyCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all signIns
		proofs := map[string]string{}
		is := func(cookie string, uses bool) bool {
			_, _, found := all.find([]byte(cookie), []byte(proofs[cookie]), time.Now(), uses)
			return found
		}
		begin := func(n int) string {
			cookie, proof := all.begin(keyOf(n), time.Now())
			proofs[cookie] = proof
			return cookie
		}
		begun := time.Now()
		unused, watched, used := begin(1), begin(1), begin(1)
		for time.Since(begun) < longest-10*time.Minute {
			if !is(used, true) {
				t.Fatalf("a session in use ended after %v", time.Since(begun))
			}
			if want := time.Since(begun) < idle; is(watched, false) != want {
				t.Fatalf("after %v of nothing but live it lasts: %v", time.Since(begun), !want)
			}
			<-time.After(10 * time.Minute)
		}
		if is(unused, true) {
			t.Error("a session that nobody uses lasts")
		}
		<-time.After(time.Until(begun.Add(longest)) - 1)
		_, ends, found := all.find([]byte(used), []byte(proofs[used]), time.Now(), true)
		if !found || !ends.Equal(begun.Add(longest)) {
			t.Errorf("got %v, %v", ends, found)
		}
		<-time.After(1)
		if is(used, true) {
			t.Error("a session lasts longer than any may")
		}
		if len(all.all) != 0 {
			t.Errorf("%d are kept that have ended", len(all.all))
		}
	})
}

func TestSignIns_AreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all signIns
		proofs := map[string]string{}
		found := func(cookie string) bool {
			_, _, is := all.find([]byte(cookie), []byte(proofs[cookie]), time.Now(), false)
			return is
		}
		begin := func(n int) string {
			<-time.After(time.Millisecond)
			cookie, proof := all.begin(keyOf(n), time.Now())
			proofs[cookie] = proof
			return cookie
		}
		other, first, second := begin(0), begin(1), begin(1)
		<-time.After(time.Millisecond)
		all.find([]byte(first), []byte(proofs[first]), time.Now(), true) // so that second is unused longest
		for range maxOfKey - 1 {
			begin(1)
		}
		if found(second) || !found(first) || !found(other) {
			t.Errorf("of one key too many, the one unused longest was to end: %v %v %v", found(second), found(first), found(other))
		}
		for n := 2; len(all.all) < maxSignIns; n++ {
			begin(n)
		}
		last := begin(maxSignIns)
		if len(all.all) != maxSignIns || found(other) || !found(first) || !found(last) {
			t.Errorf("of too many, the one unused longest was to end: %d %v %v %v", len(all.all), found(other), found(first), found(last))
		}
		<-time.After(idle)
		begin(1)
		if len(all.all) != 1 {
			t.Errorf("%d are kept, with those that have ended", len(all.all))
		}
	})
}
