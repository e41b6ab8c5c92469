package webhook

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// What a real ZITADEL sent is read: its signatures, whose key was not recorded, at the time when they came, and its events,
// in both forms of payload, signed by a key of ours.
func TestRecorded_DeliveriesAreRead(t *testing.T) {
	text, err := os.ReadFile("../../internal/zitadeltest/testdata/events.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var d struct {
			T       float64
			Headers [][2]string
			Body    string
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		k, err := upstream.ParseEventKeys([]byte(oldKey))
		if err != nil {
			t.Fatal(err)
		}
		var got []upstream.Event
		r, err := New(Config{
			Keys: func() *upstream.EventKeys { return k }, Clock: func() time.Time { return time.Unix(int64(d.T), 0) },
			Take: func(e upstream.Event) bool { got = append(got, e); return true },
		})
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for _, h := range d.Headers {
			if h[0] != Header {
				continue
			}
			s, err := r.Signature([][]byte{[]byte(h[1])})
			if err != nil || len(s.sums) != 1 {
				t.Errorf("%s: %v", h[1], err)
				continue
			}
			read++
			if _, ok := s.by(k, []byte(d.Body)); ok {
				t.Error("it is signed by a key that ZITADEL did not have")
			}
		}
		if read != 1 {
			t.Fatalf("%d signatures in %v", read, d.Headers)
		}
		s, err := r.Signature([][]byte{[]byte(zitadeltest.Signature(time.Unix(int64(d.T), 0), []byte(d.Body), oldKey))})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Deliver(s, []byte(d.Body)); err != nil || len(got) != 1 {
			t.Fatalf("%s: %v", d.Body, err)
		}
		var want struct {
			AggregateID, AggregateType string
			Sequence                   uint64
			Type                       string    `json:"event_type"`
			Created                    time.Time `json:"created_at"`
		}
		if err := json.Unmarshal([]byte(d.Body), &want); err != nil {
			t.Fatal(err)
		}
		if e := got[0]; e.Aggregate != want.AggregateID || e.AggregateType != want.AggregateType || e.Sequence != want.Sequence || e.Type != want.Type || !e.At.Std().Equal(want.Created) {
			t.Errorf("got %+v, want %+v", e, want)
		}
		kinds[want.Type]++
	}
	if kinds["session.terminated"] == 0 || kinds["user.locked"] == 0 || kinds["user.human.added"] == 0 {
		t.Errorf("read %v", kinds)
	}
}
