package cache

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// startByKey is startNear where Redis tracks the keys that were read.
func startByKey(t *testing.T, server *redistest.Server, link ...func(*redis.Options)) *nearProcess {
	t.Helper()
	p := openNear(t, Config{Redis: server.Client(t), Shards: 1, NearBytes: 16 << 20, NearStaleness: testBound, NearByKey: true}, link...)
	p.run()
	p.await("the near cache is usable", p.usable)
	return p
}

// A process is told of what it holds, and of nothing else; where all changes are told, of all.
func TestNear_ByKeyAProcessIsToldOfWhatItHolds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b, all := startByKey(t, server), startByKey(t, server), startNear(t, server.Client(t), 1)
	for i := range 10 {
		a.put(sessionOf(fmt.Sprint(i), fmt.Sprint("u", i), 1))
	}
	b.settle()
	b.want("3", 1, false)
	b.want("3", 1, true)
	if got := b.ofUser("u4"); len(got) != 1 { // the list and the session
		t.Fatal(got)
	}
	b.want("99", 0, false)
	for i := range 10 {
		a.put(sessionOf(fmt.Sprint(i), fmt.Sprint("u", i), 2))
	}
	a.put(sessionOf("99", "u99", 1))
	a.put(sessionOf("98", "u4", 1))
	b.settle()
	all.settle()
	f := func(p *nearProcess, held, other uint64) {
		t.Helper()
		if s := p.NearStats(); s.ToldHeld != held || s.ToldOther != other {
			t.Errorf("told of %d that it held and %d that it did not, want %d and %d", s.ToldHeld, s.ToldOther, held, other)
		}
	}
	f(b, 4, 0) // sessions 3, 4 and 99, the list of u4
	f(a, 0, 0)
	f(all, 0, 10*2+10+2+2) // 10 sessions and lists, 10 changes, 2 more sessions and their lists
	b.want("3", 2, false)
	b.want("4", 2, false)
	b.want("99", 1, false)
	if got := b.ofUser("u4"); len(got) != 2 {
		t.Error(got)
	}
}

// Redis takes back what it cannot keep in mind: those copies are not held any longer, and what
// changes is refused all the same. (I3, I4)
func TestI4_RedisTracksFewerKeysThanAreHeld(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "tracking-table-max-keys 10")
	a, b := startByKey(t, server), startByKey(t, server)
	const sessions = 100
	for i := range sessions {
		a.put(sessionOf(fmt.Sprint(i), "u", 1))
	}
	b.settle()
	for round := range uint64(3) {
		for i := range sessions {
			if got, _ := b.get(session.ID(fmt.Sprint(i))); got != round+1 {
				t.Errorf("session %d: %d, want %d", i, got, round+1)
			}
		}
		b.settle()
		b.await("Redis takes copies back", func() bool { b.pass(0); return b.NearStats().Sessions.Entries <= 20 })
		for i := range sessions {
			a.put(sessionOf(fmt.Sprint(i), "u", round+2))
		}
		b.settle()
	}
}

// Made-up IDs and tokens do not push the keys of copies out of what Redis tracks: Redis
// tracks few of them, and sessions that exist are held as before. (I10)
func TestI10_MadeUpTokensDoNotFillTheTableOfRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := startByKey(t, server)
	b.put(sessionOf("1", "u", 1))
	b.settle()
	const strangers, most = 3000, 1000 + 200 // a second allows one more
	for i := range strangers {
		if _, err := b.GetByToken(t.Context(), fmt.Sprint("made up ", i)); !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), session.ID(fmt.Sprint("made-up-", i))); !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
	}
	stats, err := server.Client(t).InfoMap(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	tracked, err := strconv.Atoi(stats["Stats"]["tracking_total_keys"])
	if err != nil || tracked < 500 || tracked > most {
		t.Errorf("Redis tracks %d keys, %v; want at most %d", tracked, err, most)
	}
	b.want("1", 1, false)
	b.want("1", 1, true)
	b.want("made-up-2999", 0, false)
	b.put(sessionOf("made-up-2999", "u", 1))
	b.want("made-up-2999", 1, false)
	b.want("made-up-2999", 1, true)
}

// Where Redis is far away, loads are waited for as long as it takes, and copies are held.
func TestNear_ByKeyFarFromRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	proxy.Delay(80 * time.Millisecond)
	b := startByKey(t, server, through(proxy))
	b.put(sessionOf("1", "u", 1))
	b.settle()
	b.want("1", 1, false)
	b.want("1", 1, true)
}
