package news

import (
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// aggregateTypes are the kinds of aggregates whose events say something about sessions.
var aggregateTypes = []string{"session", "user"}

// effects are what events do to copies of sessions: several of one session do as much as the last.
type effects struct {
	sessions map[session.ID]change
	users    map[string]struct{}
	ties     map[string]session.Tie
}

// change is what happened to a session.
type change struct {
	terminated bool
	// sequence is that of the last event; unnumbered says that one has none, so that no copy passes as later than it.
	sequence   uint64
	unnumbered bool
}

// The effects of an event, as metrics name them.
const (
	effectTerminated = "terminated"
	effectChanged    = "changed"
	effectUser       = "user"
	effectTied       = "tied"
	effectNone       = "none"
)

func newEffects() effects {
	return effects{sessions: map[session.ID]change{}, users: map[string]struct{}{}, ties: map[string]session.Tie{}}
}

// add adds an event, and returns its effect.
func (all *effects) add(e *upstream.Event) string {
	switch e.AggregateType {
	case "session":
		id, err := session.ParseID(e.Aggregate)
		if err != nil {
			return effectNone // none such is stored
		}
		was := all.sessions[id]
		all.sessions[id] = change{
			terminated: was.terminated || e.Type == "session.terminated", sequence: max(was.sequence, e.Sequence), unnumbered: was.unnumbered || e.Sequence == 0,
		}
		if e.Type == "session.terminated" {
			return effectTerminated
		}
		return effectChanged
	case "user":
		if !touchesSessions(e.Type) {
			return effectNone
		}
		all.users[e.Aggregate] = struct{}{}
		return effectUser
	case upstream.OIDCSessions:
		if e.Tie.User == "" {
			return effectNone
		}
		all.ties[e.Aggregate] = e.Tie
		return effectTied
	}
	return effectNone
}

// touchesSessions says whether an event of a user may change what ZITADEL answers about the user's sessions: their
// being there, their factors, or a name. An unknown event may.
func touchesSessions(kind string) bool {
	for _, harmless := range harmlessEnds {
		if strings.HasSuffix(kind, harmless) {
			return false
		}
	}
	for _, harmless := range harmlessParts {
		if strings.Contains(kind, harmless) {
			return false
		}
	}
	return true
}

// Events of users that come with each login, or before there can be any. That a check was passed, the session has an event
// of its own for.
var (
	harmlessEnds = []string{
		"user.added", "user.selfregistered", "user.human.added", "user.human.selfregistered", "user.machine.added",
		".check.succeeded", ".check.failed", ".code.added", ".code.sent", ".code.requested", "user.human.signed.out",
	}
	harmlessParts = []string{".token.", ".refresh.token.", ".metadata."}
)
