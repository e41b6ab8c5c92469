package main

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// What searches and shared round trips count is what /metrics shows.
func TestSearchMetrics(t *testing.T) {
	p := launch(t, append([]string{"serve", "--redis-url", redistest.Start(t).URL(), "--auth-anonymous", "--near-cache-bytes=0", "--search-max-candidates=1"}, quick()...))
	api, admin := p.ready(t)
	for range 2 {
		want(t, 201, "POST", api+"/v2/sessions", `{"checks":{"user":{"userId":"u"}},"lifetime":"3600s"}`)
	}
	for _, queries := range []string{
		`[]`,
		`[{"userIdQuery":{"id":"u"}}]`,
		`[{"userIdQuery":{"id":"u"}},{"userIdQuery":{"id":"v"}}]`,
	} {
		want(t, 200, "POST", api+"/v2/sessions/search", `{"queries":`+queries+`}`)
	}
	want(t, 429, "POST", api+"/v2/sessions/search", `{"queries":[{"expirationDateQuery":{"expirationDate":"2100-01-01T00:00:00Z","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]}`)
	text := want(t, 200, "GET", admin+"/metrics", "")
	for _, line := range []string{
		`cloakroom_searches_total{outcome="answered",plan="user"} 1`,
		`cloakroom_searches_total{outcome="answered",plan="none"} 1`,
		`cloakroom_searches_total{outcome="answered",plan="all"} 1`,
		`cloakroom_searches_total{outcome="too_costly",plan="expiration_date"} 1`,
		`cloakroom_searches_total{outcome="busy",plan="own"} 0`,
		`cloakroom_searches_total{outcome="failed",plan="copy"} 0`,
		`cloakroom_search_candidates_bucket{plan="all",le="10"} 1`,
		`cloakroom_search_candidates_bucket{plan="expiration_date",le="+Inf"} 0`,
		`cloakroom_search_candidates_sum{plan="user"} 2`,
		`cloakroom_search_candidates_count{plan="user"} 1`,
		`cloakroom_costly_searches{state="running"} 0`,
		`cloakroom_costly_searches{state="waiting"} 0`,
		// By user: the list, then the documents. Of all: the documents. By expiration date: the count.
		`cloakroom_batch_calls_total{batch="searches"} 4`,
		`cloakroom_batch_trips_total{batch="searches"} 4`,
		`cloakroom_batch_refused_total{batch="writes"} 0`,
		`cloakroom_batch_queued{batch="reads"} 0`,
		`cloakroom_batch_calls_total{batch="deletions"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if t.Failed() {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "_search") || strings.Contains(line, "cloakroom_batch") {
				t.Log(strings.TrimSpace(line))
			}
		}
	}
}
