package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// SECURITY.md says who is answered by whom in front of a ZITADEL, and each of its rows is tried.
func TestUpstream_SecurityTable(t *testing.T) {
	f := newUpstreamFixture(t)
	issuer := f.trust(issuersFile)
	f.zitadel.AddUser(zitadeltest.User{ID: "alice", Password: "Password1!", OrganizationID: "org-1"})
	_, sessionToken := f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true})
	callers := map[string]string{
		"none": "",
		"an API key with all permissions for the instance":       "admin",
		"an API key with all permissions for one organization":   "org",
		"an API key without permissions":                         "nobody",
		"a token of an issuer with all permissions":              issuer.Sign(f.claims(issuer, map[string]any{"sub": "x", "roles": []string{"admin"}})),
		"a token of an issuer without permissions, of a user":    issuer.Sign(f.claims(issuer, nil)),
		"a token of an account of ZITADEL that may see sessions": f.zitadel.Login.Token,
		"a token of an account of ZITADEL that may not":          f.zitadel.Nobody.Token,
		"a session token of ZITADEL":                             sessionToken,
		"a token that nobody knows":                              "unknown",
	}
	rows := securityTable(t)
	if len(rows) != len(callers) {
		t.Errorf("the table has %d rows, want %d", len(rows), len(callers))
	}
	for _, row := range rows {
		as, ok := callers[row[0]]
		if !ok {
			t.Errorf("there is no caller for the row %q", row[0])
			continue
		}
		for k, call := range []func(as string) string{f.whoGets, f.whoLists, f.whoWrites, f.whoRevokes} {
			if got := call(as); got != row[1+k] {
				t.Errorf("%s: %s is %q, and SECURITY.md says %q", row[0], []string{"Get", "List", "Create, Set and Delete", "Revoke"}[k], got, row[1+k])
			}
		}
	}
}

// securityTable reads the rows of the table.
func securityTable(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "| credentials | Get | List | Create, Set, Delete | Revoke |\n|---|---|---|---|---|\n")
	if !found {
		t.Fatal("SECURITY.md does not have the table")
	}
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}

// pair makes a session of alice, who is in the organization org-1, and one of somebody else, directly at ZITADEL.
func (f *upstreamFixture) pair() (alices, others string) {
	alices, _ = f.zitadel.CreateSession(zitadeltest.Session{UserID: "alice", Password: true})
	others, _ = f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true})
	return alices, others
}

// who names who has decided, by what is answered here and by ZITADEL itself.
func (f *upstreamFixture) who(as, method, path, body string) string {
	f.t.Helper()
	headers := []string{"Content-Type", "application/json"}
	got := f.do(as, method, path, body, headers...)
	if f.secret[as] != "" || strings.Count(as, ".") == 2 { // nobody at ZITADEL
		return fmt.Sprint(got.status)
	}
	direct := &fixture{t: f.t, url: f.zitadel.URL, client: f.client, secret: map[string]string{}}
	want := direct.do(as, method, path, body, headers...)
	// What succeeds has IDs and tokens that are drawn by chance.
	if got.status == want.status && (got.status < http.StatusMultipleChoices || canonical(f.t, got.body) == canonical(f.t, want.body)) {
		return "ZITADEL"
	}
	return fmt.Sprintf("%d, and ZITADEL says %d", got.status, want.status)
}

// both says of which of two sessions something is so.
func both(alices, others string, yes, no string) string {
	switch {
	case alices == "ZITADEL" && others == "ZITADEL":
		return "ZITADEL"
	case alices == yes && others == yes:
		return "all"
	case alices == yes && others == no:
		return "its own"
	case alices == no && others == no:
		return "no"
	}
	return alices + ", " + others
}

func (f *upstreamFixture) whoGets(as string) string {
	a, b := f.pair()
	return both(f.who(as, "GET", "/v2/sessions/"+a, ""), f.who(as, "GET", "/v2/sessions/"+b, ""), "200", "403")
}

func (f *upstreamFixture) whoLists(as string) string {
	got := f.who(as, "POST", "/v2/sessions/search", `{}`)
	return both(got, got, "200", "403")
}

func (f *upstreamFixture) whoWrites(as string) string {
	a, b := f.pair()
	result := ""
	for _, id := range []string{a, b} {
		for _, write := range [][3]string{
			{"POST", "/v2/sessions", `{"metadata":{"a":"YQ=="}}`}, {"PATCH", "/v2/sessions/" + id, `{"metadata":{"a":"YQ=="}}`}, {"DELETE", "/v2/sessions/" + f.zitadel.NewID(), ""},
		} {
			got := f.who(as, write[0], write[1], write[2])
			if result = strings.TrimPrefix(result, got); result != "" {
				return got + ", " + result
			}
			result = got
		}
	}
	return both(result, result, "200", "403")
}

func (f *upstreamFixture) whoRevokes(as string) string {
	a, b := f.pair()
	r := f.do(as, "POST", "/v2/sessions/revoke", `{"queries":[{"idsQuery":{"ids":["`+a+`","`+b+`"]}}]}`)
	if r.status == http.StatusForbidden || r.status == http.StatusUnauthorized {
		return "no"
	}
	var got struct{ Revoked string }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || r.status != http.StatusOK {
		f.t.Fatalf("%d %s", r.status, r.body)
	}
	left := func(id string) string {
		return fmt.Sprint(f.zitadel.See(f.zitadel.Login.Token, id, "").Status)
	}
	return both(left(a), left(b), "404", "200")
}
