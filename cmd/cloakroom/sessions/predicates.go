package sessions

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// named is a predicate by names. words describe it to the user, with % for the name; json is its name
// in the API.
type named struct {
	option
	words string
	json  string
	query func(names ...string) apiclient.Query
}

// dated is a predicate by a date, with % for the instant in words.
type dated struct {
	option
	words string
	json  string
	query func(time.Time) apiclient.Query
	// sign is that of relative instants: -1 for ago, 1 for from now.
	sign time.Duration
}

func first(of func(string) apiclient.Query) func(...string) apiclient.Query {
	return func(names ...string) apiclient.Query { return of(names[0]) }
}

// orNever is said of sessions without an expiration date, which end after every date.
const orNever = " or never"

// Which sessions: this is the only place that knows the flags.
var (
	byName = []named{
		{option{name: "user-id", help: "of this user"}, "of user %", "userIdQuery", first(apiclient.OfUser)},
		{option{name: "agent-id", help: "of the user agent with this fingerprint ID"}, "of user agent %", "userAgentQuery", first(apiclient.OfAgent)},
		{option{name: "creator-id", help: "created by the caller with this user ID"}, "created by %", "creatorQuery", first(apiclient.CreatedBy)},
		{option{name: "id", kind: often, help: "with this ID; may repeat, for any of these"}, "with the ID %", "idsQuery", apiclient.WithID},
	}
	byDate = []dated{
		{option{name: "created-before", help: "created before this TIME"}, "created before %", "creationDateQuery", apiclient.CreatedBefore, -1},
		{option{name: "created-after", help: "created after it"}, "created after %", "creationDateQuery", apiclient.CreatedAfter, -1},
		{option{name: "expires-before", help: "ending before it"}, "ending before %", "expirationDateQuery", apiclient.EndingBefore, 1},
		{option{name: "expires-after", help: "ending after it, or never"}, "ending after %" + orNever, "expirationDateQuery", apiclient.EndingAfter, 1},
	}
)

// predicates is the group of the flags that say which sessions; more go below them.
func predicates(more ...option) group {
	g := group{heading: "WHICH sessions; if several are given, all must hold:"}
	for i := range byName {
		g.options = append(g.options, byName[i].option)
	}
	for i := range byDate {
		g.options = append(g.options, byDate[i].option)
	}
	g.options = append(g.options, more...)
	return g
}

// meant sets which sessions are meant.
func (c *call) meant(wrong *usage.Faults) {
	add := func(words, what string, q apiclient.Query) {
		c.queries = append(c.queries, q)
		c.words = append(c.words, strings.Replace(words, "%", what, 1))
	}
	for i := range byName {
		p := &byName[i]
		switch names := c.values[p.name]; {
		case len(names) == 1:
			add(p.words, terminal.Word(names[0]), p.query(names...))
		case len(names) > 1:
			add(fmt.Sprintf("with one of %d IDs", len(names)), "", p.query(names...))
		}
	}
	for i := range byDate {
		p := &byDate[i]
		text := c.text(p.name)
		if text == "" {
			continue
		}
		at, words, ok := instant(text, c.now, p.sign)
		if !ok {
			wrong.Addf("--%s must be %s", p.name, instantForm(p.sign))
		}
		what := p.words
		if c.text("expires-before") != "" { // then none that never ends is meant
			what = strings.TrimSuffix(what, orNever)
		}
		add(what, words, p.query(at))
	}
}

// flagsOf returns the flags that were given of what the API calls by this name.
func (c *call) flagsOf(json string) (flags []string) {
	add := func(o option, its string) {
		if its == json && len(c.values[o.name]) > 0 {
			flags = append(flags, "--"+o.name)
		}
	}
	for i := range byName {
		add(byName[i].option, byName[i].json)
	}
	for i := range byDate {
		add(byDate[i].option, byDate[i].json)
	}
	return flags
}

// sessions says how many sessions, and which.
func (c *call) sessions(n uint64) string {
	return strings.Join(append([]string{terminal.Count(n, "session")}, c.words...), " ")
}
