package index

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

func TestCardRoundTrip(t *testing.T) {
	f := func(c Card) {
		t.Helper()
		got, err := UnpackCard(c.Pack())
		if err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		if got != c {
			t.Fatalf("packed %+v, unpacked %+v", c, got)
		}
	}
	f(Card{ID: "a"})
	f(Card{ID: "1790000000000000000", Creation: 1790000000000000, UserID: "163840776835432705", AgentID: "0123456789abcdef0123456789abcdef", Creator: "69629026806489455"})
	f(Card{ID: "0123456789", UserID: "9999999999999999999", AgentID: "ABCDEF0123456789", Creator: "+123456789"}) // no plain numbers, no lower-case hex
	for _, at := range []session.Time{0, 1, 999, 1000, 1790000000123456, 1790000000123999, session.MaxScore - 1} {
		id := session.NewID(at)
		f(Card{ID: id, Creation: at})
		f(Card{ID: id, Creation: at + 1000})
		f(Card{ID: id, Creation: -at})
		f(Card{ID: id, UserID: "1234567890", Creator: "12345678901234567890", AgentID: strings.Repeat("0", 32)})
	}
	f(Card{ID: "x", Creation: -5, UserID: strings.Repeat("é", 200), AgentID: strings.Repeat("\U0010ffff", 200), Creator: "\x00{}:"})
	f(Card{ID: "x", Token: session.HashToken("t"), Tag: "12345678"})
	f(Card{ID: session.ID(strings.Repeat("z", session.MaxIDLen)), AgentID: strings.Repeat("ab", 200)})

	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.StringN(0, 200, 800), rapid.StringMatching(`[0-9]{0,20}`), rapid.StringMatching(`[0-9a-f]{0,64}`))
		c := Card{
			ID:       session.ID(rapid.StringMatching(`[A-Za-z0-9._~:-]{1,128}`).Draw(rt, "id")),
			Creation: session.Time(rapid.Int64().Draw(rt, "creation")),
			UserID:   text.Draw(rt, "user"),
			AgentID:  text.Draw(rt, "agent"),
			Creator:  text.Draw(rt, "creator"),
			Tag:      rapid.StringN(0, 8, 8).Draw(rt, "tag"),
		}
		if rapid.Bool().Draw(rt, "token") {
			c.Token = session.HashToken(c.UserID)
		}
		if got, err := UnpackCard(c.Pack()); err != nil || got != c {
			rt.Fatalf("packed %+v, unpacked %+v, %v", c, got, err)
		}
	})
}

func TestCardOfUsualSessionIsSmall(t *testing.T) {
	c := Card{ID: "1790000000000000000", Creation: 1790000000000000, UserID: "163840776835432705", AgentID: "0123456789abcdef0123456789abcdef", Creator: "69629026806489455"}
	c.ID, c.Creation = session.NewID(c.Creation), c.Creation+999
	if n := len(c.Pack()); n > 44 {
		t.Errorf("%d bytes; Redis puts a string of up to 44 bytes, three of length and a zero byte into a block of 48 bytes", n)
	}
}

func FuzzUnpackCard(f *testing.F) {
	f.Add("")
	f.Add((&Card{ID: "a"}).Pack())
	f.Add((&Card{ID: "1790000000000000000", UserID: "163840776835432705", AgentID: "0123456789abcdef", Token: session.HashToken("t"), Tag: "12345678"}).Pack())
	f.Fuzz(func(t *testing.T, packed string) {
		c, err := UnpackCard(packed)
		if err != nil {
			return
		}
		again, err := UnpackCard(c.Pack())
		if err != nil || again != c {
			t.Errorf("%q unpacked to %+v, which packs and unpacks to %+v, %v", packed, c, again, err)
		}
	})
}
