package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Sessions that were all created at once, such as by an import, end in one pass: what was deleted of a page moves the rest up.
func TestUpstreamRevoke_OfOneCreationDate(t *testing.T) {
	var mu sync.Mutex
	var ids []string
	lists := 0
	for i := range 1000 {
		ids = append(ids, fmt.Sprint(400000000000000000+i))
	}
	z := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var q struct {
			SessionID string
			Query     struct{ Offset, Limit int }
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/DeleteSession") {
			ids = slices.DeleteFunc(ids, func(id string) bool { return id == q.SessionID })
			_, _ = w.Write([]byte(`{"details":{}}`))
			return
		}
		lists++
		from := min(q.Query.Offset, len(ids))
		var page []string
		for _, id := range ids[from:min(from+q.Query.Limit, len(ids))] {
			page = append(page, `{"id":"`+id+`","creationDate":"2026-01-01T00:00:00Z"}`)
		}
		_, _ = fmt.Fprintf(w, `{"details":{"totalResult":"%d"},"sessions":[%s]}`, len(ids), strings.Join(page, ","))
	}))
	t.Cleanup(z.Close)
	client := clientOf(t, z.URL, "a-token")
	f := newUpstreamFixture(t, func(s *setup) { s.config.Upstream = client })
	if n := f.revoke("admin", `{"all":true}`); n != 1000 || len(ids) > 0 || lists > 13 {
		t.Errorf("%d were revoked, %d are left, by %d lists", n, len(ids), lists)
	}
}
