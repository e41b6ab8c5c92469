package oidc

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// granting has a rule of every kind.
const granting = basic + `
    claims:
      permissions: ROLES
      organizations: orgs
    permissions:
      admin: {instance: [session.read, session.write, session.delete]}
      support: {organizations: [session.read, session.delete]}
      both: {instance: [session.read], organizations: [session.delete]}
      trusted: {instance: [session.write], granted_by: [o1, o2]}
`

func TestGrants(t *testing.T) {
	for _, c := range []struct{ name, roles, orgs, want string }{
		{"nothing", ``, ``, ""},
		{"a list", `["admin"]`, ``, "read:* write:* delete:*"},
		{"a text", `"openid admin  profile"`, ``, "read:* write:* delete:*"},
		{"a text that has a role in it", `"administrator"`, ``, ""},
		{"unknown roles", `["Admin","admins","session.read"]`, ``, ""},
		{"not texts", `[1,true,null,["admin"],{"admin":{}}]`, ``, ""},
		{"a number", `7`, `["o1"]`, ""},
		{"for organizations, of which there are none", `["support"]`, ``, ""},
		{"for organizations", `["support"]`, `["o2","o1","o2"]`, "read:o1,o2 delete:o1,o2"},
		{"for an organization as a text", `["support"]`, `"o1 o2"`, "read:o1 o2 delete:o1 o2"},
		{"for organizations as an object", `["support"]`, `{"o1":{"id":"x"}}`, "read:o1 delete:o1"},
		{"for organizations that are none", `["support"]`, `[1,"",null]`, ""},
		{"for a number", `["support"]`, `7`, ""},
		{"both kinds", `["both"]`, `["o1"]`, "read:* delete:o1"},
		{"two roles", `["both","support"]`, `["o1"]`, "read:*,o1 delete:o1"},
		{"ZITADEL: a role in an organization", `{"support":{"o1":"o1.example"}}`, ``, "read:o1 delete:o1"},
		{"ZITADEL: the other claim adds nothing", `{"support":{"o1":"o1.example"}}`, `["o9"]`, "read:o1 delete:o1"},
		{"ZITADEL: two roles in two organizations", `{"support":{"o1":"x","o2":"x"},"both":{"o3":"x"}}`, ``, "read:o1,o2,o3 delete:o1,o2,o3"},
		{"ZITADEL: a role for the instance stays in its organization", `{"admin":{"o1":"x"}}`, ``, "read:o1 write:o1 delete:o1"},
		{"ZITADEL: granted by a role that may", `{"trusted":{"o2":"x"}}`, ``, "write:*,o2"},
		{"ZITADEL: granted by a role that may not", `{"trusted":{"o3":"x"}}`, ``, "write:o3"},
		{"ZITADEL: a role in no organization", `{"admin":{}}`, ``, ""},
		{"ZITADEL: a role that is no object", `{"admin":true,"both":["o1"],"support":"o1"}`, ``, ""},
		{"ZITADEL: an organization without a name", `{"admin":{"":"x"}}`, ``, ""},
		{"an organization with a long name", `{"admin":{"` + strings.Repeat("o", 201) + `":"x"}}`, ``, ""},
		{"granted by, in a list", `["trusted"]`, ``, "write:*"},
	} {
		for _, at := range []struct {
			path string
			put  func(claims map[string]any, roles any)
		}{
			{`"urn:zitadel:iam:org:project:roles"`, func(c map[string]any, r any) { c["urn:zitadel:iam:org:project:roles"] = r }},
			{"realm_access.roles", func(c map[string]any, r any) { c["realm_access"] = map[string]any{"roles": r} }},
			{`["a.b", roles]`, func(c map[string]any, r any) { c["a.b"] = map[string]any{"roles": r} }},
			{`'a\.b.roles'`, func(c map[string]any, r any) { c["a.b"] = map[string]any{"roles": r} }},
		} {
			f := &fixture{t: t}
			s, err := parse([]byte(strings.NewReplacer("ISSUER", "https://id.example", "ROLES", at.path).Replace(granting)), os.ReadFile)
			if err != nil {
				f.t.Fatal(err)
			}
			claims := map[string]any{}
			if roles := decode(t, c.roles); roles != nil {
				at.put(claims, roles)
			}
			if orgs := decode(t, c.orgs); orgs != nil {
				claims["orgs"] = orgs
			}
			var a Access
			s.issuers[0].grant(&a, claims)
			if got := shown(&a); got != c.want {
				t.Errorf("%s, in %s: got %q, want %q", c.name, at.path, got, c.want)
			}
		}
	}
}

func decode(t *testing.T, text string) (v any) {
	t.Helper()
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Without rules nothing is granted, whatever a token says of itself.
func TestNoRulesNoGrants(t *testing.T) {
	f := newFixture(t, basic)
	a, err := f.jwt(f.issuer.Sign(f.claims(map[string]any{
		"scope": "session.read session.write session.delete", "permissions": []string{"session.read"}, "roles": []string{"admin"},
	})))
	f.good(a, err, "")
}
