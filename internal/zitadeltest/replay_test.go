package zitadeltest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// notOurs are the paths of the recordings that are no part of the double.
var notOurs = []string{"/healthz", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}

// different are the exchanges whose answers are others, and why.
var different = map[string]string{
	"connect v2 timeout 1 ms":     "what is broken off by the deadline is a matter of chance: the recordings have 403 AUTH-Bs7Ds and 500 QUERY-Sfg42",
	"connect v2beta timeout 1 ms": "the same",
}

// authorizations are the headers of exchanges of which the recordings say only how they are called.
func (r *replay) authorization(x exchange) (string, bool) {
	admin := r.s.Admin.Token
	if value, ok := map[string]string{
		"list auth Basic": "Basic YTpi", "list auth empty": "", "list auth Bearer empty": "Bearer ", "list auth bearer lower case": "bearer " + admin,
		"list auth token without scheme": admin,
	}[x.Name]; ok {
		return value, true
	}
	if token, ok := map[string]string{"{{T0}}": "TOKEN1", "{{T1}}": "TOKEN3", "{{T2}}": "TOKEN4", "{{TX}}": "TOKEN11"}[x.Request.Auth]; ok {
		return "Bearer " + r.to[token+"(len=283,parts=5)"], true
	}
	return "Bearer " + r.logins[x.Request.Auth], x.Request.Auth != ""
}

// send sends a recorded request, byte by byte, and returns the answer and its body.
func (r *replay) send(x exchange) (*http.Response, string) {
	t := r.t
	t.Helper()
	body := r.requestBody(x)
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", x.Request.Method, r.mapped(restored(t, x.Name, x.Request.Path)), strings.TrimPrefix(r.s.URL, "http://"))
	if value, ok := r.authorization(x); ok {
		fmt.Fprintf(&raw, "Authorization: %s\r\n", value)
	}
	sized := false
	for _, h := range x.Request.Headers {
		fmt.Fprintf(&raw, "%s: %s\r\n", h[0], r.mapped(h[1]))
		sized = sized || h[0] == "Transfer-Encoding" || h[0] == "Content-Length"
	}
	if x.Request.Body != nil && !sized {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(body))
	}
	raw.WriteString("\r\n")
	raw.Write(body)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: x.Request.Method})
	if err != nil {
		t.Fatalf("%s: %v", x.Name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	var reader io.Reader = answer.Body
	if answer.Header.Get("Content-Encoding") == "gzip" {
		if reader, err = gzip.NewReader(reader); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(reader)
	if err != nil {
		t.Fatalf("%s: %v", x.Name, err)
	}
	return answer, string(data)
}

// compare sends a recorded request, and returns what the answer has otherwise.
func (r *replay) compare(x exchange) []string {
	answer, body := r.send(x)
	var wrong []string
	if answer.StatusCode != x.Status {
		wrong = append(wrong, fmt.Sprintf("status %d, not %d", answer.StatusCode, x.Status))
	}
	wrong = append(wrong, header(x.Headers, answer.Header)...)
	switch {
	case isCut(x.Body):
	case x.Body == nil:
		wrong = append(wrong, r.body("", body)...)
	default:
		wrong = append(wrong, r.body(*x.Body, body)...)
	}
	return wrong
}

// tally is how many exchanges were compared in all, without their cut bodies, not at all, or are known to differ.
type tally struct{ compared, cut, skipped, different int }

func (r *replay) all(exchanges []exchange, before func(exchange)) tally {
	var n tally
	for i, x := range exchanges {
		before(x)
		path, _, _ := strings.Cut(x.Request.Path, "?")
		if slices.Contains(notOurs, path) {
			n.skipped++
			continue
		}
		wrong := r.compare(x)
		if _, known := different[x.Name]; known {
			n.different++
			continue
		}
		if isCut(x.Body) {
			n.cut++
		} else {
			n.compared++
		}
		if len(wrong) > 0 {
			r.t.Errorf("%d %q, %s %.80s:\n\t%s", i, x.Name, x.Request.Method, x.Request.Path, strings.Join(wrong, "\n\t"))
		}
	}
	return n
}

func TestReplay_AnswersAreThoseOfTheRecordedZITADEL(t *testing.T) {
	s := Start(t)
	r := newReplay(t, s)
	got := r.all(recorded[exchange](t, "exchanges.jsonl", 530), func(x exchange) {
		if x.Name == "get expired" {
			s.Advance(10 * time.Second) // so much had passed
		}
	})
	if want := (tally{compared: 486, cut: 40, skipped: 2, different: 2}); got != want {
		t.Errorf("exchanges: %+v, want %+v", got, want)
	}

	// The event search was recorded after that, and finds what these requests did.
	got = r.all(recorded[exchange](t, "events-search.jsonl", 23), func(x exchange) {
		if x.Name != "lag" {
			return
		}
		// A session was created just before, by a request that is not recorded.
		id, _ := s.CreateSession(Session{Creator: s.Admin.UserID})
		if wrong := r.bind(idForm.FindString(*x.Request.Body), id); wrong != "" {
			t.Error(wrong)
		}
	})
	if want := (tally{compared: 22, cut: 1}); got != want {
		t.Errorf("event searches: %+v, want %+v", got, want)
	}
}

// The recorded details that only Go's maps and clocks decide are compared as well: this looks whether the comparison can fail.
func TestReplay_ADifferenceIsFound(t *testing.T) {
	r := newReplay(t, Start(t))
	for name, bodies := range map[string][2]string{
		"value": {`{"a":"x"}`, `{"a":"y"}`}, "type": {`{"a":"1"}`, `{"a":1}`}, "missing": {`{"a":"x"}`, `{}`}, "too much": {`{}`, `{"a":null}`},
		"order": {`["x","y"]`, `["y","x"]`}, "two IDs that are one": {`["400000000000000101","400000000000000102"]`, `["400000000000000501","400000000000000501"]`},
		"one ID that is two": {`["400000000000000103","400000000000000103"]`, `["400000000000000502","400000000000000503"]`},
		"a short token":      {`"TOKEN9(len=283,parts=5)"`, `"a.b.c.d.e"`}, "a date": {`"2026-11-28T19:25:02.628332Z"`, `"yesterday"`},
		"dates that were equal": {`["2026-11-28T19:25:03Z","2026-11-28T19:25:03.000Z"]`, `["2026-11-28T19:25:04Z","2026-11-28T19:25:05Z"]`},
	} {
		if len(r.body(bodies[0], bodies[1])) == 0 {
			t.Errorf("%s: no difference is found", name)
		}
	}
	if len(header([][2]string{{"Vary", "Origin"}}, http.Header{"Vary": {"Origin", "Cookie"}})) == 0 || len(header(nil, http.Header{"X": {""}})) == 0 {
		t.Error("no difference of headers is found")
	}
}
