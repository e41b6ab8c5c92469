package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// cursorPage is one page of a search by cursor, as far as tests look at it.
type cursorPage struct {
	ids   []string
	total string
	next  string // "" if there is no nextCursor
}

// cursorCall asks for a page in one of the ways that lead to ListSessions.
type cursorCall func(f *fixture, as, body string) reply

var cursorCalls = map[string]cursorCall{
	"v2":             func(f *fixture, as, body string) reply { return f.do(as, "POST", "/v2/sessions/search", body) },
	"v2beta":         func(f *fixture, as, body string) reply { return f.do(as, "POST", "/v2beta/sessions/search", body) },
	"Connect v2":     func(f *fixture, as, body string) reply { return f.connect(as, "v2", "ListSessions", body) },
	"Connect v2beta": func(f *fixture, as, body string) reply { return f.connect(as, "v2beta", "ListSessions", body) },
}

// turn asks for one page.
func (f *fixture) turn(call cursorCall, as, body string) cursorPage {
	f.t.Helper()
	r := call(f, as, body)
	if r.status != http.StatusOK {
		f.t.Fatalf("%s: got %d %s", body, r.status, r.body)
	}
	var got struct {
		Details  struct{ TotalResult, NextCursor string }
		Sessions []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		f.t.Fatal(err)
	}
	if (got.Details.NextCursor != "") != strings.Contains(r.body, "nextCursor") {
		f.t.Errorf("%s: an empty nextCursor in %s", body, r.body)
	}
	p := cursorPage{total: got.Details.TotalResult, next: got.Details.NextCursor}
	for _, s := range got.Sessions {
		p.ids = append(p.ids, s.ID)
	}
	return p
}

// Pages by cursor, by every protocol and version, while sessions come and go.
func TestI9_PagesByCursor(t *testing.T) {
	const n = 23
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		round := 0
		for name, call := range cursorCalls {
			for _, ascending := range []bool{true, false} {
				for _, queries := range []string{``, `,"queries":[{"user_id_query":{"id":"u1"}}]`} {
					round++
					var lines, want []string
					for i := range n { // three of one date each
						want = append(want, fmt.Sprintf("r%02d-%02d", round, i))
						lines = append(lines, fmt.Sprintf(`{"id":"r%02d-%02d","creationDate":"2050-01-01T00:00:%02dZ","factors":{"user":{"id":"u1"}}}`, round, i, i/3))
					}
					behind := `{"creationDate":"2049-01-01T00:00:00Z","factors":{"user":{"id":"u1"}}}`
					if !ascending {
						slices.Reverse(want)
						behind = strings.Replace(behind, "2049", "2051", 1)
					}
					f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", strings.Join(lines, "\n"))
					var got []string
					next := ""
					for page := 0; page == 0 || next != "" && len(got) < n; page++ {
						p := f.turn(call, "admin", fmt.Sprintf(`{"query":{"cursor":%q,"limit":4,"asc":%v}%s}`, next, ascending, queries))
						got, next = append(got, p.ids...), p.next
						if len(p.ids) == 0 {
							t.Fatalf("%s: page %d is empty after %v", name, page, got)
						}
						if len(p.ids) != 4 && page != n/4 {
							t.Fatalf("%s: page %d has %v", name, page, p.ids)
						}
						// The session that the cursor stands on goes, and another one comes where
						// the search has been already.
						f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+p.ids[len(p.ids)-1], "")
						f.want(http.StatusCreated, "admin", "PUT", fmt.Sprintf("/v2/sessions/r%02d-new-%d", round, page), behind)
						if p.total != fmt.Sprint(n) {
							t.Errorf("%s: page %d: total %s, want %d", name, page, p.total, n)
						}
					}
					if next != "" { // announced, and nothing is there
						p := f.turn(call, "admin", fmt.Sprintf(`{"query":{"cursor":%q,"limit":4,"asc":%v}%s}`, next, ascending, queries))
						if len(p.ids) != 0 || p.next != "" {
							t.Errorf("%s: %v and %q follow the last page", name, p.ids, p.next)
						}
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s, ascending %v%s: %v, want %v", name, ascending, queries, got, want)
					}
					f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"all":true}`)
				}
			}
		}
	})
}

// Without a cursor, null included, nothing of it is in the answer. The first page
// by cursor is the same except for nextCursor, and the whole on one page is the same.
func TestCursorOnlyIfAsked(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", strings.Join(searchSessions, "\n"))
		ask := func(body string) string {
			return f.want(http.StatusOK, "admin", "POST", "/v2/sessions/search", body).body
		}
		plain := ask(`{"query":{"limit":2}}`)
		if strings.Contains(plain, "ursor") {
			t.Errorf("without a cursor: %s", plain)
		}
		for _, body := range []string{`{"query":{"limit":2,"cursor":null}}`, `{"query":{"limit":2,"offset":0}}`} {
			if got := ask(body); got != plain {
				t.Errorf("%s: %s, want %s", body, got, plain)
			}
		}
		first := ask(`{"query":{"limit":2,"cursor":"","offset":"0"}}`)
		head, rest, ok := strings.Cut(first, `,"nextCursor":"`)
		_, rest, _ = strings.Cut(rest, `"`)
		if !ok || head+rest != plain {
			t.Errorf("the first page is %s, want %s with a nextCursor", first, plain)
		}
		for _, limit := range []string{"6", "7", "0"} {
			all := `{"query":{"limit":` + limit
			if got, want := ask(all+`,"cursor":""}}`), ask(all+`}}`); got != want {
				t.Errorf("the last page is %s, want %s", got, want)
			}
		}
	})
}

func TestCursorRefusals(t *testing.T) {
	f := newFixture(t)
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", strings.Join(searchSessions, "\n"))
	user := `"queries":[{"userIdQuery":{"id":"u1"}}]`
	good := f.turn(cursorCalls["v2"], "admin", `{"query":{"cursor":"","limit":1},`+user+`}`).next
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(b []byte) []byte) string {
		return base64.RawURLEncoding.EncodeToString(change(slices.Clone(raw)))
	}
	const malformed, other = `must be \"\", which begins, or the nextCursor of an answer`, "comes from a search with other queries or in another order"
	query := func(cursor, more string) string {
		return fmt.Sprintf(`{"query":{"cursor":%q,"limit":1%s},%s}`, cursor, more, user)
	}
	rows := []struct{ name, as, body, problem string }{
		{"a word", "admin", query("next", ""), malformed},
		{"cut", "admin", query(good[:len(good)-20], ""), malformed},
		{"padded", "admin", query(good+"=", ""), malformed},
		{"a line break in it", "admin", query(good[:9]+"\n"+good[9:], ""), malformed},
		{"another version", "admin", query(changed(func(b []byte) []byte { b[0]++; return b }), ""), malformed},
		{"no session", "admin", query(changed(func(b []byte) []byte { return b[:17] }), ""), malformed},
		{"an ID that no session can have", "admin", query(changed(func(b []byte) []byte { return append(b, '/') }), ""), malformed},
		{"a date before 1970", "admin", query(changed(func(b []byte) []byte { b[9] = 0x80; return b }), ""), malformed},
		{"a date that is too late", "admin", query(changed(func(b []byte) []byte { b[9] = 0x40; return b }), ""), malformed},
		{"much", "admin", query(strings.Repeat(good, 1000), ""), malformed},
		{"another direction", "admin", query(good, `,"asc":true`), other},
		{"its direction turned", "admin", query(changed(func(b []byte) []byte { b[0] ^= 0x80; return b }), ""), other},
		{"no queries", "admin", `{"query":{"cursor":"` + good + `"}}`, other},
		{"another user", "admin", strings.Replace(query(good, ""), "u1", "u2", 1), other},
		{"one query more", "admin", strings.Replace(query(good, ""), `"queries":[`, `"queries":[{"creationDateQuery":{"method":1}},`, 1), other},
		{"not a string", "admin", `{"query":{"cursor":1}}`, "query.cursor: must be a string"},
		{"twice", "admin", `{"query":{"cursor":"","cursor":""}}`, "query.cursor: is given twice"},
		{"an offset at the beginning", "admin", query("", `,"offset":1`), "invalid query.offset: must be 0 where there is a query.cursor"},
		{"an offset", "admin", query(good, `,"offset":"3"`), "invalid query.offset: must be 0 where there is a query.cursor"},
	}
	for _, row := range rows {
		for name, call := range cursorCalls {
			r := call(f, row.as, row.body)
			problem := row.problem
			if problem == malformed || problem == other {
				problem = "invalid query.cursor: " + problem
			}
			if r.status != http.StatusBadRequest || !strings.Contains(r.body, problem) {
				t.Errorf("%s, %s: got %d %s, want %s", row.name, name, r.status, r.body, problem)
			}
			if strings.Contains(r.body, good) {
				t.Errorf("%s, %s: the refusal repeats the cursor", row.name, name)
			}
		}
	}
	// An end other than that of the page that it came with: the limit may change.
	p := f.turn(cursorCalls["v2"], "admin", fmt.Sprintf(`{"query":{"cursor":%q,"limit":5},%s}`, good, user))
	if !slices.Equal(p.ids, []string{"s3", "s1"}) || p.next != "" {
		t.Errorf("got %+v", p)
	}
}

// A cursor is a place, not a right: what another caller gets with it is what that
// caller may see.
func TestCursorGrantsNothing(t *testing.T) {
	f := newFixture(t)
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", strings.Join(searchSessions, "\n"))
	v2 := cursorCalls["v2"]
	first := f.turn(v2, "admin", `{"query":{"cursor":"","limit":1}}`)
	rest := fmt.Sprintf(`{"query":{"cursor":%q}}`, first.next)
	if p := f.turn(v2, "reader", rest); len(p.ids) != 5 || p.total != "6" {
		t.Errorf("the reader gets %+v", p)
	}
	if p := f.turn(v2, "alice", rest); !slices.Equal(p.ids, []string{"s2", "s1"}) || p.total != "2" {
		t.Errorf("alice gets %+v", p)
	}
	if p := f.turn(v2, "nobody", rest); len(p.ids) != 0 || p.total != "0" {
		t.Errorf("nobody gets %+v", p)
	}
	// "Created by me" is another search for each caller.
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/mine", `{}`)
	mine := f.turn(v2, "admin", `{"query":{"cursor":"","limit":1},"queries":[{"creatorQuery":{}}]}`).next
	r := f.want(http.StatusBadRequest, "reader", "POST", "/v2/sessions/search", fmt.Sprintf(`{"query":{"cursor":%q},"queries":[{"creatorQuery":{}}]}`, mine))
	if !strings.Contains(r.body, "other queries") {
		t.Errorf("got %s", r.body)
	}
}
