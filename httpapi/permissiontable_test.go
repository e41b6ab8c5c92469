package httpapi

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// tableCaller is a caller as the table of permissions sees it.
type tableCaller struct {
	name, secret string
	user, agent  string
	read, write  []string // "" is the instance, others are organizations
	delete       []string
}

// tableSession is a session that the table names.
type tableSession struct{ id, token, user, org, agent, creator string }

// conditions are the words of the table in docs/api.md. The caller has a
// permission if it has it for the instance or for the session's organization.
var conditions = map[string]func(c *tableCaller, s *tableSession) bool{
	"the caller created it":            func(c *tableCaller, s *tableSession) bool { return c.user == s.creator },
	"it is the caller's user":          func(c *tableCaller, s *tableSession) bool { return s.user != "" && c.user == s.user },
	"it has the caller's user agent":   func(c *tableCaller, s *tableSession) bool { return s.agent != "" && c.agent == s.agent },
	"`session.read`":                   func(c *tableCaller, s *tableSession) bool { return has(c.read, s.org) },
	"`session.write`":                  func(c *tableCaller, s *tableSession) bool { return has(c.write, s.org) },
	"`session.delete`":                 func(c *tableCaller, s *tableSession) bool { return has(c.delete, s.org) },
	"`session.write` for the instance": func(c *tableCaller, _ *tableSession) bool { return slices.Contains(c.write, "") },
}

func has(grants []string, org string) bool {
	return slices.Contains(grants, "") || org != "" && slices.Contains(grants, org)
}

// permissionTable reads the table: who may, by call.
func permissionTable(t *testing.T) map[string]func(*tableCaller, *tableSession) bool {
	t.Helper()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "| call | allowed if any |\n|---|---|\n")
	if !found {
		t.Fatal("docs/api.md has no table of permissions")
	}
	table := map[string]func(*tableCaller, *tableSession) bool{}
	for line := range strings.Lines(rest) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 4 {
			break
		}
		call, any := strings.TrimSpace(cells[1]), strings.Split(strings.TrimSpace(cells[2]), "; ")
		if strings.Contains(call, "with `sessionToken`") { // tested as they stand
			continue
		}
		table[call] = func(c *tableCaller, s *tableSession) bool {
			return slices.ContainsFunc(any, func(words string) bool {
				holds, known := conditions[words]
				if !known {
					t.Fatalf("docs/api.md, %s: a condition that is not tested: %s", call, words)
				}
				return holds(c, s)
			})
		}
	}
	want := []string{"Create, Put, Import", "Delete without, each session of Revoke", "Get without, each row of List", "Set"}
	if len(table) != len(want) || slices.ContainsFunc(want, func(call string) bool { return table[call] == nil }) {
		t.Fatalf("docs/api.md has %d calls in the table of permissions, want %q", len(table), want)
	}
	return table
}

// tableCallers makes every kind of caller: API keys of each relation to
// sessions without a permission, of each permission and scope without a
// relation, both together; tokens of sessions; access tokens of an issuer.
func (f *fixture) tableCallers() (callers []*tableCaller) {
	var text []byte
	key := func(c *tableCaller) {
		secret, hash := caller.NewAPIKeySecret()
		c.secret = secret
		k := caller.APIKey{Name: c.name, UserID: c.user, AgentID: c.agent, SHA256: hash}
		for name, grants := range map[string][]string{"session.read": c.read, "session.write": c.write, "session.delete": c.delete} {
			for _, org := range grants {
				k.Permissions = append(k.Permissions, strings.TrimSuffix(name+"@"+org, "@"))
			}
		}
		var err error
		if text, err = caller.AppendAPIKey(text, k); err != nil {
			f.t.Fatal(err)
		}
		callers = append(callers, c)
	}
	for _, user := range []string{"stranger", "alice", "bob", "carol", "login"} {
		for _, agent := range []string{"", "fp-alice", "fp-other"} {
			key(&tableCaller{name: fmt.Sprintf("key of %s on %q", user, agent), user: user, agent: agent})
		}
	}
	for _, scope := range [][]string{{""}, {"org-1"}, {"org-2"}, {"org-1", "org-2"}, {"org-3"}} {
		key(&tableCaller{name: fmt.Sprintf("reader %q", scope), user: "stranger", read: scope})
		key(&tableCaller{name: fmt.Sprintf("writer %q", scope), user: "stranger", write: scope})
		key(&tableCaller{name: fmt.Sprintf("deleter %q", scope), user: "stranger", delete: scope})
		key(&tableCaller{name: fmt.Sprintf("all three %q", scope), user: "stranger", read: scope, write: scope, delete: scope})
		key(&tableCaller{name: fmt.Sprintf("alice, and all three %q", scope), user: "alice", agent: "fp-alice", read: scope, write: scope, delete: scope})
	}
	admin := &tableCaller{name: "admin", user: "table-admin", read: []string{""}, write: []string{""}, delete: []string{""}}
	key(admin)
	keys, err := caller.ParseAPIKeys(text)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server.Callers.SetKeys(keys)
	f.secret["admin"] = admin.secret

	for _, of := range []tableSession{
		{id: "token-of-alice", user: "alice", org: "org-1", agent: "fp-alice", creator: "nobody"},
		{id: "token-of-bob", user: "bob", org: "org-2", creator: "nobody"},
		{id: "token-of-carol", user: "carol", agent: "fp-other", creator: "nobody"},
	} {
		f.putTable(&of)
		callers = append(callers, &tableCaller{name: of.id, secret: of.token, user: of.user, agent: of.agent})
	}
	issuer := f.trust(issuersFile)
	for _, c := range []struct {
		caller tableCaller
		claims map[string]any
	}{
		{tableCaller{user: "alice", agent: "fp-other"}, map[string]any{"sub": "alice", "agent": "fp-other"}},
		{
			tableCaller{user: "x", read: []string{""}, write: []string{""}, delete: []string{""}},
			map[string]any{"sub": "x", "roles": []string{"admin"}},
		},
		{
			tableCaller{user: "x", read: []string{"org-2"}, delete: []string{"org-2"}},
			map[string]any{"sub": "x", "roles": map[string]any{"support": map[string]any{"org-2": "o"}}},
		},
	} {
		jwt, opaque := c.caller, c.caller
		jwt.name, jwt.secret = fmt.Sprintf("JWT %v", c.claims), issuer.Sign(f.claims(issuer, c.claims))
		opaque.name, opaque.secret = fmt.Sprintf("opaque token %v", c.claims), fmt.Sprintf("opaque-%d", len(callers))
		answer := f.claims(issuer, c.claims)
		answer["active"] = true
		issuer.Opaque(opaque.secret, answer)
		callers = append(callers, &jwt, &opaque)
	}
	return callers
}

// tableSessions makes sessions of every relation.
func (f *fixture) tableSessions() (sessions []*tableSession) {
	for _, user := range [][2]string{{"alice", "org-1"}, {"bob", "org-2"}, {"carol", ""}, {"", ""}} {
		for _, agent := range []string{"", "fp-alice"} {
			for _, creator := range []string{"login", "alice"} {
				s := &tableSession{id: fmt.Sprintf("of-%s-%s-%s", user[0], agent, creator), user: user[0], org: user[1], agent: agent, creator: creator}
				f.putTable(s)
				sessions = append(sessions, s)
			}
		}
	}
	return sessions
}

// body is the session as PUT and Import take it.
func (s *tableSession) body() string {
	body := fmt.Sprintf(`{"creator":%q,"userAgent":{"fingerprintId":%q}`, s.creator, s.agent)
	if s.user != "" {
		body += fmt.Sprintf(`,"factors":{"user":{"id":%q,"organizationId":%q},"password":{}}`, s.user, s.org)
	}
	return body + "}"
}

// putTable stores s, and its token in it, under a new ID if there was one.
func (f *fixture) putTable(s *tableSession) {
	f.t.Helper()
	r := f.do("admin", "PUT", "/v2/sessions/"+s.id+"?issueToken=true", s.body())
	if r.status/100 != 2 {
		f.t.Fatalf("PUT %s: %d %s", s.id, r.status, r.body)
	}
	s.token = newToken.FindStringSubmatch(r.body)[1]
}

// way is one way to call.
type way struct{ prefix, connect string }

var ways = []way{{prefix: "/v2/sessions/"}, {prefix: "/v2beta/sessions/"}, {connect: "v2"}, {connect: "v2beta"}}

// call calls Get, Set or Delete one way or the other; token "" is none.
func (f *fixture) call(w way, c *tableCaller, call, id, token string) reply {
	f.t.Helper()
	if w.connect != "" {
		body := fmt.Sprintf(`{"sessionId":%q}`, id)
		if token != "" {
			body = fmt.Sprintf(`{"sessionId":%q,"sessionToken":%q}`, id, token)
		}
		return f.do(c.secret, "POST", "/zitadel.session."+w.connect+".SessionService/"+call+"Session", body, "Content-Type", contentTypeJSON)
	}
	method, path := map[string]string{"Get": "GET", "Set": "PATCH", "Delete": "DELETE"}[call], w.prefix+id
	if token != "" {
		path += "?sessionToken=" + token
	}
	return f.do(c.secret, method, path, "")
}

// Every row of the table in docs/api.md, with every kind of caller, on every
// kind of session, in every way to call.
func TestPermissionTable(t *testing.T) {
	t.Parallel()
	table := permissionTable(t)
	mayGet, mayPut := table["Get without, each row of List"], table["Create, Put, Import"]
	maySet, mayDelete := table["Set"], table["Delete without, each session of Revoke"]
	f := newFixture(t)
	sessions := f.tableSessions()
	callers := f.tableCallers()
	allowed, denied := 0, 0
	check := func(call string, c *tableCaller, s *tableSession, r reply, may bool, refusal string) {
		t.Helper()
		if may {
			allowed++
		} else {
			denied++
		}
		if may && r.status/100 == 2 || !may && r.status == http.StatusForbidden && strings.Contains(r.body, refusal) {
			return
		}
		t.Errorf("%s of %+v as %+v: got %d %s, it may: %v", call, *s, *c, r.status, r.body, may)
	}
	hasTurn := testdepth.OneIn(t, 2)
	for i, c := range callers {
		if !hasTurn(i) {
			continue
		}
		var seen []string
		deletable := 0
		for j, s := range sessions {
			w := ways[(i+j)%len(ways)]
			other := sessions[(j+1)%len(sessions)]
			if mayGet(c, s) {
				seen = append(seen, s.id)
			}
			if mayDelete(c, s) {
				deletable++
			}
			check("Get", c, s, f.call(w, c, "Get", s.id, ""), mayGet(c, s), "AUTH-5mWD2")
			check("Get with its token", c, s, f.call(w, c, "Get", s.id, s.token), true, "")
			check("Get with another's token", c, s, f.call(w, c, "Get", s.id, other.token), false, "QUERY-dsfr3")
			check("Delete with another's token", c, s, f.call(w, c, "Delete", s.id, other.token), false, "COMMAND-sGr42")
			check("Set", c, s, f.call(w, c, "Set", s.id, ""), maySet(c, s), "AUTH-5mWD2")
			check("Put", c, s, f.do(c.secret, "PUT", "/v2/sessions/"+s.id, s.body()), mayPut(c, s), "AUTH-5mWD2")

			gone := *s
			gone.id = fmt.Sprintf("gone-%d-%d", i, j)
			f.putTable(&gone)
			check("Delete", c, s, f.call(w, c, "Delete", gone.id, ""), mayDelete(c, s), "AUTH-5mWD2")
			if !mayDelete(c, s) {
				check("Delete with its token", c, s, f.call(w, c, "Delete", gone.id, gone.token), true, "")
			}
			// What is unknown is so to everybody, and to delete it is no fault.
			for call, want := range map[string]int{"Get": 404, "Set": 404, "Delete": 200} {
				if r := f.call(w, c, call, gone.id, ""); r.status != want {
					t.Errorf("%s of a session that is gone as %s: %d %s", call, c.name, r.status, r.body)
				}
			}
		}
		none := &tableSession{}
		check("Create", c, none, f.do(c.secret, "POST", "/v2/sessions", `{"lifetime":"1s"}`), mayPut(c, none), "AUTH-5mWD2")
		check("Import", c, none, f.do(c.secret, "POST", "/v2/sessions/import", ``), mayPut(c, none), "AUTH-5mWD2")
		f.advanceAndSweep()

		ids, total := f.search(c.secret, `{"query":{"limit":1000}}`)
		ids = slices.DeleteFunc(ids, func(id string) bool { return strings.HasPrefix(id, "token-of-") })
		slices.Sort(ids)
		slices.Sort(seen)
		if !slices.Equal(ids, seen) || total < len(seen) || total > len(seen)+3 {
			t.Errorf("List as %s: got %v of %d, want %v", c.name, ids, total, seen)
		}
		r := f.want(http.StatusOK, c.secret, "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true,"exceptIds":["token-of-alice","token-of-bob","token-of-carol"]}`)
		if want := fmt.Sprintf(`{"revoked":"%d"}`, deletable); r.body != want {
			t.Errorf("Revoke as %s: got %s, want %s", c.name, r.body, want)
		}
	}
	if least := (allowed + denied) / 5; least == 0 || allowed < least || denied < least { // however many callers had their turn
		t.Errorf("%d allowed and %d denied", allowed, denied)
	}
}

// advanceAndSweep ends what a caller has created, and clears it.
func (f *fixture) advanceAndSweep() {
	f.t.Helper()
	f.advance(2 * time.Second)
	if _, err := f.store.Sweep(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}
