package httpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// permissionSessions are the sessions that callers try to reach.
var permissionSessions = map[string]string{
	"alices":  `{"creator":"login","factors":{"user":{"id":"alice","organizationId":"org-1"},"password":{}},"userAgent":{"fingerprintId":"fp-alice"}}`,
	"bobs":    `{"creator":"svc-nobody","factors":{"user":{"id":"bob","organizationId":"org-2"},"password":{}}}`,
	"orgless": `{"creator":"login","factors":{"user":{"id":"carol"}},"userAgent":{"fingerprintId":""}}`,
	"empty":   `{"creator":"login"}`,
}

// permissionCallers are who tries: API keys, and the tokens of two sessions.
var permissionCallers = []string{"admin", "reader", "writer", "deleter", "org", "nobody", "alice", "alice's token", "bob's token"}

// permissions says who may do what; the rest may not.
var permissions = map[string]map[string]string{
	"get": {
		"alices":  "admin, reader, org, alice, alice's token",
		"bobs":    "admin, reader, nobody, bob's token",
		"orgless": "admin, reader",
		"empty":   "admin, reader",
	},
	"set": {
		"alices":  "admin, writer, org",
		"bobs":    "admin, writer",
		"orgless": "admin, writer",
		"empty":   "admin, writer",
	},
	"delete": {
		"alices":  "admin, deleter, org, alice, alice's token",
		"bobs":    "admin, deleter, bob's token",
		"orgless": "admin, deleter",
		"empty":   "admin, deleter",
	},
	"put": {
		"alices": "admin, writer", "bobs": "admin, writer", "orgless": "admin, writer", "empty": "admin, writer",
	},
}

func mayBe(list, name string) bool { return slices.Contains(strings.Split(list, ", "), name) }

func TestPermissions(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		made := 0
		put := func(kind string) (id, token string) {
			t.Helper()
			made++
			id = fmt.Sprintf("%s-%d", kind, made)
			r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id+"?issueToken=true", permissionSessions[kind])
			return id, newToken.FindStringSubmatch(r.body)[1]
		}
		// The tokens that call are of other sessions than those that are called for.
		for who, body := range map[string]string{
			"alice's token": permissionSessions["alices"],
			"bob's token":   permissionSessions["bobs"],
		} {
			r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/of-"+who[:3]+"?issueToken=true", body)
			f.secret[who] = newToken.FindStringSubmatch(r.body)[1]
		}
		check := func(call, kind, who string, got reply, denied string) {
			t.Helper()
			allowed := mayBe(permissions[call][kind], who)
			if ok := got.status/100 == 2; ok != allowed {
				t.Errorf("%s %s as %s: got %d %s, allowed is %v", call, kind, who, got.status, got.body, allowed)
			}
			if !allowed && !strings.Contains(got.body, denied) {
				t.Errorf("%s %s as %s: %s does not say %s", call, kind, who, got.body, denied)
			}
		}
		for kind := range permissionSessions {
			for _, who := range permissionCallers {
				id, _ := put(kind)
				path := "/v2/sessions/" + id
				check("get", kind, who, f.do(who, "GET", path, ""), "AUTH-5mWD2")
				check("set", kind, who, f.do(who, "PATCH", path, `{}`), "AUTH-5mWD2")
				check("put", kind, who, f.do(who, "PUT", path, permissionSessions[kind]), "AUTH-5mWD2")
				check("put", kind, who, f.do(who, "POST", "/v2/sessions", `{}`), "AUTH-5mWD2")
				check("put", kind, who, f.do(who, "POST", "/v2/sessions/import", ``), "AUTH-5mWD2")
				check("delete", kind, who, f.do(who, "DELETE", path, ``), "AUTH-5mWD2")

				// A token alone decides, and against every permission.
				id, token := put(kind)
				path = "/v2/sessions/" + id
				wrong := token[:len(token)-2] + "__"
				f.want(http.StatusOK, who, "GET", path+"?sessionToken="+token, "")
				if r := f.want(http.StatusForbidden, who, "GET", path+"?sessionToken="+wrong, ""); !strings.Contains(r.body, "QUERY-dsfr3") {
					t.Errorf("get with a wrong token: %s", r.body)
				}
				if r := f.want(http.StatusForbidden, who, "DELETE", path, `{"sessionToken":"`+wrong+`"}`); !strings.Contains(r.body, "COMMAND-sGr42") {
					t.Errorf("delete with a wrong token: %s", r.body)
				}
				f.want(http.StatusOK, who, "DELETE", path, `{"sessionToken":"`+token+`"}`)

				// What is unknown is unknown to everybody.
				f.want(http.StatusNotFound, who, "GET", path, "")
				f.want(http.StatusNotFound, who, "PATCH", path, "{}")
				f.want(http.StatusOK, who, "DELETE", path, "")
			}
		}
	})
}

// A search has exactly the sessions that the caller could get one by one.
func TestSearchShowsWhatGetShows(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		for id, body := range permissionSessions {
			r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id+"?issueToken=true", body)
			switch id {
			case "alices":
				f.secret["alice's token"] = newToken.FindStringSubmatch(r.body)[1]
			case "bobs":
				f.secret["bob's token"] = newToken.FindStringSubmatch(r.body)[1]
			}
		}
		for _, who := range permissionCallers {
			var want []string
			for id := range permissionSessions {
				if mayBe(permissions["get"][id], who) {
					want = append(want, id)
				}
			}
			slices.Sort(want)
			got, total := f.search(who, `{}`)
			slices.Sort(got)
			if !slices.Equal(got, want) || total != len(want) {
				t.Errorf("search as %s: got %v of %d, want %v", who, got, total, want)
			}
		}
	})
}

// A session whose user proves nothing but a name is no credential, nor is one
// without a user.
func TestCredentialNeedsAFactor(t *testing.T) {
	f := newFixture(t)
	for id, want := range map[string]int{"alices": 200, "bobs": 200, "orgless": 401, "empty": 401} {
		r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id+"?issueToken=true", permissionSessions[id])
		f.want(want, newToken.FindStringSubmatch(r.body)[1], "POST", "/v2/sessions/search", `{}`)
	}
}

// Grants cover organizations by name; an empty name never counts.
func TestGrantCovers(t *testing.T) {
	for _, c := range []struct {
		g    caller.Grant
		org  string
		want bool
	}{
		{caller.Grant{}, "", false},
		{caller.Grant{}, "o", false},
		{caller.Grant{All: true}, "", true},
		{caller.Grant{All: true}, "o", true},
		{caller.Grant{Orgs: []string{"o"}}, "o", true},
		{caller.Grant{Orgs: []string{"o"}}, "p", false},
		{caller.Grant{Orgs: []string{""}}, "", false},
	} {
		if got := c.g.Covers(c.org); got != c.want {
			t.Errorf("%+v covers %q: %v", c.g, c.org, got)
		}
	}
	nobody := caller.Caller{}
	if nobody.MayDelete(&session.Facts{}) {
		t.Error("a caller without a user ID is taken for the user of a session without one")
	}
}
