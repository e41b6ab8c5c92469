package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var tokenTests = []contractTest{
	{name: "of our own", run: func(f *fixture) {
		token, hash := session.NewToken("1")
		wrong, _ := session.NewToken("1")
		f.put(New("1", f.start, Token(hash)))
		f.put(New("2", f.start))
		f.token(token, "1")
		f.token(wrong, "")
		f.token("2"+token[1:], "")
		f.token(token[1:], "")
		f.token(token+"x", "")
		f.token("", "")
		f.token("1", "")
	}},
	{name: "of our own, replaced", run: func(f *fixture) {
		first, firstHash := session.NewToken("1")
		second, secondHash := session.NewToken("1")
		s := f.put(New("1", f.start, Token(firstHash)))
		s = f.replace(New("1", f.start, Sequence(2), Token(secondHash)), s)
		f.token(first, "")
		f.token(second, "1")
		f.replace(New("1", f.start, Sequence(3)), s)
		f.token(second, "")
	}},
	{name: "of our own, deleted and expired", run: func(f *fixture) {
		first, firstHash := session.NewToken("1")
		second, secondHash := session.NewToken("2")
		f.put(New("1", f.start, Token(firstHash)))
		f.put(New("2", f.start, Token(secondHash)))
		f.delete("1")
		f.token(first, "")
		f.token(second, "2")
		f.advance(time.Hour)
		f.token(second, "")
	}},
	{name: "of an ID with dots", run: func(f *fixture) {
		token, hash := session.NewToken("a.b..c-")
		f.put(New("a.b..c-", f.start, Token(hash)))
		f.token(token, "a.b..c-")
	}},
	{name: "foreign", run: func(f *fixture) {
		f.put(New("1", f.start, ForeignToken("opaque")))
		f.put(New("2", f.start, ForeignToken("other")))
		f.token("opaque", "1")
		f.token("other", "2")
		f.token("third", "")
	}},
	{name: "foreign, in odd shapes", run: func(f *fixture) {
		// The last two look like tokens of ours, of another session and of none.
		likeOurs, _ := session.NewToken("1")
		likeNobodys, _ := session.NewToken("nobody")
		for i, token := range []string{"", " ", "}{", "\x00", ".", "ünïcode", likeOurs, likeNobodys} {
			f.put(New(session.ID(rune('1'+i)), f.start, ForeignToken(token)))
		}
		for i, token := range []string{"", " ", "}{", "\x00", ".", "ünïcode", likeOurs, likeNobodys} {
			f.token(token, session.ID(rune('1'+i)))
		}
	}},
	{name: "foreign, replaced", run: func(f *fixture) {
		own, hash := session.NewToken("1")
		s := f.put(New("1", f.start, ForeignToken("first")))
		s = f.replace(New("1", f.start, Sequence(2), ForeignToken("second")), s)
		f.token("first", "")
		f.token("second", "1")
		s = f.replace(New("1", f.start, Sequence(3), Token(hash)), s)
		f.token("second", "")
		f.token(own, "1")
		s = f.replace(New("1", f.start, Sequence(4), ForeignToken("first")), s)
		f.token(own, "")
		f.token("first", "1")
		f.replace(New("1", f.start, Sequence(5)), s)
		f.token("first", "")
	}},
	{name: "foreign, kept over a replacement", run: func(f *fixture) {
		s := f.put(New("1", f.start, User("u1", "o"), ForeignToken("opaque")))
		f.replace(New("1", f.start, User("u2", "o"), Sequence(2), Expires(f.start.Add(3*time.Hour)), ForeignToken("opaque")), s)
		f.token("opaque", "1")
		f.advance(2 * time.Hour)
		f.token("opaque", "1")
		f.advance(time.Hour)
		f.token("opaque", "")
	}},
	{name: "foreign, deleted and expired", run: func(f *fixture) {
		f.put(New("1", f.start, ForeignToken("first")))
		f.put(New("2", f.start, ForeignToken("second")))
		f.delete("1")
		f.token("first", "")
		f.token("second", "2")
		f.advance(time.Hour)
		f.token("second", "")
		f.put(New("2", f.store.Now(), ForeignToken("third")))
		f.token("second", "")
		f.token("third", "2")
	}},
	{name: "foreign, of a session that never ends", run: func(f *fixture) {
		f.put(New("1", f.start, ForeignToken("opaque"), Expires(session.Never)))
		f.advance(1000 * time.Hour)
		f.token("opaque", "1")
	}},
	{name: "foreign, shared by two sessions", run: func(f *fixture) {
		f.put(New("1", f.start, ForeignToken("opaque")))
		f.put(New("2", f.start, ForeignToken("opaque"), Expires(f.start.Add(2*time.Hour))))
		f.tokenOfAny("opaque", "1", "2")
		f.advance(time.Hour)
		f.token("opaque", "2")
	}},
	{name: "foreign, shared, one of them replaced", run: func(f *fixture) {
		s := f.put(New("1", f.start, ForeignToken("opaque")))
		f.put(New("2", f.start, ForeignToken("opaque")))
		f.replace(New("1", f.start, Sequence(2), ForeignToken("another")), s)
		f.token("opaque", "2")
		f.token("another", "1")
		f.delete("2")
		f.token("opaque", "")
	}},
	{name: "foreign, shared by an older session that ended", run: func(f *fixture) {
		f.put(New("1", f.start, ForeignToken("opaque"), Expires(f.start.Add(time.Minute))))
		f.advance(time.Minute)
		f.put(New("2", f.store.Now(), ForeignToken("opaque")))
		f.token("opaque", "2")
		f.put(New("1", f.store.Now(), User("u", "")))
		f.token("opaque", "2")
		f.found([]index.Predicate{index.ByUser("u")}, "1")
	}},
}

// tokenOfAny checks that a token leads to one of the sessions that share it.
func (f *fixture) tokenOfAny(token string, want ...session.ID) {
	f.Helper()
	s, err := f.store.GetByToken(f.Context(), token)
	if err != nil {
		f.Fatalf("GetByToken: %v", err)
	}
	for _, id := range want {
		if s.ID == id && s.Token.Matches(token) {
			return
		}
	}
	f.Fatalf("GetByToken: session %s, want one of %v", s.ID, want)
}
