package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

// Queries stores many sessions in an empty store, moves the clock on until some of it has
// ended, and returns n of the queries that Property would ask then, with the live
// sessions. For one Subject, at one instant, they are the same each time.
func Queries(s Subject, n int) (queries []*index.Query, live []*session.Stored) {
	p := newProperty(s)
	rapid.Custom(func(t *rapid.T) bool { p.putInitial(t); return true }).Example(0)
	p.Clock.Advance(10 * time.Minute)
	drawn := rapid.Custom(func(t *rapid.T) *index.Query {
		if rapid.IntRange(0, 3).Draw(t, "caller") == 0 {
			return p.query(t, p.sees(t))
		}
		return p.query(t, all)
	})
	for i := range n {
		queries = append(queries, drawn.Example(i))
	}
	return queries, p.model.Live()
}
