package deletions

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// The ID of a deleted session is a part of its document: a hundred thousand remembered deletions must not hold as many documents.
func TestRemembered_HoldNoDocument(t *testing.T) {
	r, now := NewRemembered(10), session.Time(0)
	document := strings.Repeat("x", 1000) + "the-id"
	id := session.ID(document[1000:])
	r.Add(id, 1, now, now)
	r.each(10, func(ids []session.ID) bool {
		if len(ids) != 1 || ids[0] != id || unsafe.StringData(string(ids[0])) == unsafe.StringData(string(id)) {
			t.Errorf("%v: it is the document's", ids)
		}
		return true
	})
	for held := range r.stripe(id).of {
		if unsafe.StringData(string(held)) == unsafe.StringData(string(id)) {
			t.Error("it is the document's")
		}
	}
	if _, ok := r.Last(id, now.Add(time.Hour)); !ok {
		t.Error("it is not remembered")
	}
}

// Nor does what waits to be deleted again.
func TestRemembered_QueueHoldsNoDocument(t *testing.T) {
	r, now := NewRemembered(10), session.Time(0)
	document := strings.Repeat("x", 1000) + "the-id"
	back := storedAs(session.ID(document[1000:]), 1)
	r.Add(back.ID, 1, now, now)
	if r.Pass(back, now) != nil {
		t.Fatal("a deleted session passes")
	}
	if id := <-r.again; id != back.ID || unsafe.StringData(string(id)) == unsafe.StringData(string(back.ID)) {
		t.Errorf("what is to be deleted again, %s, is a part of its document", id)
	}
}
