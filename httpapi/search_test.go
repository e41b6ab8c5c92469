package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/request"
)

// found is a ListSessionsResponse, as far as tests look at it.
type found struct {
	Details struct {
		TotalResult       string
		ProcessedSequence string
		Timestamp         string
	}
	Sessions []struct{ ID string }
}

// search returns the IDs of a search, in order, and its total.
func (f *fixture) search(as, body string) (ids []string, total int) {
	f.t.Helper()
	r := f.want(http.StatusOK, as, "POST", "/v2/sessions/search", body)
	var got found
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		f.t.Fatal(err)
	}
	for _, s := range got.Sessions {
		ids = append(ids, s.ID)
	}
	total, err := strconv.Atoi(got.Details.TotalResult)
	if err != nil {
		f.t.Fatal(err)
	}
	return ids, total
}

// searchSessions are six sessions, a second apart; only the last two are of the
// same instant.
var searchSessions = []string{
	`{"id":"s1","creationDate":"2050-01-01T00:00:01Z","creator":"c1","factors":{"user":{"id":"u1"}},"userAgent":{"fingerprintId":"fp-alice"},"expirationDate":"2050-06-01T00:00:00Z"}`,
	`{"id":"s2","creationDate":"2050-01-01T00:00:02Z","creator":"c1","factors":{"user":{"id":"u2"}},"userAgent":{"fingerprintId":"fp-alice"},"expirationDate":"2050-07-01T00:00:00Z"}`,
	`{"id":"s3","creationDate":"2050-01-01T00:00:03Z","creator":"svc-admin","factors":{"user":{"id":"u1"}},"userAgent":{"fingerprintId":"fp-2"}}`,
	`{"id":"s4","creationDate":"2050-01-01T00:00:04.000001Z","creator":"c2","userAgent":{"fingerprintId":"fp-2"}}`,
	`{"id":"s5","creationDate":"2050-01-01T00:00:05Z","creator":"c2","factors":{"user":{"id":"u1"}}}`,
	`{"id":"s6","creationDate":"2050-01-01T00:00:05Z","creator":"c2","factors":{"user":{"id":"u3"}},"expirationDate":"2300-01-01T00:00:00Z"}`,
}

// Every row of the search semantics.
func TestSearchSemantics(t *testing.T) {
	creation := func(date, method string) string {
		return `{"queries":[{"creationDateQuery":{"creationDate":"` + date + `","method":"TIMESTAMP_QUERY_METHOD_` + method + `"}}]}`
	}
	expiration := func(date, method string) string {
		return `{"queries":[{"expirationDateQuery":{"expirationDate":"` + date + `","method":"TIMESTAMP_QUERY_METHOD_` + method + `"}}]}`
	}
	rows := []struct {
		name, as, body, want string
		total                int // -1: as many as in want
	}{
		{"all, newest first, ties by ID", "admin", `{}`, "s6 s5 s4 s3 s2 s1", -1},
		{"oldest first", "admin", `{"query":{"asc":true}}`, "s1 s2 s3 s4 s5 s6", -1},
		{"without a sorting column the same order", "admin", `{"sortingColumn":0}`, "s6 s5 s4 s3 s2 s1", -1},
		{"a page", "admin", `{"query":{"offset":1,"limit":2}}`, "s5 s4", 6},
		{"a page as strings", "admin", `{"query":{"offset":"1","limit":"2"}}`, "s5 s4", 6},
		{"limit 0 is the default", "admin", `{"query":{"limit":0}}`, "s6 s5 s4 s3 s2 s1", -1},
		{"exactly the maximum", "admin", `{"query":{"limit":1000}}`, "s6 s5 s4 s3 s2 s1", -1},
		{"past the end", "admin", `{"query":{"offset":6}}`, "", 6},
		{"far past the end", "admin", `{"query":{"offset":"100000"}}`, "", 6},
		{"and", "admin", `{"queries":[{"userIdQuery":{"id":"u1"}},{"userAgentQuery":{"fingerprintId":"fp-2"}}]}`, "s3", -1},
		{"the same kind twice", "admin", `{"queries":[{"userIdQuery":{"id":"u1"}},{"userIdQuery":{"id":"u2"}}]}`, "", -1},
		{"ids, unknown skipped, duplicates once", "admin", `{"queries":[{"idsQuery":{"ids":["s2","nope","s2","s5","not/an/id",""]}}]}`, "s5 s2", -1},
		{"ids twice", "admin", `{"queries":[{"idsQuery":{"ids":["s2","s5"]}},{"idsQuery":{"ids":["s5","s1"]}}]}`, "s5", -1},
		{"no ids", "admin", `{"queries":[{"idsQuery":{"ids":[]}}]}`, "", -1},
		{"ids not given", "admin", `{"queries":[{"idsQuery":{}}]}`, "", -1},
		{"user", "admin", `{"queries":[{"userIdQuery":{"id":"u1"}}]}`, "s5 s3 s1", -1},
		{"empty user", "admin", `{"queries":[{"userIdQuery":{"id":""}}]}`, "", -1},
		{"user not given", "admin", `{"queries":[{"userIdQuery":{}}]}`, "", -1},
		{"null is no second query", "admin", `{"queries":[{"userIdQuery":{"id":"u1"},"creatorQuery":null}]}`, "s5 s3 s1", -1},
		{"snake case", "admin", `{"queries":[{"user_id_query":{"id":"u1"}}],"query":{"asc":true}}`, "s1 s3 s5", -1},
		{"creator", "admin", `{"queries":[{"creatorQuery":{"id":"c2"}}]}`, "s6 s5 s4", -1},
		{"the caller as creator", "admin", `{"queries":[{"creatorQuery":{}}]}`, "s3", -1},
		{"the caller as creator by null", "admin", `{"queries":[{"creatorQuery":{"id":null}}]}`, "s3", -1},
		{"user agent", "admin", `{"queries":[{"userAgentQuery":{"fingerprintId":"fp-2"}}]}`, "s4 s3", -1},
		{"the caller's user agent", "alice", `{"queries":[{"userAgentQuery":{}}]}`, "s2 s1", -1},
		{"created then", "admin", creation("2050-01-01T00:00:03Z", "EQUALS"), "s3", -1},
		{"created then, another offset", "admin", creation("2050-01-01T02:00:03+02:00", "EQUALS"), "s3", -1},
		{"equality is the default", "admin", `{"queries":[{"creationDateQuery":{"creationDate":"2050-01-01T00:00:03Z"}}]}`, "s3", -1},
		{"a date not given is the epoch", "admin", `{"queries":[{"creationDateQuery":{"method":1}}]}`, "s6 s5 s4 s3 s2 s1", -1},
		{"a date not given is the epoch, and nothing equals it", "admin", `{"queries":[{"creationDateQuery":{}}]}`, "", -1},
		{"created after", "admin", creation("2050-01-01T00:00:04.000001Z", "GREATER"), "s6 s5", -1},
		{"created after, finer than is kept", "admin", creation("2050-01-01T00:00:04.000000999Z", "GREATER"), "s6 s5 s4", -1},
		{"created since", "admin", creation("2050-01-01T00:00:04.000001Z", "GREATER_OR_EQUALS"), "s6 s5 s4", -1},
		{"created since, finer than is kept", "admin", creation("2050-01-01T00:00:04.000001001Z", "GREATER_OR_EQUALS"), "s6 s5", -1},
		{"created before", "admin", creation("2050-01-01T00:00:02Z", "LESS"), "s1", -1},
		{"created until", "admin", creation("2050-01-01T00:00:02Z", "LESS_OR_EQUALS"), "s2 s1", -1},
		{"nothing equals what is finer than is kept", "admin", creation("2050-01-01T00:00:03.000000001Z", "EQUALS"), "", -1},
		{"a range", "admin", `{"queries":[{"creationDateQuery":{"creationDate":"2050-01-01T00:00:02Z","method":2}},{"creationDateQuery":{"creationDate":"2050-01-01T00:00:05Z","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]}`, "s4 s3 s2", -1},
		{"ends after: what never ends too", "admin", expiration("2050-06-01T00:00:00Z", "GREATER"), "s6 s5 s4 s3 s2", -1},
		{"ends since: what never ends too", "admin", expiration("2050-06-01T00:00:00Z", "GREATER_OR_EQUALS"), "s6 s5 s4 s3 s2 s1", -1},
		{"active sessions", "admin", expiration("2050-01-02T00:00:00Z", "GREATER"), "s6 s5 s4 s3 s2 s1", -1},
		{"ends before: never what never ends", "admin", expiration("2050-07-01T00:00:00Z", "LESS"), "s1", -1},
		{"ends until: never what never ends", "admin", expiration("2050-07-01T00:00:00Z", "LESS_OR_EQUALS"), "s2 s1", -1},
		{"ends then", "admin", expiration("2050-07-01T00:00:00Z", "EQUALS"), "s2", -1},
		{"ended long ago", "admin", expiration("2000-01-01T00:00:00Z", "LESS"), "", -1},
		{"the total has only what the caller may see", "alice", `{"query":{"limit":1}}`, "s2", 2},
		{"a limit of one's own", "nobody", `{}`, "", 0},
	}
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", strings.Join(searchSessions, "\n"))
		for _, row := range rows {
			got, total := f.search(row.as, row.body)
			if row.total < 0 {
				row.total = len(strings.Fields(row.want))
			}
			if !slices.Equal(got, strings.Fields(row.want)) || total != row.total {
				t.Errorf("%s: %s: got %v of %d, want [%s] of %d", row.name, row.body, got, total, row.want, row.total)
			}
		}
	})
}

// A session that has ended is gone at that instant, by the store's clock.
func TestI1_EndedSessionsAreGone(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/a", `{"expirationDate":"2050-01-02T03:04:05.000001Z"}`)
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/b", `{"expirationDate":"2050-01-02T03:04:05.000002Z"}`)
		if got, total := f.search("admin", `{}`); total != 2 || len(got) != 2 {
			t.Errorf("before: %v of %d", got, total)
		}
		f.advance(1000)
		if got, total := f.search("admin", `{}`); total != 1 || !slices.Equal(got, []string{"b"}) {
			t.Errorf("after: %v of %d", got, total)
		}
		f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/a", "")
		f.want(http.StatusOK, "admin", "GET", "/v2/sessions/b", "")
	})
}

// An offset may be any with one shard; over several, a far one is refused.
func TestSearchFarOffset(t *testing.T) {
	far := `{"query":{"offset":"18446744073709551615"}}`
	if got, total := newFixture(t).search("admin", far); len(got) != 0 || total != 0 {
		t.Errorf("got %v of %d", got, total)
	}
	r := newFixture(t, withShards(4)).want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/search", far)
	if !strings.Contains(r.body, "query.offset") || !strings.Contains(r.body, "100000") {
		t.Errorf("%s names neither field nor limit", r.body)
	}
}

// The configured limits of pages are used.
func TestSearchLimits(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.config.DefaultLimit, s.config.MaxLimit = 2, 3 })
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", strings.Join(searchSessions, "\n"))
	for body, want := range map[string]int{`{}`: 2, `{"query":{"limit":1}}`: 1, `{"query":{"limit":3}}`: 3} {
		if got, total := f.search("admin", body); len(got) != want || total != 6 {
			t.Errorf("%s: got %d of %d, want %d of 6", body, len(got), total, want)
		}
	}
	f.want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/search", `{"query":{"limit":4}}`)
	f.want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/search", `{"query":{"limit":4294967295}}`)

	queries := strings.Repeat(`{"userIdQuery":{"id":"u1"}},`, request.MaxQueries)
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", `{"queries":[`+strings.TrimSuffix(queries, ",")+`]}`)
	r := f.want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/search", `{"queries":[`+queries+`{"userIdQuery":{"id":"u1"}}]}`)
	if !strings.Contains(r.body, fmt.Sprintf("at most %d", request.MaxQueries)) {
		t.Errorf("too many queries: %s does not name the limit", r.body)
	}
}
