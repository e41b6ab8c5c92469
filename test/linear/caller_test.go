package linear

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
)

// actors call all processes about a few sessions at a time, so that they meet.
type actors struct {
	*world
	history *History
	values  atomic.Int64

	mu       sync.Mutex
	subjects []*subject
	faults   []string // answers that no history explains
	answers  map[string]int
}

const (
	// subjects are how many sessions are called about at a time.
	subjects = 4
	// Of each session so many calls are made, and so many of them lost, at most:
	// to put more of them in order takes too long.
	maxCalls, maxLost = 80, 4
)

// subject is a session that is called about.
type subject struct {
	id    string
	calls int
	lost  int
	// sequence is the highest that was seen, tokens are some that were good once.
	sequence uint64
	tokens   []string
}

func newActors(w *world) *actors {
	return &actors{world: w, history: NewHistory(), subjects: make([]*subject, subjects), answers: map[string]int{}}
}

// answer is what answers have, as far as it is looked at.
type answer struct {
	Code    int
	Details struct{ Sequence string }
	Session struct {
		Sequence string
		Metadata struct{ V []byte }
	}
	SessionID, SessionToken string
}

// act makes one call as a client.
func (a *actors) act(r *rand.Rand, client int) {
	process := r.IntN(len(a.urls))
	s, i := a.subject(r)
	if s == nil {
		a.create(process, client, i)
		return
	}
	op := Op{Session: s.id, Process: process, Client: client, Fresh: r.IntN(2) == 0}
	a.mu.Lock()
	sequence, token := s.sequence, ""
	if n := len(s.tokens); n > 0 && r.IntN(3) == 0 {
		token = s.tokens[max(n-1-r.IntN(2), 0)]
	}
	a.mu.Unlock()
	var method, path, body string
	switch n := r.IntN(20); {
	case n < 5:
		op.Kind, op.Value = Set, a.value()
		method, path, body = http.MethodPatch, "/v2/sessions/"+s.id, document(op.Value, 0)
	case n < 7:
		op.Kind, op.Value, op.Asked = Put, a.value(), max(sequence+uint64(r.IntN(4)), 2)-1
		method, path, body = http.MethodPut, "/v2/sessions/"+s.id, document(op.Value, op.Asked)
	case n < 8:
		op.Kind = Delete
		method, path = http.MethodDelete, "/v2/sessions/"+s.id
	case n < 11 && token != "":
		op.Kind, op.Token, op.Fresh = Verify, token, false
		method, path = http.MethodGet, "/verify"
	default:
		op.Kind, op.Token = Get, token
		method, path = http.MethodGet, "/v2/sessions/"+s.id
		if token != "" {
			path += "?sessionToken=" + url.QueryEscape(token)
		}
	}
	noted := a.history.Call(op)
	status, got := a.send(noted, method, path, body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[fmt.Sprint(op.Kind, " ", status)]++
	switch a.judge(noted, status, got) {
	case told:
		a.history.End(noted)
		if noted.Kind.writes() {
			s.sequence = max(s.sequence, noted.Sequence, noted.Asked)
		}
		if noted.NewToken != "" {
			s.tokens = append(s.tokens, noted.NewToken)
		}
	case lost:
		a.history.Lose(noted)
		if noted.Kind.writes() {
			s.lost++
		}
	}
}

// create makes a session and gives it the place i. One whose answer is lost is
// nobody's: its ID is not known.
func (a *actors) create(process, client, i int) {
	noted := a.history.Call(Op{Kind: Create, Process: process, Client: client, Value: a.value()})
	status, got := a.send(noted, http.MethodPost, "/v2/sessions", document(noted.Value, 0))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[fmt.Sprint(Create, " ", status)]++
	if a.judge(noted, status, got) != told {
		return
	}
	noted.Session = got.SessionID
	a.history.End(noted)
	a.subjects[i] = &subject{id: got.SessionID, sequence: 1, tokens: []string{got.SessionToken}}
}

// subject returns a session and its place; nil if a new one is to take that.
func (a *actors) subject(r *rand.Rand) (*subject, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := r.IntN(len(a.subjects))
	s := a.subjects[i]
	if s != nil {
		if s.calls++; s.calls > maxCalls || s.lost >= maxLost {
			a.subjects[i], s = nil, nil
		}
	}
	return s, i
}

func (a *actors) value() string { return fmt.Sprint("v", a.values.Add(1)) }

// document is a session, or a part of one, with a value.
func document(value string, sequence uint64) string {
	user, asked := "", ""
	if sequence > 0 {
		asked = fmt.Sprintf(`"sequence":"%d","factors":{"user":{"id":"ada"},"password":{}},`, sequence)
	} else {
		user = `"checks":{"user":{"userId":"ada"}},`
	}
	v, _ := json.Marshal([]byte(value)) // a string never fails
	return fmt.Sprintf(`{%s%s"metadata":{"v":%s}}`, asked, user, v)
}

// send makes a call; the status is 0 if no answer came.
func (a *actors) send(op *Op, method, path, body string) (status int, got answer) {
	var reader io.Reader
	if body != "" {
		reader = bytes.NewReader([]byte(body))
	}
	req, err := http.NewRequest(method, a.urls[op.Process]+path, reader)
	if err != nil {
		return 0, got
	}
	req.GetBody = nil // what may have been done is not sent twice
	if op.Fresh && op.Kind == Get {
		req.Header.Set("Session-Consistency", "fresh")
	}
	if op.Kind == Verify {
		req.Header.Set("X-Session-Token", op.Token)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return 0, got
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, got
	}
	if err := json.Unmarshal(text, &got); err != nil && op.Kind != Verify {
		got.Code = -1
	}
	return res.StatusCode, got
}

// what an answer is worth.
type worth uint8

const (
	nothing worth = iota // it did not happen, and tells nothing
	told
	lost
)

// judge reads an answer into op. a.mu is held.
func (a *actors) judge(op *Op, status int, got answer) worth {
	op.Sequence, _ = strconv.ParseUint(got.Details.Sequence, 10, 64)
	op.NewToken = got.SessionToken
	switch {
	case status == 0, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return lost
	case op.Kind == Verify && status == http.StatusOK:
	case op.Kind == Verify && status == http.StatusUnauthorized:
		op.Denied = true
	case op.Kind == Get && status == http.StatusOK:
		op.Sequence, _ = strconv.ParseUint(got.Session.Sequence, 10, 64)
		op.Found = string(got.Session.Metadata.V)
	case op.Kind == Get && status == http.StatusForbidden && op.Token != "":
		op.Denied = true
	case (op.Kind == Get || op.Kind == Set) && status == http.StatusNotFound:
		op.NotFound = true
	case op.Kind == Put && status == http.StatusConflict && got.Code == 6:
		op.Refused = true
	case op.Kind.writes() && status == http.StatusConflict && got.Code == 10:
		return nothing // overtaken again and again
	case op.Kind == Create && status == http.StatusCreated, op.Kind == Set && status == http.StatusOK, op.Kind == Delete && status == http.StatusOK:
	case op.Kind == Put && (status == http.StatusOK || status == http.StatusCreated):
		op.Created = status == http.StatusCreated
		if op.Sequence != op.Asked {
			a.faults = append(a.faults, fmt.Sprintf("a put of %d answers %d", op.Asked, op.Sequence))
		}
	default:
		a.faults = append(a.faults, fmt.Sprintf("%s is answered by %d, code %d", op.Kind, status, got.Code))
	}
	return told
}
