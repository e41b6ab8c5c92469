package scenario

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// verified is the answer of a program that finds session i good.
func verified(i int) *load.Answer {
	at := verifyCreated.UnixMilli() + int64(i) + 9000
	return &load.Answer{
		Head: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nX-Session-Id: %s\r\nX-Session-User: %s\r\nContent-Length: 9\r\n\r\n", verifySession(i), verifyUser(i)),
		Body: fmt.Appendf(nil, `{"active":true,"subject":"%[2]s","sub":"%[2]s","id":"%[1]s","expires_at":"2100-01-01T00:00:00Z","authenticated_at":"2020-01-01T00:00:%02[3]d.%03[4]dZ",`+
			`"identity":{"id":"%[2]s"},"extra":{"session_id":"%[1]s","factors":["password","totp"],"exp":4102444800}}`, verifySession(i), verifyUser(i), at/1000%60, at%1000),
	}
}

func TestVerifySteady_KnowsTheTruth(t *testing.T) {
	config := testConfig()
	config.VerifySessions = 500
	s, err := New("verify-steady", config)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Client(0, load.NewRand(1, 0))
	for range 100 {
		request, want := c.Next(nil)
		i := c.(*verifier).current
		if i < 0 || i >= 500 || want != 200 || !bytes.HasPrefix(request, []byte("GET /verify HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer "+verifyToken(i)+"\r\n")) ||
			!bytes.HasSuffix(request, []byte("\r\n\r\n")) {
			t.Fatalf("session %d, status %d: %s", i, want, request)
		}
		right := verified(i)
		if err := c.Check(right); err != nil {
			t.Fatal(err)
		}
		if err := c.Deep()(right.Body); err != nil {
			t.Fatal(err)
		}
		other := verified((i + 1) % 500)
		for name, wrong := range map[string]*load.Answer{
			"another session":    other,
			"another body":       {Head: right.Head, Body: other.Body},
			"another user":       {Head: other.Head, Body: right.Body},
			"no header":          {Head: []byte("HTTP/1.1 200 OK\r\n\r\n"), Body: right.Body},
			"not active":         {Head: right.Head, Body: bytes.Replace(right.Body, []byte("true"), []byte("false"), 1)},
			"a baseline's bytes": {Head: right.Head, Body: []byte(`{"pad":"xxx"}`)},
		} {
			if c.Check(wrong) == nil {
				t.Fatalf("%s is right", name)
			}
		}
		for _, part := range []string{`true`, verifyUser(i), verifySession(i), `"password",`, `2100-`, `2020-`, `4102444800`} {
			if c.Deep()(bytes.ReplaceAll(right.Body, []byte(part), []byte("0"))) == nil {
				t.Fatalf("an answer without %s is right", part)
			}
		}
	}
}

// Its sessions may not change what the other scenarios find.
func TestVerifySteady_SessionsOfTheirOwn(t *testing.T) {
	for i := range 20 {
		var s struct {
			SessionJSON
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
			strings.HasPrefix(s.Creator, creatorPrefix) || s.UserAgent.FingerprintID == testData.fingerprint(i, 0) || s.CreationDate >= Date(testData.Created(0)) {
			t.Errorf("%+v may be found as a session of the dataset", s)
		}
	}
}
