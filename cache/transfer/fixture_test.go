package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/samples"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// store is a store under a prefix of its own.
type store struct {
	*cache.Store
	rdb    redis.UniversalClient
	prefix string
	keys   *keys.Space
}

func open(t testing.TB, rdb redis.UniversalClient, prefix string, shards int) *store {
	t.Helper()
	s, err := cache.Open(t.Context(), cache.Config{Redis: rdb, Prefix: prefix, Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	space, err := keys.NewSpace(prefix, s.Shards())
	if err != nil {
		t.Fatal(err)
	}
	return &store{s, rdb, prefix, space}
}

// file is what an export writes to.
type file struct {
	bytes.Buffer
}

// Flush is Sink's.
func (f *file) Flush() error { return nil }

// export exports s.
func (s *store) export(t testing.TB, change ...func(*ExportConfig)) (*Exported, string) {
	t.Helper()
	var to file
	c := ExportConfig{Redis: s.rdb, Prefix: s.prefix, To: &to, Unreadable: func(what string, err error) { t.Errorf("%s: %v", what, err) }}
	for _, f := range change {
		f(&c)
	}
	done, err := Export(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return done, to.String()
}

func (s *store) importConfig(t testing.TB, lines string) ImportConfig {
	return ImportConfig{
		Store: s.Store, Redis: s.rdb, Prefix: s.prefix, MaxSessionBytes: 1 << 20, From: strings.NewReader(lines),
		Failed: func(line uint64, err error) { t.Errorf("line %d: %v", line, err) },
	}
}

// take imports lines into s.
func (s *store) take(t testing.TB, lines string) *Imported {
	t.Helper()
	done, err := Import(t.Context(), s.importConfig(t, lines))
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// fill stores sessions of all kinds, deletes some, and notes ends.
func (s *store) fill(t testing.TB, seed uint64, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 18))
	all := samples.Sessions(s.Now())
	for i := range n {
		it := *all[r.IntN(len(all))]
		it.ID = session.ID(fmt.Sprintf("s%d-%d", seed, i))
		switch r.IntN(4) {
		case 0:
			_, it.Token = session.NewToken(it.ID)
		case 1:
			it.Token, it.TokenForeign = session.HashToken(fmt.Sprint("token", seed, i)), true
		}
		switch r.IntN(8) {
		case 0:
			it.Factors = session.Factors{}
		case 1:
			it.UserAgent = session.UserAgent{}
		case 2:
			it.Creator = ""
		case 3:
			it.Metadata = map[string][]byte{"quote\"": {0, 1, 255}, "": []byte("<&\u2028>")}
			it.Creator = "who \"is\" <this>\u2028"
		case 4: // not in Redis' precision
			it.ExpirationDate = s.Now().Add(time.Hour) + session.Time(r.IntN(1000))
		}
		s.put(t, &it)
		if r.IntN(5) == 0 {
			s.delete(t, it.ID)
			if r.IntN(3) == 0 { // again, with a higher sequence
				it.Sequence += 3
				s.put(t, &it)
			}
		}
		if r.IntN(6) == 0 {
			s.end(t, session.EndOfSession(it.ID), session.End{NotAfter: session.Never, Until: s.Now().Add(time.Hour)})
			s.end(t, session.EndOfUser(fmt.Sprintf("user %d\"%d", seed, i)), session.End{NotAfter: s.Now(), Until: s.Now().Add(48 * time.Hour)})
		}
	}
	// One that was never stored here was deleted as well.
	if _, err := s.Delete(t.Context(), &session.Stored{Facts: session.Facts{ID: session.ID(fmt.Sprint("never", seed)), Sequence: 7, Expiration: session.Never}}, "expired"); err != nil {
		t.Fatal(err)
	}
}

func (s *store) put(t testing.TB, it *session.Session) {
	t.Helper()
	old, err := s.GetFresh(t.Context(), it.ID)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), it, old); err != nil {
		t.Fatal(err)
	}
}

func (s *store) delete(t testing.TB, id session.ID) {
	t.Helper()
	old, err := s.GetFresh(t.Context(), id)
	if err == nil {
		_, err = s.Delete(t.Context(), old, "deleted")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *store) end(t testing.TB, name session.EndName, e session.End) {
	t.Helper()
	if _, err := s.End(t.Context(), name, e); err != nil {
		t.Fatal(err)
	}
}

// held is what stands under a key, and when Redis drops it, in ms.
type held struct {
	text  string
	until int64
}

// slack is how far the TTLs of two stores may be apart, in ms: that of a tombstone is set relative to a clock, and a slot that
// moves takes TTLs along as what is left of them.
const slack = 1000

func (h held) same(as held) bool {
	return h.text == as.text && max(h.until, as.until)-min(h.until, as.until) <= slack
}

// has returns all that s has, of the kinds that a move keeps: by session ID or name of an end, what is there.
func (s *store) has(t testing.TB) map[string]held {
	t.Helper()
	all := map[string]held{}
	var cursor uint64
	masters, err := redisinfo.Masters(t.Context(), s.rdb)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range masters {
		for more := true; more; more = cursor != 0 {
			var found []string
			found, cursor, err = m.Scan(t.Context(), cursor, s.prefix+"*", 1000).Result()
			if err != nil {
				t.Fatal(err)
			}
			s.add(t, all, found)
		}
	}
	return all
}

// add adds what keys have.
func (s *store) add(t testing.TB, all map[string]held, found []string) {
	t.Helper()
	pipe := s.rdb.Pipeline()
	until, texts := map[string]*redis.Cmd{}, map[string]*redis.StringCmd{}
	var ids []session.ID
	for _, key := range found {
		kind, _, name, ours, ok := s.keys.Spelled(key)
		switch {
		case ours && !ok:
			t.Errorf("the key %q is not spelled as it should be", key)
			continue
		case kind == 's':
			ids = append(ids, session.ID(name))
		case kind == 'd' || kind == 'e':
			texts[key] = pipe.Get(t.Context(), key)
		default:
			continue
		}
		until[key] = pipe.Do(t.Context(), "PEXPIRETIME", key)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := func(key string) int64 {
		ms, err := until[key].Int64()
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	for key, text := range texts {
		kind, _, name, _, _ := s.keys.Spelled(key)
		all[string(kind)+" "+name] = held{text.Val(), ends(key)}
	}
	standings, err := cache.ReadStandings(t.Context(), s.rdb, s.keys, ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if it := standings[i].Stored; it != nil {
			all["session "+string(id)] = held{fmt.Sprintf("%s creator=%q token=%x foreign=%v", it.Doc, it.Creator, it.Token, it.TokenForeign), ends(s.keys.Session(id))}
		}
	}
}

// same fails the test unless both stores have the same, and everything in b fits together.
func same(t testing.TB, a, b *store) {
	t.Helper()
	here, there := a.has(t), b.has(t)
	if names := differ(here, there); len(names) > 0 {
		t.Errorf("%d of %d differ: %s has here %+v, there %+v", len(names), len(here), names[0], here[names[0]], there[names[0]])
	}
	if len(here) == 0 {
		t.Error("there is nothing")
	}
	b.fits(t)
}

// differ returns what is not the same in both.
func differ(here, there map[string]held) (names []string) {
	all := maps.Clone(here)
	maps.Copy(all, there)
	for name := range all {
		if !here[name].same(there[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fits audits s.
func (s *store) fits(t testing.TB) {
	t.Helper()
	report, err := s.Audit(t.Context(), cache.AuditConfig{})
	if err != nil || !report.Clean() {
		t.Errorf("the audit found %+v, %v", report.Drift, err)
	}
}
