package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// A factor that a mirror dates in the future is stored, and proves nothing until
// one minute before that date by the store's clock: not to verify, its policies or
// the API, and not in a copy that was made earlier. (I1)
func TestI1_VerifyFactorsOfTheFuture(t *testing.T) {
	f := newFixture(t, withVerify, withNear)
	startNear(f, nearRequests(f)["Search"])
	date := func(in time.Duration) string { return f.now().Add(in).Std().Format(time.RFC3339Nano) }
	put := func(token, factors string) {
		t.Helper()
		f.want(http.StatusCreated, "writer", "PUT", "/v2/sessions/"+token,
			fmt.Sprintf(`{"factors":{%s,%s},"tokenSha256":"%x"}`, aliceFactor, factors, session.HashToken(token)))
	}
	refused := func(what string, status int, token, path string) {
		t.Helper()
		if r := f.want(status, token, "GET", path, ""); reasonIn(r) != "predicate" {
			t.Errorf("%s: the reason is %q", what, reasonIn(r))
		}
	}
	put("soon", `"password":{"verifiedAt":"`+date(time.Minute)+`"}`)
	put("later", `"password":{"verifiedAt":"`+date(time.Hour)+`"}`)
	put("both", `"password":{"verifiedAt":"`+date(-time.Hour)+`"},"webAuthN":{"verifiedAt":"`+date(time.Hour)+`"}`)
	for range 3 { // by Redis, and by copies
		f.want(200, "soon", "GET", "/verify/p/recent", "")
		refused("only later", 401, "later", "/verify")
		refused("only later", 401, "later", "/verify/p/recent")
		f.want(401, "later", "GET", "/v2/sessions/later", "")
		refused("too long ago, and later", 403, "both", "/verify/p/recent")
		refused("one later", 403, "both", "/verify/p/strict")
		r := f.want(200, "both", "GET", "/verify/p/lax", "")
		if got := r.header.Get("X-Session-Factors"); got != "password" || strings.Contains(r.body, "webAuthN") {
			t.Errorf("verified are %q, %s", got, r.body)
		}
		if got, want := r.header.Get("X-Session-Auth-Time"), date(-time.Hour); got != want {
			t.Errorf("the last of them at %s, want %s", got, want)
		}
	}
	f.advance(time.Hour - time.Minute - time.Microsecond)
	refused("a microsecond to go", 401, "later", "/verify")
	f.advance(time.Microsecond)
	f.want(200, "later", "GET", "/verify/p/recent", "")
	f.want(200, "later", "GET", "/v2/sessions/later", "")
	f.want(200, "both", "GET", "/verify/p/strict", "")
	f.advance(11*time.Minute + time.Microsecond)
	refused("too long ago", 403, "later", "/verify/p/recent")
}

// No session that is stored has an ID that is the name of a call.
func TestRouteWordsAreNoIDs(t *testing.T) {
	var words []string
	for _, r := range routes {
		if _, word, ok := strings.Cut(r.path, "/sessions/"); ok && !strings.Contains(word, "{") && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	slices.Sort(words)
	if !slices.Equal(words, slices.Sorted(slices.Values(routeWords))) {
		t.Errorf("the routes have %v, refused are %v", words, routeWords)
	}
	for _, word := range words {
		if err := storableID(word); err == nil {
			t.Errorf("%s may be stored", word)
		}
	}
	for _, id := range []string{"Search", "search1", "a"} {
		if err := storableID(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}
