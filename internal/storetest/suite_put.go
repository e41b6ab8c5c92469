package storetest

import (
	"bytes"
	"math"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var putTests = []contractTest{
	{name: "a new session", run: func(f *fixture) {
		f.gone("1")
		_, token := session.NewToken("1")
		f.put(New("1", f.start, User("u", "o"), Agent("a"), Metadata("key", []byte{0, 1, 255}), Token(token)))
		f.found(nil, "1")
	}},
	{name: "a session with nothing", run: func(f *fixture) {
		f.put(&session.Session{ID: "1", Sequence: 1, ExpirationDate: session.Never})
		f.found(nil, "1")
		f.found([]index.Predicate{index.ByCreator("")})
	}},
	{name: "every factor", run: func(f *fixture) {
		s := New("1", f.start, User("u", "o"), Agent("a"))
		at := &session.Factor{VerifiedAt: f.start}
		s.Factors.WebAuthN = &session.WebAuthNFactor{VerifiedAt: f.start, UserVerified: true}
		s.Factors.Intent, s.Factors.TOTP, s.Factors.OTPSMS, s.Factors.OTPEmail, s.Factors.RecoveryCode = at, at, at, at, at
		f.put(s)
	}},
	{name: "a sequence above 2^53", run: func(f *fixture) {
		s := f.put(New("1", f.start, Sequence(math.MaxUint64-1)))
		f.replace(New("1", f.start, Sequence(math.MaxUint64)), s)
	}},
	{name: "a second time as new", run: func(f *fixture) {
		f.put(New("1", f.start))
		f.refused(session.ErrConflict, New("1", f.start, Sequence(2)), nil)
	}},
	{name: "a version that is not there", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		missing := *s
		missing.ID = "2"
		f.refused(session.ErrConflict, New("2", f.start, Sequence(2)), &missing)
	}},
	{name: "an older version", run: func(f *fixture) {
		first := f.put(New("1", f.start))
		second := f.replace(New("1", f.start, Sequence(2)), first)
		if first.Version == second.Version {
			f.Fatalf("two versions are called %q", first.Version)
		}
		f.refused(session.ErrConflict, New("1", f.start, Sequence(3)), first)
		f.replace(New("1", f.start, Sequence(3)), second)
	}},
	{name: "the same content twice is two versions", run: func(f *fixture) {
		s := New("1", f.start)
		first := f.put(s)
		f.replace(s, first)
		f.refused(session.ErrConflict, s, first)
	}},
	{name: "other user, agent, creator and creation", run: func(f *fixture) {
		later := f.start.Add(time.Minute)
		s := f.put(New("1", f.start, User("u1", "o1"), Agent("a1"), Creator("c1")))
		s = f.replace(New("1", f.start, Created(later), User("u2", "o2"), Agent("a2"), Creator("c2"), Sequence(2)), s)
		f.found([]index.Predicate{index.ByUser("u1")})
		f.found([]index.Predicate{index.ByAgent("a1")})
		f.found([]index.Predicate{index.ByCreator("c1")})
		f.found([]index.Predicate{index.ByCreation(index.Dates{Min: f.start, Max: f.start})})
		f.found([]index.Predicate{index.ByUser("u2")}, "1")
		f.found([]index.Predicate{index.ByAgent("a2")}, "1")
		f.found([]index.Predicate{index.ByCreator("c2")}, "1")
		f.found([]index.Predicate{index.ByCreation(index.Dates{Min: later, Max: later})}, "1")
		f.found(nil, "1")
		f.replace(New("1", f.start, Created(later), Creator(""), Sequence(3)), s)
		f.found([]index.Predicate{index.ByUser("u2")})
		f.found([]index.Predicate{index.ByAgent("a2")})
		f.found([]index.Predicate{index.ByCreator("c2")})
		f.found(nil, "1")
	}},
	{name: "only the creation changes", run: func(f *fixture) {
		s := f.put(New("1", f.start, User("u", "o"), Agent("a")))
		f.put(New("2", f.start.Add(time.Second), User("u", "o"), Agent("a")))
		f.found([]index.Predicate{index.ByUser("u")}, "1", "2")
		f.replace(New("1", f.start.Add(time.Minute), User("u", "o"), Agent("a"), Sequence(2)), s)
		for _, p := range []index.Predicate{index.ByUser("u"), index.ByAgent("a"), index.ByCreator("gateway")} {
			f.found([]index.Predicate{p}, "2", "1")
		}
		f.found(nil, "2", "1")
	}},
	{name: "only the expiration changes", run: func(f *fixture) {
		until := f.start.Add(2 * time.Hour)
		s := f.put(New("1", f.start, User("u", "o")))
		s = f.replace(New("1", f.start, User("u", "o"), Expires(until), Sequence(2)), s)
		f.advance(time.Hour)
		f.found([]index.Predicate{index.ByExpiration(index.Dates{Min: until, Max: until})}, "1")
		s = f.replace(New("1", f.start, User("u", "o"), Expires(session.Never), Sequence(3)), s)
		f.advance(2 * time.Hour)
		f.found([]index.Predicate{index.ByUser("u")}, "1")
		f.replace(New("1", f.start, User("u", "o"), Expires(f.store.Now().Add(time.Second)), Sequence(4)), s)
		f.advance(time.Second)
		f.gone("1")
		f.found([]index.Predicate{index.ByUser("u")})
	}},
	{name: "it ends at its expiration date, not before", run: func(f *fixture) {
		f.put(New("1", f.start, User("u", "o"), Expires(f.start.Add(time.Hour))))
		f.advance(time.Hour - time.Microsecond)
		f.get("1")
		f.found(nil, "1")
		f.found([]index.Predicate{index.ByUser("u")}, "1")
		f.advance(time.Microsecond)
		f.gone("1")
		f.found(nil)
		f.found([]index.Predicate{index.ByUser("u")})
		f.found([]index.Predicate{index.ByIDs("1")})
	}},
	{name: "again after its expiration", run: func(f *fixture) {
		f.put(New("1", f.start, User("u1", "o"), Agent("a1"), Creator("c1")))
		f.advance(time.Hour)
		now := f.store.Now()
		f.put(New("1", now, User("u2", "o"), Agent("a2"), Creator("c2")))
		f.found([]index.Predicate{index.ByUser("u1")})
		f.found([]index.Predicate{index.ByAgent("a1")})
		f.found([]index.Predicate{index.ByCreator("c1")})
		f.found([]index.Predicate{index.ByCreation(index.Dates{Min: f.start, Max: f.start})})
		f.found([]index.Predicate{index.ByUser("u2")}, "1")
		f.found([]index.Predicate{index.ByAgent("a2")}, "1")
		f.found([]index.Predicate{index.ByCreator("c2")}, "1")
		f.found(nil, "1")
	}},
	{name: "again after its expiration, all the same", run: func(f *fixture) {
		f.put(New("1", f.start, User("u", "o"), Agent("a")))
		f.advance(time.Hour)
		f.put(New("1", f.start, User("u", "o"), Agent("a"), Expires(f.start.Add(2*time.Hour))))
		f.found([]index.Predicate{index.ByUser("u")}, "1")
		f.found(nil, "1")
		f.page(index.Query{Sees: all}, 1)
	}},
	{name: "in place of a version that has ended", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.advance(time.Hour)
		f.refused(session.ErrConflict, New("1", f.store.Now(), Sequence(2)), s)
	}},
	{name: "an empty metadata key, and a factor of the future", run: func(f *fixture) {
		s := New("1", f.start, User("u", "o"), Metadata("", []byte("v")))
		s.Factors.TOTP = &session.Factor{VerifiedAt: f.start.Add(24 * time.Hour)}
		f.put(s)
		f.found([]index.Predicate{index.ByUser("u")}, "1") // no search asks what is proven
	}},
	{name: "16 KiB of metadata", run: func(f *fixture) {
		f.put(New("1", f.start, User("u", "o"), Metadata("k", bytes.Repeat([]byte{'x'}, 12_000))))
		random := make([]byte, 11_000)
		state := uint32(1)
		for i := range random {
			state = state*1664525 + 1013904223
			random[i] = byte(state >> 24)
		}
		f.put(New("2", f.start, User("u", "o"), Metadata("k", random)))
		f.found([]index.Predicate{index.ByUser("u")}, "1", "2")
	}},
	{name: "long IDs and odd ones", run: func(f *fixture) {
		ids := []session.ID{
			"-", "0", "0123456789", "1234567890", "123456789012345678901234567890", "9", "9223372036854775807", "9223372036854775808", "A", "_", "a",
			"a.b:c", "abcdef01abcdef01abcdef01abcdef01", "~", session.ID(strings.Repeat("~", session.MaxIDLen)),
		}
		for _, id := range ids {
			f.put(New(id, f.start, User("u", "o")))
		}
		f.found(nil, ids...)
		f.found([]index.Predicate{index.ByUser("u")}, ids...)
		f.found([]index.Predicate{index.ByIDs(ids...)}, ids...)
	}},
	{name: "no more than MaxSessions", limits: Limits{MaxSessions: 3}, run: func(f *fixture) {
		f.put(New("1", f.start))
		f.put(New("2", f.start))
		s := f.put(New("3", f.start))
		f.refused(session.ErrFull, New("4", f.start), nil)
		f.replace(New("3", f.start, Sequence(2)), s)
		f.delete("1")
		f.put(New("4", f.start))
		f.refused(session.ErrFull, New("5", f.start), nil)
	}},
	{name: "what was returned is the caller's", run: func(f *fixture) {
		s := New("1", f.start, User("u", "o"), Metadata("k", []byte("v")))
		f.put(s)
		want := f.get("1")
		s.Metadata["k"][0] = 'w'
		s.Factors.User.ID = "other"
		if got := f.get("1"); got.Facts != want.Facts || !bytes.Equal(got.Doc, want.Doc) {
			f.Fatalf("the stored session changed with the caller's: %+v", got)
		}
	}},
}
