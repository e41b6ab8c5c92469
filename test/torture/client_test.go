package torture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// callTimeout is how long a caller waits. Cloakroom gives up before.
const callTimeout = 4 * time.Second

// caller calls one process, and writes down what comes of it.
type caller struct {
	*history
	to *sidecar
}

// document is a session as answers have it.
type document struct {
	ID       string `json:"id"`
	Sequence string `json:"sequence"`
	Metadata struct {
		Label  []byte `json:"label"`
		Number []byte `json:"number"`
	} `json:"metadata"`
	Factors struct {
		User struct {
			ID string `json:"id"`
		} `json:"user"`
	} `json:"factors"`
	UserAgent struct {
		FingerprintID string `json:"fingerprintId"`
	} `json:"userAgent"`
}

func (d *document) version() int {
	n, _ := strconv.Atoi(string(d.Metadata.Number))
	return n
}

type details struct {
	Details struct {
		Sequence string `json:"sequence"`
		Total    string `json:"totalResult"`
	} `json:"details"`
	SessionID    string      `json:"sessionId"`
	SessionToken string      `json:"sessionToken"`
	Session      *document   `json:"session"`
	Sessions     []*document `json:"sessions"`
}

func (d *details) sequence() int {
	n, _ := strconv.Atoi(d.Details.Sequence)
	return n
}

// answer is what came of a call; status 0 says that nothing did.
type answer struct {
	status   int
	inv, res instant
	unsent   bool // the process was not there
	details
}

// known says whether the answer says anything of a session. All others mean that nothing is known, and those that should
// not be are faults.
func (a *answer) known() bool {
	switch a.status {
	case http.StatusOK, http.StatusCreated, http.StatusUnauthorized, http.StatusNotFound, http.StatusForbidden:
		return true
	}
	return false
}

// call makes a request. header are pairs.
func (c *caller) call(method, path string, body any, header ...string) *answer {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			panic(err)
		}
	}
	r, err := http.NewRequest(method, "http://"+c.to.api+path, bytes.NewReader(content))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	c.calls.Add(1)
	a := &answer{inv: c.now()}
	response, err := c.to.http.Do(r)
	var text []byte
	if err == nil {
		text, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	a.res = c.now()
	if err != nil {
		c.refused(refusal{c.to.n, a.inv, method, path, err.Error()})
		dial, _ := errors.AsType[*net.OpError](err)
		a.unsent = dial != nil && dial.Op == "dial"
		return a
	}
	a.status = response.StatusCode
	switch a.status {
	case http.StatusOK, http.StatusCreated:
		if err := json.Unmarshal(text, &a.details); err != nil {
			c.fault("%s %s: %v: %s", method, path, err, text)
			a.status = 0
		}
	case http.StatusServiceUnavailable, http.StatusConflict, http.StatusTooManyRequests, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		c.refused(refusal{c.to.n, a.inv, method, path, fmt.Sprintf("%d %s", a.status, text)})
	case http.StatusNotFound, http.StatusUnauthorized:
	default:
		c.fault("%s %s: status %d: %s", method, path, a.status, text)
	}
	return a
}

func metadata(label string, number int) map[string][]byte {
	return map[string][]byte{"label": []byte(label), "number": []byte(strconv.Itoa(number))}
}

func agentOf(user string) string { return "agent-" + user }

// create makes a session of user, by Create, or by Put under an ID of ours. A lifetime is for Create only; 0 is for ever.
func (c *caller) create(label, user string, put bool, lifetime time.Duration) *record {
	id := ""
	if put {
		id = label
	}
	rec := c.begin(label, user, id)
	w, n := rec.write(creates, c.to.n, c.now())
	w.lifetime = lifetime // nobody knows the session yet
	now := time.Now().UTC().Format(time.RFC3339Nano)
	body := map[string]any{
		"metadata":  metadata(label, n),
		"userAgent": map[string]any{"fingerprintId": agentOf(user)},
		"factors":   map[string]any{"user": map[string]any{"id": user, "verifiedAt": now}, "password": map[string]any{"verifiedAt": now}},
	}
	if lifetime > 0 {
		body["lifetime"] = fmt.Sprintf("%.3fs", lifetime.Seconds())
	}
	var a *answer
	if put {
		a = c.call(http.MethodPut, "/v2/sessions/"+id+"?issueToken=true", body)
	} else {
		body["checks"] = map[string]any{"user": map[string]any{"userId": user}}
		a = c.call(http.MethodPost, "/v2/sessions", body)
	}
	c.wrote(rec, w, a)
	return rec
}

// wrote notes what came of a write.
func (c *caller) wrote(rec *record, w *write, a *answer) (done bool) {
	switch {
	case a.status == http.StatusOK || a.status == http.StatusCreated:
		c.acked.Add(1)
		rec.ack(w, a.res, a.SessionID, a.sequence(), a.SessionToken)
		c.changed(rec)
		return true
	case a.unsent:
		rec.undo(w)
	case a.known() && w.kind == sets:
		rec.undo(w)
		rec.see(observation{source: "set", via: c.to.n, inv: a.inv, res: a.res, fresh: true})
	case a.known():
		c.fault("%v of %s: status %d", w.kind, rec.label, a.status)
	default:
		c.maybes.Add(1)
	}
	return false
}

// set changes a session. It returns false if there is none any more.
func (c *caller) set(rec *record) (there bool) {
	w, n := rec.write(sets, c.to.n, c.now())
	a := c.call(http.MethodPatch, "/v2/sessions/"+rec.ref(), map[string]any{"metadata": metadata(rec.label, n)})
	c.wrote(rec, w, a)
	return a.status != http.StatusNotFound
}

// delete ends a session, and says whether it is known to be gone.
func (c *caller) delete(rec *record) (gone bool) {
	w, _ := rec.write(deletes, c.to.n, c.now())
	a := c.call(http.MethodDelete, "/v2/sessions/"+rec.ref(), nil)
	if a.status == http.StatusOK && a.sequence() == 0 { // it was gone already
		c.acked.Add(1)
		rec.undo(w)
		rec.see(observation{source: "delete", via: c.to.n, inv: a.inv, res: a.res, fresh: true})
		return true
	}
	return c.wrote(rec, w, a)
}

// get reads a session, and says whether it was there.
func (c *caller) get(rec *record, fresh bool) (version int, known bool) {
	id := rec.ref()
	if id == "" {
		return 0, false
	}
	source, header := "get", []string(nil)
	if fresh {
		source, header = "fresh get", []string{"Session-Consistency", "fresh"}
	}
	a := c.call(http.MethodGet, "/v2/sessions/"+id, nil, header...)
	if !a.known() {
		return 0, false
	}
	o := observation{source: source, via: c.to.n, inv: a.inv, res: a.res, fresh: fresh}
	if a.status == http.StatusOK {
		if a.Session == nil || !c.belongs(rec, a.Session) {
			c.fault("get of %s: it has another session: %+v", rec.label, a.Session)
			return 0, false
		}
		o.version, o.sequence = a.Session.version(), a.Session.sequence()
	}
	rec.see(o)
	return o.version, true
}

func (d *document) sequence() int {
	n, _ := strconv.Atoi(d.Sequence)
	return n
}

// belongs says whether a document is of this session.
func (c *caller) belongs(rec *record, d *document) bool {
	id := rec.ref()
	return string(d.Metadata.Label) == rec.label && d.Factors.User.ID == rec.user && d.UserAgent.FingerprintID == agentOf(rec.user) &&
		(id == "" || d.ID == id)
}

// verify asks about a token of a session.
func (c *caller) verify(rec *record, token string, number int) {
	a := c.call(http.MethodGet, "/verify", nil, "Authorization", "Bearer "+token)
	if !a.known() {
		return
	}
	o := observation{source: "verify", via: c.to.n, inv: a.inv, res: a.res, refused: number}
	if a.status == http.StatusOK {
		o.version, o.refused = number, 0
	}
	rec.see(o)
}

// search looks for the sessions of a user, by the user or by the user agent.
func (c *caller) search(user string, byAgent, fresh bool) (known bool) {
	query := map[string]any{"userIdQuery": map[string]any{"id": user}}
	if byAgent {
		query = map[string]any{"userAgentQuery": map[string]any{"fingerprintId": agentOf(user)}}
	}
	source, header := "search", []string(nil)
	if fresh {
		source, header = "fresh search", []string{"Session-Consistency", "fresh"}
	}
	expected := c.of(user)
	a := c.call(http.MethodPost, "/v2/sessions/search", map[string]any{"queries": []any{query}}, header...)
	if a.status != http.StatusOK {
		if a.known() {
			c.fault("search: status %d", a.status)
		}
		return false
	}
	if a.Details.Total != strconv.Itoa(len(a.Sessions)) {
		c.fault("search of %s: the total is %s, with %d sessions (I9)", user, a.Details.Total, len(a.Sessions))
	}
	found := make(map[string]*document, len(a.Sessions))
	for _, d := range a.Sessions {
		label := string(d.Metadata.Label)
		if found[label] != nil {
			c.fault("search of %s: %s is twice in it (I9)", user, label)
		}
		found[label] = d
	}
	for _, rec := range c.of(user) { // also those that were begun meanwhile
		d := found[rec.label]
		delete(found, rec.label)
		if len(expected) > 0 && expected[0] == rec {
			expected = expected[1:]
		} else if d == nil {
			continue
		}
		o := observation{source: source, via: c.to.n, inv: a.inv, res: a.res, fresh: fresh}
		if d != nil {
			if !c.belongs(rec, d) {
				c.fault("search of %s: it has another session: %+v", user, d)
				continue
			}
			rec.learn(d.ID)
			o.version, o.sequence = d.version(), d.sequence()
		}
		rec.see(o)
	}
	for label := range found {
		c.fault("search of %s: there is no session %q of this user", user, label)
	}
	return true
}
