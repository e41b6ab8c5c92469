package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
)

// The page that is kept of a search is no other caller's, nor that of another version of the API or of another body: what each is
// answered is what it is answered without copies.
func TestI6_AKeptPageIsThatOfOneSearch(t *testing.T) {
	f := newNearFixture(t)
	for i, document := range []string{
		`{"factors":{"user":{"id":"u1","organizationId":"org-1"}},"userAgent":{"fingerprintId":"fp-alice"}}`,
		`{"factors":{"user":{"id":"u1","organizationId":"org-2"}}}`,
	} {
		for _, as := range []string{"admin", "writer"} { // who created it
			f.want(http.StatusCreated, as, "PUT", fmt.Sprintf("/v2/sessions/kept-%s-%d", as, i), document)
		}
	}
	at := regexp.MustCompile(`"timestamp":"[^"]*"`)
	kept := func() uint64 { return f.store.NearStats().Pages.Hits }
	const own = `{"queries":[{"userIdQuery":{"id":"u1"}},{"%s":{}}]}`
	answers := map[string]string{}
	for range 3 { // the first makes copies, the second keeps the page
		for _, body := range []string{searchU1, fmt.Sprintf(own, "creatorQuery"), fmt.Sprintf(own, "userAgentQuery"), `{"query":{"limit":1},` + searchU1[1:]} {
			for _, path := range []string{"/v2/sessions/search", "/v2beta/sessions/search", "/zitadel.session.v2.SessionService/ListSessions", "/zitadel.session.v2beta.SessionService/ListSessions"} {
				for _, as := range []string{"admin", "reader", "org", "nobody", "alice"} {
					name := strings.Join([]string{as, path, body}, " ")
					got := f.do(as, "POST", path, body, "Content-Type", "application/json")
					fresh := f.do(as, "POST", path, body, "Content-Type", "application/json", "Session-Consistency", "fresh")
					if got.status != fresh.status || at.ReplaceAllString(got.body, "") != at.ReplaceAllString(fresh.body, "") {
						t.Errorf("%s:\n%d %s\nfresh:\n%d %s", name, got.status, got.body, fresh.status, fresh.body)
					}
					answers[name] = at.ReplaceAllString(got.body, "")
				}
			}
		}
	}
	// Another key of the same user may see less.
	narrow := caller.APIKey{Name: "narrow", UserID: "svc-admin", Permissions: []string{"session.read@org-1"}}
	f.secret[narrow.Name], narrow.SHA256 = caller.NewAPIKeySecret()
	text, err := caller.AppendAPIKey(nil, narrow)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := caller.ParseAPIKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	f.server.Callers.SetKeys(keys)
	got := f.want(http.StatusOK, "narrow", "POST", "/v2/sessions/search", searchU1)
	fresh := f.want(http.StatusOK, "narrow", "POST", "/v2/sessions/search", searchU1, "Session-Consistency", "fresh")
	if at.ReplaceAllString(got.body, "") != at.ReplaceAllString(fresh.body, "") {
		t.Errorf("with another key of the same user: %s, want %s", got.body, fresh.body)
	}
	if kept() == 0 {
		t.Error("no page was kept")
	}
	different := map[string]bool{}
	for _, text := range answers {
		different[text] = true
	}
	if len(different) < 6 {
		t.Errorf("only %d different answers: this shows little", len(different))
	}
}
