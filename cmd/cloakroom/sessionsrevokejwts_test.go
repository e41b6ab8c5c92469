package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// JWTs end though nothing is stored of them, and the command says so before it does it.
func TestRevokeCommand_JWTs(t *testing.T) {
	issuer := oidctest.Start(t)
	file := testfile.Write(t, strings.ReplaceAll("issuers: [{name: kc, issuer: ISSUER, audience: [shop], verify: {}}]", "ISSUER", issuer.URL))
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous", "--auth-issuers-file", file, "--verify-accept=jwt"}, quick()...))
	api, _ := p.ready(t)
	f := func(want string, args ...string) {
		t.Helper()
		code, out, log := once(t, append([]string{"sessions", "revoke", "--url", api}, args...)...)
		if code != exitOK && code != exitUsage || !regexp.MustCompile("^"+want+"$").MatchString(strings.TrimSpace(out+log)) {
			t.Errorf("%q: got %d, %q, %q, want %q", args, code, out, log, want)
		}
	}
	f(`no session of user kc:7 would be revoked, and all JWTs of logins until 20\S+Z`, "--user-id=kc:7", "--dry-run")
	f(`cloakroom sessions revoke: no session of user kc:7 would be revoked, and all JWTs of logins until 20\S+Z, but there is no terminal .*`, "--user-id=kc:7")
	f(`no session revoked, and all JWTs of logins until 20\S+Z`, "--user-id=kc:7", "--yes")
	f(`no session revoked, and all JWTs of 2 sessions`, "--id=kc:a", "--id=kc:b", "--id=c", "--yes")
	f(`there is nothing to revoke: no session of user 7`, "--user-id=7", "--yes")
}
