package index

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var benchFacts = session.Facts{
	ID: "1790000000000000000", Creation: 1790000000000000, Expiration: session.Never,
	UserID: "163840776835432705", AgentID: "0123456789abcdef0123456789abcdef", Creator: "69629026806489455", OrgID: "69629023906488334",
}

var benchQuery = Query{
	Sees:       Sees{Orgs: []string{"69629023906488334"}},
	Predicates: []Predicate{ByUser("163840776835432705"), ByCreation(Dates{1780000000000000, session.Never}), ByExpiration(Dates{1, session.Never})},
	Limit:      1000,
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !benchQuery.Match(&benchFacts, 1790000000000001) {
			b.Fatal("does not match")
		}
	}
}

// BenchmarkPlan measures all that a search does before it asks Redis.
func BenchmarkPlan(b *testing.B) {
	space, err := keys.NewSpace("cr:", 1)
	if err != nil {
		b.Fatal(err)
	}
	ix := New(Config{Keys: space})
	b.ReportAllocs()
	for b.Loop() {
		n, ok := narrow(&benchQuery, 1790000000000001)
		if !ok || len(ix.drivers(&benchQuery, &n)) == 0 {
			b.Fatal("no driver")
		}
	}
}

func BenchmarkCard(b *testing.B) {
	c := Card{ID: benchFacts.ID, Creation: benchFacts.Creation, UserID: benchFacts.UserID, AgentID: benchFacts.AgentID, Creator: benchFacts.Creator}
	packed := c.Pack()
	b.Run("pack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = c.Pack()
		}
	})
	b.Run("unpack", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := UnpackCard(packed); err != nil {
				b.Fatal(err)
			}
		}
	})
}
