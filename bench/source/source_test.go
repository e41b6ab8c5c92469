package source

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

func TestVerifySteady_StoresItsSessions(t *testing.T) {
	const first, last = "2882600000000000000", "2882600000000000029"
	data := scenario.Dataset{Sessions: 1000, Newest: time.Date(2026, 11, 1, 12, 0, 0, 123000, time.UTC)}
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
				stored[string(scenario.Field(line, `"id":"`))] = true
			}
			_, _ = fmt.Fprintf(w, `{"stored":%d}`, len(stored)-lose)
		case r.URL.Path == "/v2/sessions/"+scenario.SessionID(data.Sessions-1):
			_, _ = fmt.Fprintf(w, `{"session":{"creationDate":"%s"}}`, scenario.Date(data.Newest))
		case r.URL.Path == "/verify":
			if !stored[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")[:len(first)]] {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			asked.Add(1)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	f := Flags{Target: server.URL, Scenario: "get-hot", Connections: 1, Seconds: 1, Timeout: 1, Sessions: data.Sessions, Limit: 1, VerifySessions: 30}
	if _, err := f.Open(t.Context()); err != nil || len(stored) != 0 || asked.Load() != 0 {
		t.Fatalf("get-hot: %d sessions are stored, %v", len(stored), err)
	}
	f.Scenario = "verify-steady"
	if _, err := f.Open(t.Context()); err != nil || len(stored) != 30 || asked.Load() != 30 || !stored[first] || !stored[last] {
		t.Fatalf("%d sessions are stored, %d asked for, %v", len(stored), asked.Load(), err)
	}
	if _, err := f.Open(t.Context()); err != nil || imports != 1 || asked.Load() != 60 {
		t.Errorf("what is there is stored again: %d imports, %d asked for, %v", imports, asked.Load(), err)
	}
	lose = 1
	clear(stored)
	if _, err := f.Open(t.Context()); err == nil {
		t.Error("a program that does not store all of them is measured")
	}
}
