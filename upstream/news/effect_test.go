package news

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

func TestEffects(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"session/session.added": effectChanged, "session/session.terminated": effectTerminated, "session/session.new.kind": effectChanged,
		"user/user.locked": effectUser, "user/user.removed": effectUser, "user/user.human.password.changed": effectUser, "user/user.new.kind": effectUser,
		"user/user.human.password.check.succeeded": effectNone, "user/user.token.added": effectNone, "user/user.human.refresh.token.renewed": effectNone,
		"org/org.removed": effectNone,
	} {
		aggregate, kind, _ := strings.Cut(kind, "/")
		all := newEffects()
		if got := all.add(&upstream.Event{AggregateType: aggregate, Aggregate: "1", Type: kind, Sequence: 1}); got != want {
			t.Errorf("%s: got %s, want %s", kind, got, want)
		}
	}
	all := newEffects()
	for _, e := range []upstream.Event{{Type: "session.terminated", Sequence: 7}, {Type: "session.added"}, {Type: "session.token.set", Sequence: 6}} {
		e.AggregateType, e.Aggregate = "session", "1"
		all.add(&e)
	}
	if got := all.sessions["1"]; !got.terminated || !got.unnumbered {
		t.Errorf("got %+v: a session that has ended stays so, and an event without a number is later than every copy", got)
	}
}
