package webhook

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const oldKey, newKey = "an-old-signing-key", "a-new-signing-key"

var noon = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

// post is a receiver at noon, which keeps the events that it takes.
type post struct {
	*Receiver
	t    *testing.T
	got  []upstream.Event
	full bool
}

func newPost(t *testing.T, keys ...string) *post {
	t.Helper()
	p := &post{t: t}
	k, err := upstream.ParseEventKeys([]byte(strings.Join(keys, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	p.Receiver, err = New(Config{
		Keys: func() *upstream.EventKeys { return k }, Clock: func() time.Time { return noon },
		Take: func(e upstream.Event) bool {
			if !p.full {
				p.got = append(p.got, e)
			}
			return !p.full
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// send delivers a body as httpapi does.
func (p *post) send(header, body string) error {
	s, err := p.Signature([][]byte{[]byte(header)})
	if err == nil {
		err = p.Deliver(s, []byte(body))
	}
	if err != nil {
		p.Refused(err)
	}
	return err
}

func (p *post) counted(result string, want int) {
	p.t.Helper()
	if n := testutil.ToFloat64(p.results.WithLabelValues(result)); n != float64(want) {
		p.t.Errorf("%v are counted as %s, want %d", n, result, want)
	}
}

const terminated = `{"aggregateID":"401643232406015014","aggregateType":"session","sequence":10,"event_type":"session.terminated","created_at":"2030-06-01T11:59:59.25Z","event_payload":{"triggerOrigin":"x"}}`

func TestDeliver_AnyV1MayMatchAnyKey(t *testing.T) {
	for _, c := range []struct {
		ours, theirs []string
		want         error
	}{
		{[]string{oldKey}, []string{oldKey}, nil},
		{[]string{oldKey, newKey}, []string{newKey}, nil},
		{[]string{newKey}, []string{oldKey, newKey}, nil},
		{[]string{oldKey}, []string{newKey, oldKey}, nil},
		{[]string{oldKey}, []string{newKey}, errSignature},
		{[]string{oldKey, newKey}, []string{"another-signing-key"}, errSignature},
	} {
		p := newPost(t, c.ours...)
		if err := p.send(zitadeltest.Signature(noon, []byte(terminated), c.theirs...), terminated); !errors.Is(err, c.want) {
			t.Errorf("%v, signed by %v: %v, want %v", c.ours, c.theirs, err, c.want)
		}
		if c.want == nil {
			p.counted(resultOK, 1)
		} else {
			p.counted(resultSignature, 1)
		}
		if (len(p.got) == 1) != (c.want == nil) {
			t.Errorf("%v, signed by %v: %d events", c.ours, c.theirs, len(p.got))
		}
	}
}

func TestDeliver_TheSignatureIsOfTimeAndBody(t *testing.T) {
	p := newPost(t, oldKey)
	good := zitadeltest.Signature(noon, []byte(terminated), oldKey)
	if err := p.send(good, terminated+" "); !errors.Is(err, errSignature) {
		t.Errorf("another body: %v", err)
	}
	if err := p.send(strings.Replace(good, fmt.Sprint(noon.Unix()), fmt.Sprint(noon.Unix()+1), 1), terminated); !errors.Is(err, errSignature) {
		t.Errorf("another time: %v", err)
	}
	if err := p.send("v0=x, "+strings.Replace(good, ",", " , ", 1)+",v2=y", terminated); err != nil {
		t.Errorf("other schemes: %v", err)
	}
	p.counted(resultSignature, 2)
}

func TestSignature_TheTimeIsNearOurs(t *testing.T) {
	p := newPost(t, oldKey)
	for off, want := range map[time.Duration]error{
		-300 * time.Second: nil, 300 * time.Second: nil, -301 * time.Second: errStale, 301 * time.Second: errStale, 1000 * time.Hour: errStale,
	} {
		body := fmt.Sprintf(`{"aggregateID":"%d"}`, off)
		if err := p.send(zitadeltest.Signature(noon.Add(off), []byte(body), oldKey), body); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", off, err, want)
		}
	}
	p.counted(resultStale, 3)
}

func TestSignature_Form(t *testing.T) {
	p, v1 := newPost(t, oldKey), ",v1="+strings.Repeat("ab", 32)
	at := fmt.Sprintf("t=%d", noon.Unix())
	if _, err := p.Signature([][]byte{[]byte(at + strings.Repeat(v1, maxSums))}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "x", at, strings.TrimPrefix(v1, ","), at + ",v1=", at + ",v1=ab", at + v1 + "a", at + strings.Replace(v1, "b", "g", 1), at + "," + at + v1,
		"t=" + v1, "t=-1" + v1, "t=+1" + v1, "t=1.5" + v1, "t=0x1" + v1, "t= 1" + v1, "t=" + strings.Repeat("1", maxDigits+1) + v1,
		at + strings.Repeat(v1, maxSums+1), at + v1 + ",x=" + strings.Repeat("y", maxSignature), at + ",V1=" + strings.Repeat("ab", 32),
	} {
		if _, err := p.Signature([][]byte{[]byte(bad)}); !errors.Is(err, errForm) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, lines := range [][][]byte{nil, {[]byte(at + v1), []byte(at + v1)}} {
		if _, err := p.Signature(lines); !errors.Is(err, errForm) {
			t.Errorf("%d headers: %v", len(lines), err)
		}
	}
}

func TestDeliver_AReplayIsPassedOver(t *testing.T) {
	p := newPost(t, newKey, oldKey)
	both := zitadeltest.Signature(noon, []byte(terminated), newKey, oldKey)
	one := zitadeltest.Signature(noon, []byte(terminated), oldKey)
	for _, header := range []string{both, both, one} {
		if err := p.send(header, terminated); err != nil {
			t.Error(err)
		}
	}
	if len(p.got) != 1 {
		t.Errorf("%d events", len(p.got))
	}
	p.counted(resultOK, 1)
	p.counted(resultReplay, 2)
	if err := p.send(zitadeltest.Signature(noon.Add(time.Second), []byte(terminated), oldKey), terminated); err != nil || len(p.got) != 2 {
		t.Errorf("signed anew: %v, %d events", err, len(p.got))
	}
}

func TestDeliver_WhatWasNotTakenMayComeAgain(t *testing.T) {
	p := newPost(t, oldKey)
	header := zitadeltest.Signature(noon, []byte(terminated), oldKey)
	p.full = true
	if err := p.send(header, terminated); !errors.Is(err, errFull) {
		t.Error(err)
	}
	p.full = false
	if err := p.send(header, terminated); err != nil || len(p.got) != 1 {
		t.Errorf("%v, %d events", err, len(p.got))
	}
	p.counted(resultFull, 1)
}

func TestReplays_AreBounded(t *testing.T) {
	var r replays
	name := func(i int) (n sum) { n[0], n[1], n[2] = byte(i), byte(i>>8), byte(i>>16); return n }
	yes := func() bool { return true }
	for i := range maxRemembered + 10 {
		if r.once(name(i), yes) != taken {
			t.Fatal(i)
		}
	}
	if len(r.names) != maxRemembered || len(r.order) != maxRemembered {
		t.Errorf("%d and %d are remembered", len(r.names), len(r.order))
	}
	if r.once(name(10), yes) != seenBefore || r.once(name(maxRemembered+9), yes) != seenBefore {
		t.Error("one of the last is forgotten")
	}
	if r.once(name(9), yes) != taken {
		t.Error("one from before is remembered")
	}
}

func TestDecode(t *testing.T) {
	whole := upstream.Event{AggregateType: "session", Aggregate: "401643232406015014", Type: "session.terminated", Sequence: 10, At: session.TimeOf(noon.Add(-750 * time.Millisecond))}
	older := whole
	older.At = session.TimeOf(noon.Add(-time.Second))
	for body, want := range map[string]upstream.Event{
		terminated: whole,
		`{"aggregateID":"401643232406015014","aggregateType":"session","sequence":10,"event_type":"session.terminated","created_at":"2030-06-01T11:59:59Z","event_payload":"eyJ0cmlnZ2VyT3JpZ2luIjoieCJ9"}`: older,
		`{}`:                    {},
		``:                      {},
		`{"aggregateID":"1"}`:   {Aggregate: "1"},
		`{"aggregateID":null}`:  {},
		`{"event_payload":[1]}`: {},
		`{"aggregateID":"1","event_payload":{"aggregateID":"2","sequence":7},"new_member":[{}]}`: {Aggregate: "1"},
	} {
		if got, err := decode([]byte(body)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, bad := range []string{
		`[]`, `"x"`, `{`, `{"aggregateID":1}`, `{"aggregateID":"1","aggregateID":"2"}`, `{"sequence":-1}`, `{"created_at":"yesterday"}`, `{}{}`,
		`{"aggregateID":"` + strings.Repeat("1", maxName+1) + `"}`, "{\"event_type\":\"\xff\"}",
	} {
		p := newPost(t, oldKey)
		if err := p.send(zitadeltest.Signature(noon, []byte(bad), oldKey), bad); !errors.Is(err, errNoBody) {
			t.Errorf("%s: %v", bad, err)
		}
		p.counted(resultMalformed, 1)
	}
}

// No header is taken that was not signed by a key, and none that is good is refused.
func FuzzSignature(f *testing.F) {
	f.Add(zitadeltest.Signature(noon, []byte(terminated), oldKey), terminated)
	f.Add(zitadeltest.Signature(noon, []byte(terminated), newKey, oldKey), terminated)
	f.Add("t=1,v1="+strings.Repeat("00", 32), "")
	f.Add("t=1906545600,,v1=,t=", "{}")
	f.Fuzz(func(t *testing.T, header, body string) {
		p := newPost(t, oldKey)
		s, err := p.Signature([][]byte{[]byte(header)})
		if err != nil {
			return
		}
		if len(s.sums) == 0 || len(s.sums) > maxSums || len(s.at) > maxDigits {
			t.Errorf("%q: %d sums", header, len(s.sums))
		}
		_, ok := s.by(p.Keys(), []byte(body))
		var at int64
		if _, err := fmt.Sscan(string(s.at), &at); err != nil {
			t.Fatal(err)
		}
		signed := zitadeltest.Signature(time.Unix(at, 0), []byte(body), oldKey)
		_, hexes, _ := strings.Cut(signed, "v1=")
		want := slices.ContainsFunc(s.sums, func(one sum) bool { return hex.EncodeToString(one[:]) == hexes })
		if ok != want && string(s.at) == fmt.Sprint(at) {
			t.Errorf("%q of %q: %v", header, body, ok)
		}
	})
}

// Whatever a body is, an event has short texts, and an error is always the same.
func FuzzDeliver(f *testing.F) {
	f.Add(terminated)
	f.Add(`{"event_payload":"x","created_at":"2030-06-01T11:59:59Z"}`)
	f.Add(`{"aggregateID":"1","event_payload":{"encodedHash":"$2a$14$abc"},"sequence":"7"`)
	f.Fuzz(func(t *testing.T, body string) {
		p := newPost(t, oldKey)
		err := p.send(zitadeltest.Signature(noon, []byte(body), oldKey), body)
		if err != nil && !errors.Is(err, errNoBody) {
			t.Errorf("%q: %v", body, err)
		}
		for _, e := range p.got {
			if e.Aggregate == "" || len(e.Aggregate) > maxName || len(e.AggregateType) > maxName || len(e.Type) > maxName {
				t.Errorf("%q: %+v", body, e)
			}
		}
	})
}

// What it takes to verify and queue an event, of the size of those that were recorded, with two keys.
func BenchmarkDeliver(b *testing.B) {
	k, err := upstream.ParseEventKeys([]byte(oldKey + "\n" + newKey))
	if err != nil {
		b.Fatal(err)
	}
	r, err := New(Config{Keys: func() *upstream.EventKeys { return k }, Clock: func() time.Time { return noon }, Take: func(upstream.Event) bool { return true }})
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(terminated + strings.Repeat(" ", 400-len(terminated)))
	header := [][]byte{[]byte(zitadeltest.Signature(noon, body, newKey))}
	for b.Loop() {
		s, err := r.Signature(header)
		if err == nil {
			err = r.Deliver(s, body)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
