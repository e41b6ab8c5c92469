package keys

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// slotOf is Redis Cluster's key slot: CRC16 (XMODEM) of what stands between the
// first brace and the next closing one, modulo 16384.
func slotOf(key string) int {
	if open := strings.IndexByte(key, '{'); open >= 0 {
		if n := strings.IndexByte(key[open+1:], '}'); n > 0 {
			key = key[open+1 : open+1+n]
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % 16384
}

func TestSlotOfKnownKey(t *testing.T) {
	if got := slotOf("123456789"); got != 0x31c3 {
		t.Fatalf("%#x, want 0x31c3, the example of the Cluster specification", got)
	}
}

// TestTagsSpreadOverSlots checks that every shard is in the middle of its share
// of the slots, so that a cluster of P masters, or fewer, gets even shares.
func TestTagsSpreadOverSlots(t *testing.T) {
	seen := map[string]string{}
	for p := 1; p <= MaxShards; p *= 2 {
		s, err := NewSpace("cr:", p)
		if err != nil {
			t.Fatal(err)
		}
		for k := range p {
			slot, want := slotOf(s.Created(k)), (2*k+1)*16384/(2*p)
			if distance := slot - want; distance < -20 || distance > 20 {
				t.Errorf("shard %d of %d has slot %d, want about %d", k, p, slot, want)
			}
			shard := fmt.Sprintf("%d of %d", k, p)
			if other, ok := seen[s.Created(k)]; ok {
				t.Errorf("shards %s and %s share the key %s", shard, other, s.Created(k))
			}
			seen[s.Created(k)] = shard
		}
	}
}

// TestKeysOfASessionShareItsSlot checks that whatever a script touches is in
// one slot, also where names contain braces.
func TestKeysOfASessionShareItsSlot(t *testing.T) {
	s, err := NewSpace("cr:", 32)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []session.ID{"1", "1790000000000000000", "a{b}c", "}{"} {
		k := s.ShardOf(id)
		want := slotOf(s.Session(id))
		for _, key := range []string{s.Tombstone(id), s.Created(k), s.Catalogue(k), s.Pending(k), s.Never(k), s.Creator(k, "}{x}"), s.Creator(k, "")} {
			if got := slotOf(key); got != want {
				t.Errorf("%s has slot %d, the session's key has %d", key, got, want)
			}
		}
	}
}

func TestNamedKeysSpread(t *testing.T) {
	s, err := NewSpace("cr:", 16)
	if err != nil {
		t.Fatal(err)
	}
	const names = 16_000
	in := map[int]int{}
	for i := range names {
		in[slotOf(s.User(fmt.Sprint(163840776835432705+i)))]++
	}
	if len(in) != 16 {
		t.Errorf("users are in %d shards of 16", len(in))
	}
	for slot, n := range in {
		if n < names/16*8/10 || n > names/16*12/10 {
			t.Errorf("slot %d has %d of %d users, its share is %d", slot, n, names, names/16)
		}
	}
}

func TestNewSpaceRefuses(t *testing.T) {
	f := func(prefix string, shards int) {
		t.Helper()
		if _, err := NewSpace(prefix, shards); err == nil {
			t.Errorf("the prefix %q with %d shards was taken", prefix, shards)
		}
	}
	f("{", 1)
	f("a}b", 1)
	f("cr:", 0)
	f("cr:", -1)
	f("cr:", 3)
	f("cr:", 256)
}

// TestKeysAreWhatTheyWere guards the place of stored sessions: a change here
// loses them.
func TestKeysAreWhatTheyWere(t *testing.T) {
	one, _ := NewSpace("cr:", 1)
	four, _ := NewSpace("x:", 4)
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(one.Meta(), "cr:meta")
	f(one.Session("123"), "cr:s:{7e}:123")
	f(one.Tombstone("123"), "cr:d:{7e}:123")
	f(one.Created(0), "cr:t:{7e}")
	f(one.Catalogue(0), "cr:x:{7e}")
	f(one.Pending(0), "cr:p:{7e}")
	f(one.Never(0), "cr:n:{7e}")
	f(one.Creator(0, "c"), "cr:c:{7e}:c")
	f(one.User("u"), "cr:u:{7e}:u")
	f(one.Agent("a"), "cr:a:{7e}:a")
	f(one.Token(session.TokenHash{1}), "cr:k:{7e}:\x01"+strings.Repeat("\x00", 31))
	f(one.Used(session.TokenHash{1}), "cr:j:{7e}:\x01"+strings.Repeat("\x00", 31))
	f(one.Tie("V2_1"), "cr:o:{7e}:V2_1")
	f(four.Session("123"), "x:s:{nz}:123")
	f(four.User("163840776835432705"), "x:u:{nz}:163840776835432705")
}

func TestSpelled(t *testing.T) {
	s, err := NewSpace("cr:", 4)
	if err != nil {
		t.Fatal(err)
	}
	token := session.TokenHash{1, '}', ':'}
	f := func(key string, kind byte, shard int, name string) {
		t.Helper()
		gotKind, gotShard, gotName, ours, ok := s.Spelled(key)
		if gotKind != kind || gotShard != shard || gotName != name || !ours || !ok {
			t.Errorf("Spelled(%q) = %c, %d, %q, %v, %v, want %c, %d, %q", key, gotKind, gotShard, gotName, ours, ok, kind, shard, name)
		}
	}
	f(s.Session("a}:b"), KindSession, s.ShardOf("a}:b"), "a}:b")
	f(s.Tombstone("1"), 'd', s.ShardOf("1"), "1")
	f(s.Tie("V2_1"), 'o', s.shard("V2_1"), "V2_1")
	f(s.User("}{"), KindUser, s.shard("}{"), "}{")
	f(s.User(""), KindUser, s.shard(""), "")
	f(s.Agent("a"), KindAgent, s.shard("a"), "a")
	f(s.Token(token), KindToken, s.shard(string(token[:])), string(token[:]))
	f(s.Used(token), 'j', s.shard(string(token[:])), string(token[:]))
	for shard := range 4 {
		f(s.Created(shard), KindCreated, shard, "")
		f(s.Catalogue(shard), KindCatalogue, shard, "")
		f(s.Pending(shard), KindPending, shard, "")
		f(s.Creator(shard, "c"), KindCreator, shard, "c")
		f(s.Creator(shard, ""), KindCreator, shard, "")
	}

	not := func(key string, wantOurs bool) {
		t.Helper()
		if kind, _, name, ours, ok := s.Spelled(key); ours != wantOurs || ok {
			t.Errorf("Spelled(%q) = %c, %q, %v, %v", key, kind, name, ours, ok)
		}
	}
	not(s.Meta(), false)
	not("", false)
	not("x", false)
	not("other:s:{7e}:1", false)
	not("cr:other:s:{7e}:1", false)
	not("cr:z:{7e}:1", false)
	one, err := NewSpace("cr:", 1)
	if err != nil {
		t.Fatal(err)
	}
	not(one.Session("1"), true) // of another number of shards
	not(one.Created(0), true)
	not(s.Created(0)+":1", true)
	not(s.Created(0)+"x", true)
	not(strings.TrimSuffix(s.Created(0), "}"), true)
	not(strings.Replace(s.Session("1"), s.tags[s.shard("1")], s.tags[(s.shard("1")+1)%4], 1), true)
}

// TestFollowsIsFollowed checks that both ways to say what near caches follow agree.
func TestFollowsIsFollowed(t *testing.T) {
	s, err := NewSpace("cr:", 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		s.Meta(), s.Session("1"), s.Created(0), s.Creator(0, "c"), s.Catalogue(0), s.User("u"), s.Agent("a"), s.Token(session.TokenHash{}),
		s.Used(session.TokenHash{}), s.Tombstone("1"), s.Pending(0), s.Never(0), "cr:s", "cr:", "s:{nz}:1", "",
	} {
		want := slices.ContainsFunc(s.Followed(), func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if s.Follows(key) != want {
			t.Errorf("%q is followed: %v, want %v", key, !want, want)
		}
	}
}

func TestKinds_AreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds {
		want := fmt.Sprintf("| `cr:%c:{}", kind)
		if kind == 'm' {
			want = "| `cr:meta`"
		}
		if !strings.Contains(string(doc), want) {
			t.Errorf("docs/redis.md has no row that begins with %s", want)
		}
	}
}
