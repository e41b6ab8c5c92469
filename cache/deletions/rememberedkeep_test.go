package deletions

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// The ID of a deleted session is a part of its document: a hundred thousand graves must not hold as many documents.
func TestGraves_HoldNoDocument(t *testing.T) {
	g, now := New(10), session.Time(0)
	document := strings.Repeat("x", 1000) + "the-id"
	id := session.ID(document[1000:])
	g.Dig(id, 1, now, now)
	g.each(10, func(ids []session.ID) bool {
		if len(ids) != 1 || ids[0] != id || unsafe.StringData(string(ids[0])) == unsafe.StringData(string(id)) {
			t.Errorf("%v: it is the document's", ids)
		}
		return true
	})
	for held := range g.stripe(id).of {
		if unsafe.StringData(string(held)) == unsafe.StringData(string(id)) {
			t.Error("it is the document's")
		}
	}
	if _, ok := g.Last(id, now.Add(time.Hour)); !ok {
		t.Error("it is not remembered")
	}
}

// Nor does what waits to be deleted again.
func TestGraves_QueueHoldsNoDocument(t *testing.T) {
	g, now := New(10), session.Time(0)
	document := strings.Repeat("x", 1000) + "the-id"
	back := storedAs(session.ID(document[1000:]), 1)
	g.Dig(back.ID, 1, now, now)
	if g.Pass(back, now) != nil {
		t.Fatal("it passes its grave")
	}
	if id := <-g.again; id != back.ID || unsafe.StringData(string(id)) == unsafe.StringData(string(back.ID)) {
		t.Errorf("what is to be deleted again, %s, is a part of its document", id)
	}
}
