package cache_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
)

// damage is something that goes wrong with session "1", which is ada's.
type damage struct {
	name string
	do   func(t *testing.T, s *testStore)
	// finds says how many drifts of each kind an audit finds.
	finds map[audit.Drift]uint64
	// stays says that it is reported, and not repaired.
	stays bool
	// sharded says that it can only be where P > 1.
	sharded bool
	// loses says that session "1" is lost.
	loses bool
}

// entriesOfOne returns where the card and the entries of session "1" are, by the
// letter of their keys.
func entriesOfOne(t *testing.T, s *testStore) map[byte]entry {
	t.Helper()
	stored, err := s.GetFresh(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.entriesOf(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	byKind := make(map[byte]entry)
	for e := range all {
		byKind[e.key[len(s.keys.Prefix())]] = e
	}
	return byKind
}

func (s *testStore) do(t *testing.T, args ...any) {
	t.Helper()
	if err := s.client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// removing removes one entry.
func removing(kind byte) func(*testing.T, *testStore) {
	return func(t *testing.T, s *testStore) {
		e := entriesOfOne(t, s)[kind]
		s.do(t, "zrem", e.key, e.member)
	}
}

// scoring gives one entry another score.
func scoring(kind byte, score string) func(*testing.T, *testStore) {
	return func(t *testing.T, s *testStore) {
		e := entriesOfOne(t, s)[kind]
		s.do(t, "zadd", e.key, score, e.member)
	}
}

// adding adds a member to a list.
func adding(key func(*testStore) string, member string) func(*testing.T, *testStore) {
	return func(t *testing.T, s *testStore) { s.do(t, "zadd", key(s), "9000000000000000", member) }
}

func card(s *testStore, change func(*index.Card)) string {
	c := index.Card{ID: "1", Creation: s.Now(), UserID: "ada", AgentID: "laptop", Creator: "gateway"}
	if s.keys.Shards() > 1 {
		c.Tag = "12345678"
	}
	change(&c)
	return c.Pack()
}

const foreverTag = "\x00abcdefgh"

var damages = []damage{
	{name: "no TTL", do: func(t *testing.T, s *testStore) { s.do(t, "persist", s.keys.Session("1")) }, finds: one(audit.SessionTTL)},
	{
		name: "another TTL", do: func(t *testing.T, s *testStore) { s.do(t, "pexpire", s.keys.Session("1"), 7_000_000) },
		finds: one(audit.SessionTTL),
	},
	{
		name: "a TTL where it never ends", do: func(t *testing.T, s *testStore) { s.do(t, "pexpire", s.keys.Session("2"), 7_000_000) },
		finds: one(audit.SessionTTL),
	},
	{
		name: "no document", do: func(t *testing.T, s *testStore) { s.do(t, "hdel", s.keys.Session("1"), "doc") },
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{
		name: "a damaged document", do: func(t *testing.T, s *testStore) { s.do(t, "hset", s.keys.Session("1"), "doc", "\x02x") },
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{
		name: "another's document", do: func(t *testing.T, s *testStore) {
			s.do(t, "hset", s.keys.Session("1"), "doc", s.client.HGet(t.Context(), s.keys.Session("2"), "doc").Val())
		},
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{
		name: "no version", do: func(t *testing.T, s *testStore) { s.do(t, "hdel", s.keys.Session("1"), "v") },
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{
		name: "a tag too many or too few", do: func(t *testing.T, s *testStore) {
			if s.keys.Shards() == 1 {
				s.do(t, "hset", s.keys.Session("1"), "tag", "12345678")
			} else {
				s.do(t, "hdel", s.keys.Session("1"), "tag")
			}
		},
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{
		name: "a hash of other fields", do: func(t *testing.T, s *testStore) { s.do(t, "hset", s.keys.Session("7"), "a", "b") },
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{
		name: "a string for a hash", do: func(t *testing.T, s *testStore) { s.do(t, "set", s.keys.Session("7"), "a") },
		finds: one(audit.SessionUnreadable), stays: true,
	},
	{name: "no card", do: removing('x'), finds: one(audit.CardMissing)},
	{name: "a card with another score", do: scoring('x', "+inf"), finds: one(audit.CardScore)},
	{
		name: "another version's card", do: func(t *testing.T, s *testStore) {
			s.do(t, "zadd", s.keys.Catalogue(s.keys.ShardOf("1")), "+inf", card(s, func(c *index.Card) { c.UserID = "bob" }))
		},
		finds: one(audit.CardStray),
	},
	{
		name: "another version's card in its place", do: func(t *testing.T, s *testStore) {
			removing('x')(t, s)
			s.do(t, "zadd", s.keys.Catalogue(s.keys.ShardOf("1")), "+inf", card(s, func(c *index.Card) { c.Creator = "mirror" }))
		},
		finds: one(audit.CardStray, audit.CardMissing),
	},
	{
		name: "a card of no session", do: func(t *testing.T, s *testStore) {
			s.do(t, "zadd", s.keys.Catalogue(s.keys.ShardOf("7")), "+inf", card(s, func(c *index.Card) { c.ID = "7" }))
		},
		finds: one(audit.CardOrphan),
	},
	{
		name: "a card in another shard", sharded: true, do: func(t *testing.T, s *testStore) {
			e := entriesOfOne(t, s)['x']
			s.do(t, "zadd", s.keys.Catalogue((s.keys.ShardOf("1")+1)%4), "+inf", e.member)
		},
		finds: one(audit.CardStray),
	},
	{
		name: "a card of no format", do: func(t *testing.T, s *testStore) { s.do(t, "zadd", s.keys.Catalogue(0), "+inf", "\xffx") },
		finds: one(audit.CardUnreadable), stays: true,
	},
	{name: "not in the list by creation", do: removing('t'), finds: one(audit.EntryMissing)},
	{name: "not in the list of its creator", do: removing('c'), finds: one(audit.EntryMissing)},
	{name: "not in the list of its user", do: removing('u'), finds: one(audit.EntryMissing)},
	{name: "not in the list of its user agent", do: removing('a'), finds: one(audit.EntryMissing)},
	{name: "not in the list of its token", do: removing('k'), finds: one(audit.EntryMissing)},
	{
		name: "in no list", do: func(t *testing.T, s *testStore) {
			for _, kind := range []byte("xtcuak") {
				removing(kind)(t, s)
			}
		},
		finds: map[audit.Drift]uint64{audit.CardMissing: 1, audit.EntryMissing: 5},
	},
	{name: "another score by creation", do: scoring('t', "5"), finds: one(audit.EntryScore)},
	{name: "another score of its creator", do: scoring('c', "5"), finds: one(audit.EntryScore)},
	{name: "another score of its user", do: scoring('u', "5"), finds: one(audit.EntryScore)},
	{
		name: "in the list of another user", finds: one(audit.EntryStray), do: func(t *testing.T, s *testStore) {
			s.do(t, "zadd", s.keys.User("bob"), "1700000000000000", entriesOfOne(t, s)['u'].member)
		},
	},
	{
		name: "in the list of another creator", finds: one(audit.EntryStray), do: func(t *testing.T, s *testStore) {
			s.do(t, "zadd", s.keys.Creator(s.keys.ShardOf("1"), "mirror"), "1700000000000000", "1")
		},
	},
	{
		name: "with another tag", do: adding(func(s *testStore) string { return s.keys.User("ada") }, "1"+foreverTag),
		finds: one(audit.EntryStray),
	},
	{
		name: "without a tag", sharded: true, finds: one(audit.EntryStray),
		do: adding(func(s *testStore) string { return s.keys.Agent("laptop") }, "1"),
	},
	{
		name: "with a tag by creation", finds: one(audit.EntryStray),
		do: adding(func(s *testStore) string { return s.keys.Created(s.keys.ShardOf("1")) }, "1"+foreverTag),
	},
	{
		name: "by creation in another shard", sharded: true, finds: one(audit.EntryStray),
		do: adding(func(s *testStore) string { return s.keys.Created((s.keys.ShardOf("1") + 1) % 4) }, "1"),
	},
	{
		name: "an entry of no session, by creation", finds: one(audit.EntryOrphan),
		do: adding(func(s *testStore) string { return s.keys.Created(s.keys.ShardOf("7")) }, "7"),
	},
	{
		name: "an entry of no session, by user", finds: one(audit.EntryOrphan),
		do: adding(func(s *testStore) string { return s.keys.User("ada") }, "7"+foreverTag),
	},
	{
		name: "an entry of no session, by token", finds: one(audit.EntryOrphan),
		do: adding(func(s *testStore) string { return s.keys.Token(session.HashToken("x")) }, "7"),
	},
	{
		name: "an entry of no ID", finds: one(audit.EntryOrphan),
		do: adding(func(s *testStore) string { return s.keys.User("carl") }, "\xff\x00\x00 {}"),
	},
	{
		name: "a hash that Redis evicted", do: func(t *testing.T, s *testStore) { s.do(t, "del", s.keys.Session("1")) },
		finds: map[audit.Drift]uint64{audit.CardOrphan: 1, audit.EntryOrphan: 5}, loses: true,
	},
	{
		name: "an ended session that stays, without a card", loses: true, finds: one(audit.SessionTTL, audit.CardMissing),
		do: func(t *testing.T, s *testStore) {
			stays := storetest.New("1", s.Now(), append(ada, storetest.Created(s.Now().Add(-time.Hour)), storetest.Expires(s.Now().Add(time.Minute)), storetest.Sequence(2))...)
			old, err := s.GetFresh(t.Context(), "1")
			if err == nil {
				err = s.Put(t.Context(), stays, old)
			}
			if err != nil {
				t.Fatal(err)
			}
			removing('x')(t, s)
			s.do(t, "persist", s.keys.Session("1"))
			s.clock.Advance(2 * time.Minute)
		},
	},
	{
		name: "a note that nobody takes", sharded: true, finds: one(audit.NoteTime),
		do: func(t *testing.T, s *testStore) {
			s.do(t, "zadd", s.keys.Pending(0), "5", "a"+card(s, func(c *index.Card) { c.ID = "7" }))
		},
	},
	{
		name: "a note for ever, of entries", sharded: true, finds: map[audit.Drift]uint64{audit.NoteTime: 1},
		do: func(t *testing.T, s *testStore) {
			var note index.Card
			packed := card(s, func(c *index.Card) { c.ID = "7"; c.Tag = foreverTag[1:]; note = *c })
			s.do(t, "zadd", s.keys.Pending(s.keys.ShardOf("7")), "+inf", "a"+packed)
			s.do(t, "zadd", s.keys.User("ada"), "5", note.Member())
		},
	},
	{
		name: "a note of no format", sharded: true, finds: one(audit.NoteTime),
		do: func(t *testing.T, s *testStore) { s.do(t, "zadd", s.keys.Pending(0), "5", "a") },
	},
	{
		name: "a key in another shard", sharded: true, stays: true, finds: one(audit.KeyForeign),
		do: func(t *testing.T, s *testStore) {
			right := s.keys.User("ada")
			tag := strings.TrimPrefix(s.keys.Created(0), "cr:t:")
			if strings.Contains(right, tag) {
				tag = strings.TrimPrefix(s.keys.Created(1), "cr:t:")
			}
			s.do(t, "zadd", "cr:u:"+tag+":ada", "5", "1")
		},
	},
	{
		name: "a list of another type", stays: true, finds: one(audit.KeyForeign),
		do: func(t *testing.T, s *testStore) { s.do(t, "set", s.keys.User("carl"), "x") },
	},
}

func one(ds ...audit.Drift) map[audit.Drift]uint64 {
	finds := make(map[audit.Drift]uint64)
	for _, d := range ds {
		finds[d]++
	}
	return finds
}

// audited audits, and returns what was found by kind.
func (s *testStore) audited(ctx context.Context, store *cache.Store, repair bool) (*audit.Report, map[audit.Drift]uint64, error) {
	r, err := store.Audit(ctx, cache.AuditConfig{Repair: repair})
	found := make(map[audit.Drift]uint64)
	for d, c := range r.Drift {
		found[d] = c.Found
	}
	return r, found, err
}

// Every kind of damage is found, under its name and only there; nothing is
// changed by looking; a repair leaves nothing behind, and no live session is
// lost. The brute-force audit of the tests agrees.
func TestI5_AuditFindsAndRepairsDamage(t *testing.T) {
	t.Parallel()
	kinds := make(map[audit.Drift]bool)
	eachShards(t, func(t *testing.T, shards int) {
		client := startRedis(t)
		for _, d := range damages {
			if d.sharded && shards == 1 {
				continue
			}
			t.Run(d.name, func(t *testing.T) {
				s := openEmpty(t, client, shards, storetest.Limits{})
				first(t, &cutStore{testStore: s})
				s.clock.Advance(time.Second)
				d.do(t, s)
				before := dump(t, client)
				r, found, err := s.audited(t.Context(), s.Store, false)
				if err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(found, d.finds) || r.Clean() || !r.Complete {
					t.Errorf("found %v in %+v, want %v", found, r, d.finds)
				}
				if after := dump(t, client); !maps.Equal(before, after) {
					t.Errorf("an audit has changed what is there:\n%v\nbefore:\n%v", after, before)
				}
				for kind := range found {
					kinds[kind] = true
				}
				r, _, err = s.audited(t.Context(), s.Store, true)
				if err != nil {
					t.Fatal(err)
				}
				if r.Clean() == d.stays {
					t.Errorf("repaired: %+v, clean %v", r, r.Clean())
				}
				if d.stays {
					if after := dump(t, client); !maps.Equal(before, after) {
						t.Errorf("a repair has changed what it cannot repair:\n%v\nbefore:\n%v", after, before)
					}
					return
				}
				r, found, err = s.audited(t.Context(), s.Store, false)
				if err != nil || len(found) > 0 || !r.Clean() {
					t.Errorf("after the repair: %v, %+v, %v", found, r, err)
				}
				s.sweep(t)
				s.audit(t, true)
				want := 2
				if d.loses {
					want--
				}
				if live := s.live(t); len(live) != want {
					t.Errorf("%d sessions live, want %d", len(live), want)
				}
			})
		}
	})
	for _, kind := range audit.Drifts() {
		if !kinds[kind] {
			t.Errorf("no damage is found as %s", kind)
		}
	}
}

// dump returns all that Redis has.
func dump(t *testing.T, client redis.UniversalClient) map[string]string {
	t.Helper()
	all := make(map[string]string)
	iter := client.Scan(t.Context(), 0, "*", 1000).Iterator()
	for iter.Next(t.Context()) {
		key := iter.Val()
		all[key] = fmt.Sprint(client.Dump(t.Context(), key).Val(), client.Do(t.Context(), "pexpiretime", key).Val())
	}
	if err := iter.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Ends of logins are counted, and none is drift.
func TestAudit_CountsEnds(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		s := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		for i := range 5 {
			for _, name := range []session.EndName{session.EndOfUser(fmt.Sprint("}:{", i)), session.EndOfSession(session.ID(fmt.Sprint("kc:", i)))} {
				if _, err := s.End(t.Context(), name, session.End{NotAfter: 1, Until: s.Now().Add(time.Hour)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		report, err := s.Audit(t.Context(), cache.AuditConfig{Repair: true})
		if err != nil || report.Ends != 10 || !report.Clean() || len(report.Drift) != 0 {
			t.Errorf("got %+v, %v", report, err)
		}
	})
}
