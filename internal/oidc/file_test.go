package oidc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a secret\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "issuers.yaml")
	text := `
issuers:
  - name: full
    issuer: https://id.example/realms/main
    audience: [a, 163840776835432705]
    jwks_url: https://keys.example/keys?x=1
    algorithms: [ES256, EdDSA]
    leeway: 5m
    claims: {user: sub, agent: device.id, permissions: "urn:zitadel:iam:org:project:roles", organizations: [org, id]}
    permissions:
      admin: {instance: [session.read, session.write, session.delete], granted_by: [o]}
      support: {organizations: [session.read]}
    introspection: {url: https://id.example/introspect, client_id: me, client_secret_file: ` + secret + `, timeout: 2s}
    logout: {audience: [gateway], user: uid, session: sid}
  - issuer: http://127.0.0.1:8080
    audience: [a]
  - issuer: http://keycloak:8080
    audience: [a]
    allow_http: true
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(name, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	full := &s.issuers[0]
	if s.Len() != 3 || full.audience[1] != "163840776835432705" || full.leeway != 5*time.Minute || full.Introspection.clientSecret != "a secret" ||
		full.Introspection.timeout != 2*time.Second || strings.Join(full.organizationsAt, "/") != "org/id" || strings.Join(full.agentAt, "/") != "device/id" {
		t.Errorf("got %+v, %+v", full, full.Introspection)
	}
	second := &s.issuers[1]
	if second.Name != second.URL || second.leeway != defaultLeeway || !slices.Equal(second.algorithms, algorithms) || strings.Join(second.userAt, "/") != "sub" || second.logout != nil {
		t.Errorf("got %+v", second)
	}
}

// Every fault is named, all of them at once, and none repeats a value.
func TestFileFaults(t *testing.T) {
	const head = "issuers:\n  - issuer: https://id.example\n    audience: [a]\n"
	for _, c := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"x: [", "not YAML"},
		{"a: 1\n---\nb: 2\n", "more than one"},
		{"issuers: []\n", "issuers: line 1: must have at least one entry"},
		{"null\n", "the file is empty"},
		{"issuer: []\n", "the file: line 1: a field is not known here; known are issuers"},
		{"issuers: 7\n", "issuers: line 1: must be a list"},
		{"issuers: [7]\n", "issuers[0]: line 1: must have fields"},
		{"issuers: [{}]\n", "issuers[0].issuer: is missing"},
		{"issuers: [{}]\n", "issuers[0].audience: is missing"},
		{head + "    permissions: {admin: {instance: [session.read]}}\n", "claims.permissions: is missing: name the claim"},
		{head + "    claims: {user: uid}\n    permissions: {admin: {instance: [session.read]}}\n", "claims.permissions: is missing: name the claim"},
		{head + "    verify: 7\n", "verify: line 4: must have fields"},
		{head + "    verify: {}\n", "issuers[0].name: must have 1 to 32"},
		{head + "    name: 'a:b'\n    verify: {}\n", "name: line 4: must have 1 to 32 letters"},
		{head + "    name: a\n    verify: {tokens: both}\n", "tokens: line 5: must be access or id"},
		{head + "    name: a\n    verify: {session: p4ss}\n", "session: line 5: must be not-ended or required"},
		{head + "    name: a\n    verify: {session_ids: p4ss}\n", "session_ids: line 5: must be prefixed or own"},
		{head + "    name: a\n    verify: {tokens: id}\n", "verify.audience: is missing"},
		{head + "    name: a\n    verify: {tokens: id, audience: [b, a]}\n", "verify.audience: line 5: has one of the issuer's audience"},
		{"issuers: [{issuer: 'https://id.example', name: a, verify: {}}]\n", "audience: is missing, here and in verify"},
		{head + "    name: a\n    verify: {session_pattern: '('}\n", "session_pattern: line 5: must be a regular expression"},
		{head + "    name: a\n    verify: {session_pattern: 'a'}\n", "session_pattern: line 5: must have one group"},
		{head + "    name: a\n    verify: {session_pattern: '(a)(b)'}\n", "session_pattern: line 5: must have one group"},
		{head + "    name: a\n    verify: {session_pattern: '(" + strings.Repeat("a", 255) + ")'}\n", "session_pattern: line 5: must have at most 256 bytes"},
		{head + "    name: a\n    verify: {factors: {x: [p4ss]}}\n", "may have only password"},
		{head + "    name: a\n    verify: {claims: {session: a..b}}\n", "claims.session: line 5: must have no empty name"},
		{head + "    name: a\n    session_max_lifetime: 1s\n", "session_max_lifetime: line 5: must be"},
		{head + "    name: a\n    jwks_url: none\n    introspection: {url: https://id.example/i, client_id: me, client_secret_file: SECRET}\n    verify: {}\n", "verify: line 7: needs the issuer's keys"},
		{head + "    name: a\n    verify: {session_ids: own}\n  - {issuer: 'https://b.example', name: b, audience: [a], verify: {session_ids: own}}\n", "session_ids: line 6: is own, which is also issuers[0]"},
		{head + "    name: a\n    verify: {session_ids: own}\n  - {issuer: 'https://b.example', audience: [a]}\n", "issuers[1].name: must have 1 to 32"},
		{"issuers: [{issuer: id.example, audience: [a]}]\n", "issuers[0].issuer: line 1: must be an https URL"},
		{"issuers: [{issuer: 'http://id.example', audience: [a]}]\n", "http is for loopback only"},
		{"issuers: [{issuer: 'http://localhost.example', audience: [a]}]\n", "http is for loopback only"},
		{"issuers: [{issuer: 'https://u:p4ss@id.example', audience: [a]}]\n", "must have no user"},
		{"issuers: [{issuer: 'https://id.example?p4ss', audience: [a]}]\n", "must have no query"},
		{"issuers: [{issuer: 'https://id.example#p4ss', audience: [a]}]\n", "must have no fragment"},
		{"issuers: [{issuer: 'https://id.example', audience: []}]\n", "audience: line 1: must have at least one entry"},
		{"issuers: [{issuer: 'https://id.example', audience: a}]\n", "audience: line 1: must be a list"},
		{"issuers: [{issuer: 'https://id.example', audience: ['']}]\n", "audience[0]: line 1: must have 1 to 200 characters"},
		{"issuers: [{issuer: 'https://id.example', audience: [[p4ss]]}]\n", "audience[0]: line 1: must be a text"},
		{head + "    audience: [b]\n", "issuers[0]: line 4: a field is given twice"},
		{head + "    p4ss: x\n", "issuers[0]: line 4: a field is not known here"},
		{head + "    p4ss: x\n    p4ss: y\n", "issuers[0]: line 5: a field is given twice"},
		{head + "    client_secret: p4ss\n", "issuers[0]: line 4: a field is not known here; known are algorithms, "},
		{head + "    algorithms: [HS256]\n", "issuers[0].algorithms: line 4: may have only RS256"},
		{head + "    algorithms: [none]\n", "may have only RS256"},
		{head + "    algorithms: [RS256, rs256]\n", "may have only RS256"},
		{head + "    leeway: 6m\n", "issuers[0].leeway: line 4: must be a duration from 0s to 5m0s"},
		{head + "    leeway: 30\n", "must be a duration"},
		{head + "    allow_http: maybe\n", "issuers[0].allow_http: line 4: must be true or false"},
		{head + "    jwks_url: none\n", "issuers[0].jwks_url: line 4: is none: then introspection is required"},
		{head + "    jwks_url: ftp://x\n", "issuers[0].jwks_url: line 4: must be an https URL"},
		{head + "    claims: {sub: x}\n", "issuers[0].claims: line 4: a field is not known here; known are agent, organizations, permissions, user"},
		{head + "    claims: {user: a..b}\n", "issuers[0].claims.user: line 4: must have no empty name"},
		{head + "    claims: {user: 'a\\b'}\n", "backslash"},
		{head + "    claims: {user: ''}\n", "must have no empty name"},
		{head + "    claims: {user: []}\n", "at least one entry"},
		{head + "    claims: {user: {}}\n", "must be a text"},
		{head + "    permissions: [admin]\n", "issuers[0].permissions: line 4: must have fields"},
		{head + "    permissions: {admin: [session.read]}\n", "issuers[0].permissions.admin: line 4: must have fields"},
		{head + "    permissions: {admin: {}}\n", "must have instance or organizations"},
		{head + "    permissions: {admin: {instance: [session.admin]}}\n", "issuers[0].permissions.admin.instance: line 4: may have only session.read"},
		{head + "    permissions: {admin: {organizations: [session.read], granted_by: [o]}}\n", "there is no instance"},
		{head + "    introspection: {url: https://x}\n", "issuers[0].introspection.client_id: is missing"},
		{head + "    introspection: {url: https://x, client_id: a, client_secret_file: /nowhere/at/all}\n", "issuers[0].introspection.client_secret_file: line 4: open /nowhere/at/all"},
		{head + "    introspection: {url: https://x, client_id: a, client_secret_file: /nowhere, timeout: 1h}\n", "issuers[0].introspection.timeout: line 4: must be a duration from 10ms to 5s"},
		{head + "    logout: {user: sub}\n", "issuers[0].logout.audience: is missing"},
		{head + "    jwks_url: none\n    logout: {audience: [a]}\n", "issuers[0].logout: line 5: needs the issuer's keys"},
		{head + head[len("issuers:\n"):], "issuers[1].issuer: line 4: is also that of issuers[0]"},
		{head + "    name: a\n  - {issuer: 'https://other.example', audience: [a], name: a}\n", "issuers[1].name: line 5: is also that of issuers[0]"},
		{"x: &x {a: 1}\nissuers: *x\n", "aliases"},
		{"issuers:\n" + strings.Repeat("  - {issuer: 'https://id.example', audience: [a]}\n", MaxIssuers+1), "at most 16 entries"},
	} {
		_, err := parse([]byte(c.text), os.ReadFile)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "p4ss") {
			t.Errorf("I6: %q: the error repeats a value: %v", c.text, err)
		}
	}
	_, err := parse([]byte("issuers:\n  - issuer: x\n    leeway: x\n    foo: x\n"), os.ReadFile)
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("got %v, want four faults", err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none"), os.ReadFile); err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzFile(f *testing.F) {
	f.Add(basic)
	f.Add(granting)
	f.Add("issuers: [{issuer: 'https://id.example', audience: [a]}]")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "client_secret_file") {
			return // it names a file that is read
		}
		s, err := parse([]byte(text), os.ReadFile)
		if err == nil && (s.Len() == 0 || s.issuers[0].URL == "" || len(s.issuers[0].audience) == 0) {
			t.Errorf("%q was read as %+v", text, s)
		}
	})
}
