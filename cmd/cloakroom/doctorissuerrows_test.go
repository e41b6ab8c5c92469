package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
)

// soundIssuer is an issuer that doctor is content with. ISSUER and SECRET stand for its URL and the file with its client
// secret.
const soundIssuer = `issuers:
- name: test
  issuer: ISSUER
  audience: [cloakroom]
  introspection: {url: ISSUER/introspect, client_id: "cloak:room", client_secret_file: "SECRET", timeout: 5s}
  logout: {audience: [gateway]}
  verify: {tokens: id, audience: [gateway]}
`

// withoutQuestions is one that is not asked about opaque tokens.
const withoutQuestions = `issuers:
- name: test
  issuer: ISSUER
  audience: [cloakroom]
  logout: {audience: [gateway]}
`

func startIssuer(t *testing.T) *oidctest.Issuer {
	t.Helper()
	issuer := oidctest.Start(t)
	issuer.Say("claims_supported", []string{"sub", "sid", "auth_time"})
	return issuer
}

// issuerArgs are the arguments of doctor for a file with issuers.
func issuerArgs(t *testing.T, url, file string, more ...string) []string {
	t.Helper()
	secret := testfile.Write(t, oidctest.ClientSecret+"\n")
	text := strings.NewReplacer("ISSUER", url, "SECRET", secret).Replace(file)
	return append([]string{"--auth-issuers-file=" + testfile.Write(t, text), "--verify-accept=session,jwt"}, more...)
}

// changedFile is an issuer whose file has old in place of what it should have; following the advice mends that.
func changedFile(advice, good, bad string) consultation {
	return consultation{advice, func(t *testing.T) ([]string, follow) {
		issuer := startIssuer(t)
		file := strings.Replace(soundIssuer, good, bad, 1)
		if file == soundIssuer {
			t.Fatalf("%q is not in the file", good)
		}
		return issuerArgs(t, issuer.URL, file), func(t *testing.T, _ string) []string { return issuerArgs(t, issuer.URL, soundIssuer) }
	}}
}

// changedIssuer is one that is broken, and then mended.
func changedIssuer(advice, file string, breaks, mends func(t *testing.T, issuer *oidctest.Issuer)) consultation {
	return consultation{advice, func(t *testing.T) ([]string, follow) {
		issuer := startIssuer(t)
		breaks(t, issuer)
		return issuerArgs(t, issuer.URL, file), func(t *testing.T, _ string) []string { mends(t, issuer); return nil }
	}}
}

// answers has an issuer answer a path by f, and then as it should.
func answers(advice, path string, f http.HandlerFunc) consultation {
	return changedIssuer(advice, soundIssuer,
		func(_ *testing.T, i *oidctest.Issuer) { i.Answer(path, f) },
		func(_ *testing.T, i *oidctest.Issuer) { i.Answer(path, nil) })
}

// says has an issuer say something of itself, and then something else.
func says(advice, field string, wrong, right any) consultation {
	return changedIssuer(advice, soundIssuer,
		func(_ *testing.T, i *oidctest.Issuer) { i.Say(field, wrong) },
		func(_ *testing.T, i *oidctest.Issuer) { i.Say(field, right) })
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// secureIssuer is an issuer that speaks TLS with a certificate for 127.0.0.1 that ends after a time. renew gives it
// another one.
func secureIssuer(t *testing.T, left time.Duration) (url string, trust string, renew func(time.Duration)) {
	t.Helper()
	authority := tlstest.NewAuthority(t)
	key := oidctest.NewKey(t, "ES256")
	var pair tls.Certificate
	renew = func(left time.Duration) {
		var err error
		if pair, err = tls.X509KeyPair(authority.Issue(left)); err != nil {
			t.Fatal(err)
		}
	}
	renew(left)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case oidctest.DiscoveryPath:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"issuer": "https://" + r.Host, "jwks_uri": "https://" + r.Host + "/keys", "backchannel_logout_supported": true,
			})
		case "/keys":
			_, _ = fmt.Fprintf(w, `{"keys":[%s]}`, key.JSON(t))
		}
	}))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
	}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, "SSL_CERT_FILE=" + testfile.Write(t, string(authority.PEM)), renew
}

func issuerRows() []consultation {
	return []consultation{
		{"correct the file of --auth-issuers-file", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			return issuerArgs(t, issuer.URL, "issuers: [{}]"), func(t *testing.T, _ string) []string { return issuerArgs(t, issuer.URL, soundIssuer) }
		}},
		{"correct %s in the issuers file, or the name service", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			return issuerArgs(t, "https://there-is-none.invalid", withoutQuestions), func(t *testing.T, _ string) []string { return issuerArgs(t, issuer.URL, withoutQuestions) }
		}},
		changedIssuer("start the issuer, or correct the port", soundIssuer,
			func(_ *testing.T, i *oidctest.Issuer) { i.Stop() }, func(_ *testing.T, i *oidctest.Issuer) { i.Restart() }),
		{"add the authority's certificate", func(t *testing.T) ([]string, follow) {
			url, trusts, _ := secureIssuer(t, time.Hour)
			args := issuerArgs(t, url, withoutQuestions)
			return args, func(*testing.T, string) []string { return append(args, trusts) }
		}},
		{"use a name in %s that the certificate has", func(t *testing.T) ([]string, follow) {
			url, trusts, _ := secureIssuer(t, time.Hour)
			return issuerArgs(t, strings.Replace(url, "127.0.0.1", "localhost", 1), withoutQuestions, trusts), func(t *testing.T, _ string) []string {
				return issuerArgs(t, url, withoutQuestions, trusts)
			}
		}},
		{"have the issuer's certificate renewed", func(t *testing.T) ([]string, follow) {
			url, trusts, renew := secureIssuer(t, -time.Minute)
			return issuerArgs(t, url, withoutQuestions, trusts), func(*testing.T, string) []string { renew(time.Hour); return nil }
		}},
		{"give the port in %s that speaks TLS", func(t *testing.T) ([]string, follow) {
			plain := strings.Replace(startIssuer(t).URL, "http:", "https:", 1)
			secure, trusts, _ := secureIssuer(t, time.Hour)
			return issuerArgs(t, plain, withoutQuestions, trusts), func(t *testing.T, _ string) []string { return issuerArgs(t, secure, withoutQuestions, trusts) }
		}},
		answers("`curl -f %s` must show the document: correct %s", oidctest.DiscoveryPath, status(404)),
		answers("the issuer's log says why", oidctest.KeysPath, status(500)),
		changedIssuer("the issuer hangs, or something on the way", withoutQuestions,
			func(_ *testing.T, i *oidctest.Issuer) { i.Stall() }, func(_ *testing.T, i *oidctest.Issuer) { i.Resume() }),
		answers("have it answer 200 and at most 256 KiB", oidctest.DiscoveryPath, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}),
		{"issuer: %s in the issuers file", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			return issuerArgs(t, issuer.URL+"/", withoutQuestions), func(t *testing.T, fix string) []string {
				url, _, _ := strings.Cut(strings.TrimPrefix(fix, "issuer: "), " ")
				return issuerArgs(t, url, withoutQuestions)
			}
		}},
		{"have the issuer name its keys by an https URL", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			issuer.Say("jwks_uri", "http://id.example/keys")
			return issuerArgs(t, issuer.URL, withoutQuestions), func(t *testing.T, _ string) []string {
				return issuerArgs(t, issuer.URL, withoutQuestions+"  jwks_url: ISSUER/keys\n")
			}
		}},
		changedIssuer("have the issuer make a key that signs", soundIssuer,
			func(_ *testing.T, i *oidctest.Issuer) { i.Publish() }, func(t *testing.T, i *oidctest.Issuer) { i.Publish(oidctest.NewKey(t, "EdDSA")) }),
		{"algorithms: [%s] in the issuers file", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			issuer.Publish(oidctest.NewKey(t, "ES256"), oidctest.NewKey(t, "EdDSA"))
			return issuerArgs(t, issuer.URL, soundIssuer+"  algorithms: [ES256]\n"), func(t *testing.T, fix string) []string {
				line, _, _ := strings.Cut(fix, " in the issuers file")
				return issuerArgs(t, issuer.URL, soundIssuer+"  "+line+"\n")
			}
		}},
		changedIssuer("have the issuer delete keys that sign nothing", soundIssuer, func(t *testing.T, i *oidctest.Issuer) {
			var keys []*oidctest.Key
			for range 51 {
				keys = append(keys, oidctest.NewKey(t, "EdDSA"))
			}
			i.Publish(keys...)
		}, func(t *testing.T, i *oidctest.Issuer) { i.Publish(oidctest.NewKey(t, "EdDSA")) }),
		{"tokens by these keys are refused", func(t *testing.T) ([]string, follow) {
			issuer, key := startIssuer(t), oidctest.NewKey(t, "ES256")
			issuer.Answer(oidctest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprintf(w, `{"keys":[%s,%[1]s]}`, key.JSON(t))
			})
			return issuerArgs(t, issuer.URL, soundIssuer), func(*testing.T, string) []string { issuer.Answer(oidctest.KeysPath, nil); return nil }
		}},
		{"set the clocks of the issuer, of Redis and of this machine by NTP", func(t *testing.T) ([]string, follow) {
			issuer, key := startIssuer(t), oidctest.NewKey(t, "ES256")
			issuer.Answer(oidctest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
				_, _ = fmt.Fprintf(w, `{"keys":[%s]}`, key.JSON(t))
			})
			return issuerArgs(t, issuer.URL, soundIssuer), func(*testing.T, string) []string { issuer.Answer(oidctest.KeysPath, nil); return nil }
		}},
		{"whatever answers there takes every token", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			issuer.Answer("/active", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"active":true}`)) })
			return issuerArgs(t, issuer.URL, strings.Replace(soundIssuer, "ISSUER/introspect", "ISSUER/active", 1)), func(t *testing.T, fix string) []string {
				_, url, _ := strings.Cut(fix, "introspection.url to ")
				return issuerArgs(t, issuer.URL, strings.Replace(soundIssuer, "ISSUER/introspect", url, 1))
			}
		}},
		changedFile("give the id and the secret of a client that may introspect", "cloak:room", "another"),
		{"introspection.url must be the one that takes questions", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			return issuerArgs(t, issuer.URL, strings.Replace(soundIssuer, "ISSUER/introspect", "ISSUER/nowhere", 1)), func(t *testing.T, fix string) []string {
				_, url, _ := strings.Cut(fix, "the issuer says: ")
				return issuerArgs(t, issuer.URL, strings.Replace(soundIssuer, "ISSUER/introspect", url, 1))
			}
		}},
		{"see why the issuer is slow, or raise introspection.timeout", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			issuer.Answer(oidctest.IntrospectPath, func(_ http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm() // else nothing tells when the client has gone
				<-r.Context().Done()
			})
			return issuerArgs(t, issuer.URL, strings.Replace(soundIssuer, "timeout: 5s", "timeout: 10ms", 1)), func(t *testing.T, _ string) []string {
				issuer.Answer(oidctest.IntrospectPath, nil)
				return issuerArgs(t, issuer.URL, soundIssuer)
			}
		}},
		changedFile("logout: {audience: [CLIENT]}", "  logout: {audience: [gateway]}\n", ""),
		says("switch on back-channel logout at the issuer", "backchannel_logout_supported", false, true),
		says("have the issuer put the session into logout tokens", "backchannel_logout_session_supported", false, true),
		{"have your gateway pass POST /backchannel-logout on", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			url := strings.Replace(issuer.URL, "127.0.0.1", "0.0.0.0", 1) // elsewhere, as far as it shows
			issuer.Say("issuer", url)
			file := withoutQuestions + "  allow_http: true\n"
			return issuerArgs(t, url, file), func(t *testing.T, _ string) []string {
				args := issuerArgs(t, url, file)
				api, _ := launch(t, append([]string{"serve", "--redis-url=memory:", args[0]}, quick()...)).ready(t)
				answer := want(t, 400, "POST", api+"/backchannel-logout", "logout_token=x", "Content-Type", "application/x-www-form-urlencoded")
				if !strings.Contains(answer, "invalid_request") {
					t.Error(answer)
				}
				return append(args, "--http-addr=0.0.0.0:8080")
			}
		}},
		{"--verify-accept=session,jwt for serve", func(t *testing.T) ([]string, follow) {
			args := issuerArgs(t, startIssuer(t).URL, soundIssuer)
			return args[:1], func(*testing.T, string) []string { return args }
		}},
		{"look whether a token that the gateway brings", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			issuer.Say("claims_supported", []string{"sub"})
			args := issuerArgs(t, issuer.URL, soundIssuer)
			return args, func(t *testing.T, _ string) []string {
				return append(args, "--token="+testfile.Write(t, "Bearer "+idToken(issuer)+"\n"))
			}
		}},
		{"bring ID tokens", func(t *testing.T) ([]string, follow) {
			issuer := startIssuer(t)
			now := time.Now().Unix()
			access := issuer.Sign(map[string]any{"iss": issuer.URL, "aud": "cloakroom", "sub": "alice", "iat": now, "exp": now + 3600})
			file := strings.Replace(soundIssuer, "verify: {tokens: id, audience: [gateway]}", "verify: {}", 1)
			return issuerArgs(t, issuer.URL, file, "--token="+testfile.Write(t, access)), func(t *testing.T, _ string) []string {
				return issuerArgs(t, issuer.URL, soundIssuer, "--token="+testfile.Write(t, idToken(issuer)))
			}
		}},
		changedFile("claims: {permissions: CLAIM}", "  audience: [cloakroom]\n", "  audience: [cloakroom]\n  claims: {permissions: scope}\n  permissions: {admin: {instance: [session.read]}}\n"),
		changedFile("session_max_lifetime in the issuers file", "  audience: [cloakroom]\n", "  audience: [cloakroom]\n  session_max_lifetime: 1h\n"),
	}
}
