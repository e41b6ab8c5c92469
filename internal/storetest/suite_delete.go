package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var deleteTests = []contractTest{
	{name: "it is gone from everywhere", run: func(f *fixture) {
		f.put(New("1", f.start, User("u", "o"), Agent("a"), Creator("c"), ForeignToken("opaque")))
		f.put(New("2", f.start, User("u", "o"), Agent("a"), Creator("c")))
		f.delete("1")
		f.token("opaque", "")
		for _, p := range []index.Predicate{index.ByUser("u"), index.ByAgent("a"), index.ByCreator("c"), index.ByIDs("1", "2")} {
			f.found([]index.Predicate{p}, "2")
		}
		f.found(nil, "2")
	}},
	{name: "twice", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.delete("1")
		f.deleteRefused(session.ErrNotFound, s)
	}},
	{name: "after its expiration", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.advance(time.Hour)
		f.deleteRefused(session.ErrNotFound, s)
	}},
	{name: "an older version", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.replace(New("1", f.start, Sequence(2)), s)
		f.deleteRefused(session.ErrConflict, s)
		f.get("1")
		f.found(nil, "1")
	}},
	{name: "a version from before its expiration", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.advance(time.Hour)
		f.put(New("1", f.store.Now()))
		if d, err := f.store.Delete(f.Context(), s, "revoked"); !readAgain(err) {
			f.Fatalf("Delete: %+v, %v, want ErrConflict or ErrNotFound", d, err)
		}
		f.get("1")
	}},
	{name: "an older version does not come back", run: func(f *fixture) {
		f.put(New("1", f.start, Sequence(7)))
		if d := f.delete("1"); d.Sequence != 8 {
			f.Fatalf("%+v, want sequence 8", d)
		}
		for _, sequence := range []uint64{1, 7, 8} {
			f.refused(session.ErrDeleted, New("1", f.start, Sequence(sequence)), nil)
		}
		f.advance(23 * time.Hour)
		f.refused(session.ErrDeleted, New("1", f.start, Sequence(8), Expires(session.Never)), nil)
		f.put(New("1", f.start, Sequence(9), Expires(session.Never)))
	}},
	{name: "sequences are compared as numbers", run: func(f *fixture) {
		f.put(New("1", f.start, Sequence(8)))
		f.delete("1") // leaves 9
		f.put(New("1", f.start, Sequence(10)))
		f.put(New("2", f.start, Sequence(98)))
		f.delete("2") // leaves 99
		f.refused(session.ErrDeleted, New("2", f.start, Sequence(10)), nil)
		f.put(New("2", f.start, Sequence(100)))
	}},
	{name: "sequences above 2^53", run: func(f *fixture) {
		const n = 1<<53 + 1
		f.put(New("1", f.start, Sequence(n)))
		if d := f.delete("1"); d.Sequence != n+1 {
			f.Fatalf("%+v, want sequence %d", d, uint64(n+1))
		}
		f.refused(session.ErrDeleted, New("1", f.start, Sequence(n+1)), nil)
		f.put(New("1", f.start, Sequence(n+2)))
	}},
	{name: "the tombstone outlives the session's expiration", run: func(f *fixture) {
		f.put(New("1", f.start, Sequence(5)))
		f.delete("1")
		f.advance(2 * time.Hour)
		f.refused(session.ErrDeleted, New("1", f.start, Sequence(5), Expires(session.Never)), nil)
	}},
	{name: "in place of a deleted version", run: func(f *fixture) {
		s := f.put(New("1", f.start))
		f.delete("1")
		f.refused(session.ErrConflict, New("1", f.start, Sequence(2)), s)
		f.refused(session.ErrConflict, New("1", f.start, Sequence(3)), s)
		f.put(New("1", f.start, Sequence(3)))
		f.found(nil, "1")
	}},
	{name: "again and again", run: func(f *fixture) {
		for n := range uint64(5) {
			f.put(New("1", f.start, User("u", "o"), Sequence(2*n+1)))
			f.found([]index.Predicate{index.ByUser("u")}, "1")
			f.delete("1")
			f.found([]index.Predicate{index.ByUser("u")})
		}
	}},
	{name: "a session that never expires", run: func(f *fixture) {
		f.put(New("1", f.start, User("u", "o"), Expires(session.Never)))
		f.delete("1")
		f.found(nil)
	}},
}
