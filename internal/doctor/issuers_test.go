package doctor

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// looked returns the findings about the issuers of a file, ISSUER stands for the URL of one.
func looked(t *testing.T, issuer *oidctest.Issuer, file string, change func(*Issuers)) (found []Finding) {
	t.Helper()
	s, err := oidc.Load("issuers.yaml", func(name string) ([]byte, error) {
		if name == "secret" {
			return []byte(oidctest.ClientSecret), nil
		}
		return []byte(strings.ReplaceAll(file, "ISSUER", issuer.URL)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	inspector := oidc.Inspect(s, nil)
	defer inspector.Close()
	c := Issuers{Inspector: inspector, HTTPAddr: "127.0.0.1:8080", JWTs: true}
	if change != nil {
		change(&c)
	}
	ExamineIssuers(t.Context(), c, func(f Finding) { found = append(found, f) })
	return found
}

func text(found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s: %s\n", f.Status, f.Check, f.Found)
	}
	return b.String()
}

func TestIssuers_EachCheck(t *testing.T) {
	const base = "issuers:\n- name: test\n  issuer: ISSUER\n  audience: [cloakroom]\n"
	const asking = base + "  introspection: {url: ISSUER/introspect, client_id: \"cloak:room\", client_secret_file: secret, timeout: 5s}\n"
	const ids = "  verify: {tokens: id, audience: [gateway]}\n"
	at := func(ahead time.Duration) http.HandlerFunc {
		key := oidctest.NewKey(t, "ES256").JSON(t)
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			w.Header().Set("Cache-Control", "max-age=300, must-revalidate")
			_, _ = fmt.Fprintf(w, `{"keys":[%s,{"kty":"oct","k":"c2VjcmV0"},{"kty":"new"}]}`, key)
		}
	}
	for _, c := range []struct {
		name, file string
		before     func(*oidctest.Issuer)
		change     func(*Issuers)
		want       []string
	}{
		{"little", base, nil, nil, []string{
			"ok discovery: http://127.0.0.1:", "ok keys: 1 of 1 can check signatures (RS256)\n", "ok clock: that of the issuer is within",
			"ok logout: none is taken from this issuer: it has no section logout", "ok permissions: none: its users",
		}},
		{"keys", base, func(i *oidctest.Issuer) { i.Answer(oidctest.KeysPath, at(0)) }, nil, []string{
			"warn keys: 1 of 3 can check signatures (ES256); 1 to encrypt, or secret, do not count; 1 cannot be read, or have the kid of another; Cache-Control: max-age=300, must-revalidate\n",
		}},
		{"algorithms without a key", base + "  algorithms: [RS256, ES256]\n", nil, nil, []string{"ok keys: 1 of 1 can check signatures (RS256); none for ES256\n"}},
		{"no key for any", base + "  algorithms: [ES256]\n", nil, nil, []string{"fail keys: ", "every token and logout is refused"}},
		{"too many keys", base, func(i *oidctest.Issuer) {
			i.Answer(oidctest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"keys":[{}` + strings.Repeat(",{}", oidc.MaxKeys) + `]}`))
			})
		}, nil, []string{"fail keys: 101, and more than 100 are not taken"}},
		{"ahead", base, func(i *oidctest.Issuer) { i.Answer(oidctest.KeysPath, at(15*time.Second)) }, nil, []string{"warn clock: that of the issuer is 1", "s ahead of this machine's; leeway is 30s"}},
		{"behind", base, func(i *oidctest.Issuer) { i.Answer(oidctest.KeysPath, at(-10*time.Minute)) }, nil, []string{"fail clock: that of the issuer is ", " behind this machine's, and leeway is 30s: good tokens"}},
		{"no date", base, func(i *oidctest.Issuer) {
			for _, path := range []string{oidctest.KeysPath, oidctest.DiscoveryPath} {
				i.Answer(path, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = nil; _, _ = fmt.Fprint(w, "{") })
			}
		}, nil, []string{"fail discovery: no answer that counts", "skip keys: where they are is not known", "skip clock: the issuer has not told its time"}},
		{"keys by URL", base + "  jwks_url: ISSUER/keys\n", func(i *oidctest.Issuer) { i.Answer(oidctest.DiscoveryPath, http.NotFound) }, nil, []string{
			"skip discovery: not needed, as jwks_url is configured, and not to be had: there is nothing at", "ok keys: 1 of 1",
		}},
		{"keys by URL, another issuer", base + "  jwks_url: ISSUER/keys\n", func(i *oidctest.Issuer) { i.Say("issuer", "x") }, nil, []string{"skip discovery: not needed, as jwks_url is configured, and that of another"}},
		{"no keys", asking + "  jwks_url: none\n", nil, nil, []string{"ok discovery: ", "ok keys: jwks_url is none", "ok introspection: the issuer takes client_id and secret"}},
		{"forbidden", asking, func(i *oidctest.Issuer) {
			i.Answer(oidctest.IntrospectPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		}, nil, []string{"fail introspection: the issuer refuses client_id or the secret in client_secret_file (403)"}},
		{"introspection says nothing", asking, func(i *oidctest.Issuer) {
			i.Answer(oidctest.IntrospectPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) })
		}, nil, []string{"fail introspection: no answer that counts: the answer does not say whether"}},
		{"logouts of users", base + "  logout: {audience: [a]}\n", nil, nil, []string{"ok logout: ends all sessions of the user that sub names; the issuer sends them", "ok logout: the issuer must reach POST /backchannel-logout"}},
		{"logouts of sessions", base + "  logout: {audience: [a], session: sid}\n", func(i *oidctest.Issuer) { i.Answer(oidctest.DiscoveryPath, http.NotFound) }, nil, []string{
			"skip logout: ends the session that sid names, else all of the user that sub names; whether the issuer sends any is not known",
		}},
		{"a socket", base + "  logout: {audience: [a]}\n", nil, func(c *Issuers) { c.HTTPAddr = "unix:/run/cloakroom" }, []string{"skip logout: ", "that is a unix socket, which no issuer"}},
		{"all addresses", base + "  logout: {audience: [a]}\n", nil, func(c *Issuers) { c.HTTPAddr = ":8080" }, []string{"ok logout: the issuer must reach POST /backchannel-logout at --http-addr, :8080, or by a gateway"}},
		{"ID tokens", base + ids, func(i *oidctest.Issuer) { i.Say("claims_supported", []string{"sid", "auth_time"}) }, nil, []string{
			"ok verify: takes ID tokens unless their login has ended; IDs of its sessions and users begin with \"test:\"\n", "warn logout: none is taken from this issuer: its JWTs pass",
		}},
		{"ID tokens, as ZITADEL says", base + ids, func(i *oidctest.Issuer) { i.Say("claims_supported", []string{"auth_time"}) }, nil, []string{
			"warn verify: takes ID tokens", "sid: the issuer does not say that its tokens have it (claims_supported), which some have though; without it a logout of the session does not end a token\n",
		}},
		{"access tokens", base + "  verify: {session_ids: own}\n", func(i *oidctest.Issuer) { i.Say("claims_supported", []string{"sid", "auth_time"}) }, nil, []string{
			"warn verify: takes access tokens", "users are those of the store; sid: many access tokens have none; without it a logout", "auth_time: many access tokens have none; without it a token that was refreshed",
		}},
		{"required", base + "  verify: {session: required}\n", nil, nil, []string{
			"warn verify: takes access tokens while their session is stored here; ", "sid: many access tokens have none; without it a token is refused\n", "ok logout: none is taken",
		}},
		{"the token that was shown", base + "  verify: {}\n  session_max_lifetime: 1h\n", nil, func(c *Issuers) {
			c.Token = &oidc.Explanation{Issuer: "test", Good: true, HasSession: true, HasAuthTime: true, Lasts: 12 * time.Hour}
		}, []string{"ok verify: takes access tokens", "fail lifetime: it is kept for 1h that a login has ended, and the token that was shown lasts longer, 12h"}},
		{"a token of nobody", base + "  verify: {}\n", nil, func(c *Issuers) { c.Token = &oidc.Explanation{Issuer: "test", HasSession: true} }, []string{"warn verify: takes access tokens"}},
		{"no callers", strings.Replace(base, "audience: [cloakroom]", "verify: {audience: [a]}", 1), nil, nil, []string{"ok permissions: no access token of this issuer is a caller"}},
		{"roles", base + "  claims: {permissions: roles}\n  permissions: {a: {instance: [session.read]}}\n", nil, nil, []string{"ok permissions: by the roles in roles, for which there are rules: 1"}},
		{"scopes", base + "  claims: {permissions: scope}\n  permissions: {a: {instance: [session.read]}}\n", nil, nil, []string{"warn permissions: they are given by scope"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			issuer := oidctest.Start(t)
			if c.before != nil {
				c.before(issuer)
			}
			got := text(looked(t, issuer, c.file, c.change))
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, oidctest.ClientSecret) {
				t.Errorf("I6: the secret is shown:\n%s", got)
			}
		})
	}
}

// A faulty issuer hides no other, and each is reported in its place.
func TestIssuers_AreIndependent(t *testing.T) {
	issuer, other := oidctest.Start(t), oidctest.Start(t)
	other.Stop()
	found := looked(t, issuer, "issuers:\n- {name: away, issuer: "+other.URL+", audience: [a]}\n- {name: there, issuer: ISSUER, audience: [a]}\n", nil)
	order := ""
	for _, f := range found {
		if f.Check == "discovery" {
			order += fmt.Sprintf("%s %s ", f.Issuer, f.Status)
		}
	}
	if order != "away fail there ok " {
		t.Errorf("got %s:\n%s", order, text(found))
	}
}

func TestNearby(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:1": "loopback", "localhost:1": "loopback", "[::1]:1": "loopback", "unix:/x": "a unix socket", "10.1.2.3:1": "private", "[fd00::1]:1": "private", "169.254.1.1:1": "private",
		":1": "", "0.0.0.0:1": "", "192.0.2.1:1": "", "host.example:1": "",
	} {
		if near, kind := nearby(addr); near != (want != "") || near && kind != want {
			t.Errorf("%s: got %v, %s", addr, near, kind)
		}
	}
}
