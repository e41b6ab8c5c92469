package httpapi

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var (
	recordedToken = regexp.MustCompile(`TOKEN[0-9]+\([^)]*\)`)
	recordedIDs   = regexp.MustCompile(`4016430[0-9]{11}`)
	idInRequest   = regexp.MustCompile(`(?:/sessions/|"sessionId": ")([0-9]{18})`)
	changeDate    = regexp.MustCompile(`"changeDate":"([^"]+)"`)
)

// translate puts our IDs and tokens in the place of ZITADEL's.
func (r *replay) translate(text string) string {
	other := func(theirs string) string {
		if ours, ok := r.ours[theirs]; ok {
			return ours
		}
		return theirs
	}
	return recordedIDs.ReplaceAllStringFunc(recordedToken.ReplaceAllStringFunc(text, other), other)
}

// exchange sends the request of an exchange at the time when it was answered.
func (r *replay) exchange(i int) reply {
	e := &r.list[i]
	if e.Method != http.MethodGet {
		if m := changeDate.FindStringSubmatch(e.Answer); m != nil {
			at, err := time.Parse(time.RFC3339Nano, m[1])
			if err != nil {
				r.t.Fatal(err)
			}
			r.clock.Store(max(r.clock.Load(), int64(session.TimeOf(at))))
		}
	}
	body := r.translate(e.Body)
	if text, ok := strings.CutPrefix(body, "b64/hex:"); ok {
		raw, err := hex.DecodeString(text)
		if err != nil {
			r.t.Fatal(err)
		}
		body = string(raw)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", e.Method, r.translate(e.Path))
	switch secret, known := r.secret[e.As]; {
	case known:
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", secret)
	case e.As != "":
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", r.translate(e.As))
	}
	chunked := false
	for i := 0; i < len(e.Headers); i += 2 {
		chunked = chunked || e.Headers[i] == "Transfer-Encoding"
		if e.Headers[i] != "Content-Length" {
			fmt.Fprintf(&b, "%s: %s\r\n", e.Headers[i], strings.ReplaceAll(e.Headers[i+1], "<admin>", r.secret["admin"]))
		}
	}
	if !chunked && (body != "" || e.Method == http.MethodPost) {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, b.String()+"\r\n"+body); err != nil {
		r.t.Fatalf("%s: %v", e.Name, err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: e.Method})
	if err != nil {
		r.t.Fatalf("%s: %v", e.Name, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatalf("%s: %v", e.Name, err)
	}
	return reply{res.StatusCode, res.Header, string(answer), true}
}

// id is the session that a request is about.
func (e *recorded) id() string {
	if m := idInRequest.FindStringSubmatch(e.Path + " " + e.Body); m != nil {
		return m[1]
	}
	return ""
}

// created is what the answer to a write gives away.
type created struct{ SessionID, SessionToken string }

// follow lets both have the same sessions after an exchange, whatever the
// differences are.
func (r *replay) follow(i int, got reply, known *difference) {
	e := &r.list[i]
	var theirs, ours created
	_ = json.Unmarshal([]byte(e.Answer), &theirs)
	_ = json.Unmarshal([]byte(got.body), &ours)
	good := func(status int) bool { return status/100 == 2 }
	remove := func(id string) { r.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+id, "") }
	switch {
	case ours.SessionID != "" && theirs.SessionID == "":
		remove(ours.SessionID)
	case e.Method == http.MethodPut && good(got.status):
		remove(strings.TrimPrefix(e.Path, "/v2/sessions/"))
	case e.Method == http.MethodDelete && good(e.Status) && !good(got.status):
		remove(r.translate(e.id()))
	case good(e.Status) && !good(got.status), known != nil && known.stored:
		r.mirror(i)
	case good(e.Status):
		if theirs.SessionID != "" {
			r.ours[theirs.SessionID] = ours.SessionID
		}
		if theirs.SessionToken != "" && ours.SessionToken != "" {
			r.ours[theirs.SessionToken] = ours.SessionToken
		}
	}
}

// mirror puts the session that an exchange has written as ZITADEL tells it next,
// with the token that it has then.
func (r *replay) mirror(i int) {
	e := &r.list[i]
	var written created
	_ = json.Unmarshal([]byte(e.Answer), &written)
	id := written.SessionID
	if id == "" && (e.Method == http.MethodPatch || strings.HasSuffix(e.Path, "/SetSession")) {
		id = e.id()
	}
	if id == "" {
		return
	}
	body := map[string]any{}
	if m := changeDate.FindStringSubmatch(e.Answer); m != nil && written.SessionID != "" {
		body["creationDate"] = m[1]
	}
	for _, later := range r.list[i:] {
		var told struct{ Session map[string]any }
		if later.Method == http.MethodGet && strings.Contains(later.Path, "/sessions/"+id) && json.Unmarshal([]byte(later.Answer), &told) == nil && told.Session != nil {
			body = told.Session
			break
		}
	}
	delete(body, "sequence") // it counts events, and must not go down
	delete(body, "id")       // ours is another
	if written.SessionToken != "" {
		delete(r.ours, written.SessionToken)
		body["tokenSha256"] = fmt.Sprintf("%x", session.HashToken(written.SessionToken))
	}
	creator := map[string]string{"admin": recordedAdmin, "login": recordedLogin}[e.As]
	if e.Method == http.MethodPost {
		body["creator"] = creator
	}
	text, err := json.Marshal(body)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := r.do("admin", "PUT", "/v2/sessions/"+r.translate(id), string(text)); got.status/100 != 2 {
		r.t.Errorf("%s: putting the session that ZITADEL has: %d %s", e.Name, got.status, got.body)
	}
}
