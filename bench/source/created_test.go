package source

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Where there is a verify, it is asked, and each session once before the run; elsewhere GetSession is, with the token.
func TestVerify_AsksWhatTheTargetHas(t *testing.T) {
	dataset := filepath.Join(t.TempDir(), "sessions")
	if err := os.WriteFile(dataset, []byte(`{"id":"1","token":"t1","userId":"7"}`+"\n"+`{"id":"2","token":"t2","userId":"7"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var verified, got atomic.Int64
	hasVerify, wrongUser := true, false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := "7"
		if wrongUser {
			user = "8"
		}
		id, token, pair := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ":")
		switch {
		case r.URL.Path == "/version" && hasVerify:
			_, _ = io.WriteString(w, `{"version":"1"}`)
		case r.URL.Path == "/verify" && hasVerify && pair && token == "t"+id:
			verified.Add(1)
			w.Header().Set("X-Session-User", user)
			_, _ = fmt.Fprintf(w, `{"active":true,"subject":"%s","id":"%s"}`, user, id)
		case strings.HasPrefix(r.URL.Path, "/v2/sessions/"):
			id := r.URL.Path[len("/v2/sessions/"):]
			if r.URL.Query().Get("sessionToken") == "t"+id || r.URL.RawQuery == "" {
				got.Add(1)
				_, _ = fmt.Fprintf(w, `{"session":{"id":"%s","factors":{"user":{"id":"%s"}}}}`, id, user)
				return
			}
			w.WriteHeader(http.StatusForbidden)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	f := Flags{Target: server.URL, Scenario: "verify", Connections: 1, Seconds: 1, Timeout: 1, Sessions: 5, Limit: 1, VerifySessions: 1}
	f.Created.Dataset = dataset
	if _, err := f.Open(t.Context()); err != nil || verified.Load() != 2 || got.Load() != 2 {
		t.Errorf("with a verify: %d verifies, %d Gets, %v", verified.Load(), got.Load(), err)
	}
	hasVerify = false
	if _, err := f.Open(t.Context()); err != nil || verified.Load() != 2 || got.Load() != 6 {
		t.Errorf("without: %d verifies, %d Gets, %v", verified.Load(), got.Load(), err)
	}
	for _, hasVerify = range []bool{true, false} {
		wrongUser = true
		if _, err := f.Open(t.Context()); err == nil {
			t.Errorf("with a verify %t: another user is taken", hasVerify)
		}
	}
}
