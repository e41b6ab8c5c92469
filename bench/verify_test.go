package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// verified is the answer of a program that finds session i good.
func verified(i int) *answer {
	at := verifyCreated.UnixMilli() + int64(i) + 9000
	return &answer{
		head: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Session-Id: %s\r\nX-Session-User: %s\r\nContent-Length: 9\r\n\r\n", verifySession(i), verifyUser(i)),
		body: fmt.Appendf(nil, `{"active":true,"subject":"%[2]s","sub":"%[2]s","id":"%[1]s","expires_at":"2100-01-01T00:00:00Z","authenticated_at":"2020-01-01T00:00:%02[3]d.%03[4]dZ",`+
			`"identity":{"id":"%[2]s"},"extra":{"session_id":"%[1]s","factors":["password","totp"],"exp":4102444800}}`, verifySession(i), verifyUser(i), at/1000%60, at%1000),
	}
}

func TestVerifySteady_KnowsTheTruth(t *testing.T) {
	config := testConfig()
	config.verifySessions = 500
	s, err := newScenario("verify-steady", config)
	if err != nil {
		t.Fatal(err)
	}
	c := s.client(0, newRand(1, 0))
	for range 100 {
		request, want := c.next(nil)
		i := c.(*verifier).current
		if i < 0 || i >= 500 || want != 200 || !bytes.HasPrefix(request, []byte("GET /verify HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer "+verifyToken(i)+"\r\n")) ||
			!bytes.HasSuffix(request, endOfHead) {
			t.Fatalf("session %d, status %d: %s", i, want, request)
		}
		right := verified(i)
		if err := c.check(right); err != nil {
			t.Fatal(err)
		}
		if err := c.deep()(right.body); err != nil {
			t.Fatal(err)
		}
		other := verified((i + 1) % 500)
		for name, wrong := range map[string]*answer{
			"another session":    other,
			"another body":       {head: right.head, body: other.body},
			"another user":       {head: other.head, body: right.body},
			"no header":          {head: []byte("HTTP/1.1 200 OK\r\n\r\n"), body: right.body},
			"not active":         {head: right.head, body: bytes.Replace(right.body, []byte("true"), []byte("false"), 1)},
			"a baseline's bytes": {head: right.head, body: []byte(`{"pad":"xxx"}`)},
		} {
			if c.check(wrong) == nil {
				t.Fatalf("%s is right", name)
			}
		}
		for _, part := range []string{`true`, verifyUser(i), verifySession(i), `"password",`, `2100-`, `2020-`, `4102444800`} {
			if c.deep()(bytes.ReplaceAll(right.body, []byte(part), []byte("0"))) == nil {
				t.Fatalf("an answer without %s is right", part)
			}
		}
	}
}

// Its sessions may not change what the other scenarios find.
func TestVerifySteady_SessionsOfTheirOwn(t *testing.T) {
	for i := range 20 {
		var s struct {
			sessionJSON
			Creator, TokenSha256 string
		}
		if err := json.Unmarshal(appendVerifySession(nil, i), &s); err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256([]byte(verifyToken(i)))
		if s.ID != verifySession(i) || s.TokenSha256 != hex.EncodeToString(hash[:]) || len(verifyToken(i)) != len(s.ID)+1+43 {
			t.Fatalf("session %s has another token than %s", s.ID, verifyToken(i))
		}
		if sessionNumber(s.ID) >= 0 || strings.HasPrefix(s.Factors.User.ID, userPrefix) || strings.HasPrefix(s.Factors.User.ID, createdPrefix) ||
			strings.HasPrefix(s.Creator, creatorPrefix) || s.UserAgent.FingerprintID == testData.fingerprint(i, 0) || s.CreationDate >= date(testData.created(0)) {
			t.Errorf("%+v may be found as a session of the dataset", s)
		}
	}
}

func TestVerifySteady_StoresItsSessions(t *testing.T) {
	stored := map[string]bool{}
	var asked atomic.Int64
	imports, lose := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/version":
			_, _ = io.WriteString(w, `{"version":"1"}`)
		case r.URL.Path == "/v2/sessions/import":
			body, _ := io.ReadAll(r.Body)
			imports++
			clear(stored)
			for line := range bytes.Lines(body) {
				stored[string(field(line, `"id":"`))] = true
			}
			_, _ = fmt.Fprintf(w, `{"stored":%d}`, len(stored)-lose)
		case r.URL.Path == "/v2/sessions/"+sessionID(testData.sessions-1):
			_, _ = fmt.Fprintf(w, `{"session":{"creationDate":"%s"}}`, date(testData.newest))
		case r.URL.Path == "/verify":
			if !stored[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")[:len(verifySession(0))]] {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			asked.Add(1)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	f := loadFlags{target: server.URL, scenario: "get-hot", connections: 1, seconds: 1, timeout: 1, sessions: testData.sessions, limit: 1, verifySessions: 30}
	if _, err := f.open(t.Context()); err != nil || len(stored) != 0 || asked.Load() != 0 {
		t.Fatalf("get-hot: %d sessions are stored, %v", len(stored), err)
	}
	f.scenario = "verify-steady"
	if _, err := f.open(t.Context()); err != nil || len(stored) != 30 || asked.Load() != 30 || !stored[verifySession(0)] || !stored[verifySession(29)] {
		t.Fatalf("%d sessions are stored, %d asked for, %v", len(stored), asked.Load(), err)
	}
	if _, err := f.open(t.Context()); err != nil || imports != 1 || asked.Load() != 60 {
		t.Errorf("what is there is stored again: %d imports, %d asked for, %v", imports, asked.Load(), err)
	}
	lose = 1
	clear(stored)
	if _, err := f.open(t.Context()); err == nil {
		t.Error("a program that does not store all of them is measured")
	}
}
