package main

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// zitadelArgs are the arguments of doctor for a ZITADEL alone.
func zitadelArgs(t *testing.T, url, credentials string, more ...string) []string {
	t.Helper()
	return append([]string{"--upstream-url=" + url, "--upstream-token-file=" + testfile.Write(t, credentials)}, more...)
}

// secureZITADEL is a double that speaks TLS with a certificate for 127.0.0.1 that ends after a time. renew gives it another one.
func secureZITADEL(t *testing.T, left time.Duration) (z *zitadeltest.Server, trust string, renew func(time.Duration)) {
	t.Helper()
	authority := tlstest.NewAuthority(t)
	var pair tls.Certificate
	renew = func(left time.Duration) {
		var err error
		if pair, err = tls.X509KeyPair(authority.Issue(left)); err != nil {
			t.Fatal(err)
		}
	}
	renew(left)
	z = zitadeltest.Start(t, zitadeltest.WithTLS(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{pair}}, nil
	}}))
	return z, "--upstream-ca-file=" + testfile.Write(t, string(authority.PEM)), renew
}

// withSession is a double that has one.
func withSession(t *testing.T) *zitadeltest.Server {
	t.Helper()
	z := zitadeltest.Start(t)
	user := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
	z.AddUser(user)
	z.CreateSession(zitadeltest.Session{UserID: user.ID, Password: true})
	return z
}

// brokenZITADEL is one that is broken, and then mended; breaks may return more arguments, and so may mends.
func brokenZITADEL(advice string, breaks, mends func(z *zitadeltest.Server) []string) consultation {
	return consultation{advice, func(t *testing.T) ([]string, follow) {
		z := zitadeltest.Start(t)
		args := zitadelArgs(t, z.URL, z.Admin.Token)
		return append(args[:2:2], breaks(z)...), func(*testing.T, string) []string { return append(args[:2:2], mends(z)...) }
	}}
}

func zitadelRows() []consultation {
	latency := func(z *zitadeltest.Server, d time.Duration) {
		z.Change(func(s *zitadeltest.Settings) {
			s.Latency = map[string]func() time.Duration{zitadeltest.Any: func() time.Duration { return d }}
		})
	}
	return []consultation{
		{"correct the host in --upstream-url", func(t *testing.T) ([]string, follow) {
			z := zitadeltest.Start(t)
			return zitadelArgs(t, "https://there-is-none.invalid", z.Admin.Token), func(t *testing.T, _ string) []string { return zitadelArgs(t, z.URL, z.Admin.Token) }
		}},
		brokenZITADEL("start ZITADEL or the proxy before it",
			func(z *zitadeltest.Server) []string { z.Stop(); return nil }, func(z *zitadeltest.Server) []string { z.Restart(); return nil }),
		{"--upstream-ca-file FILE", func(t *testing.T) ([]string, follow) {
			z, trusts, _ := secureZITADEL(t, time.Hour)
			args := zitadelArgs(t, z.URL, z.Admin.Token)
			return args, func(*testing.T, string) []string { return append(args, trusts) }
		}},
		{"use a name in --upstream-url that the certificate has", func(t *testing.T) ([]string, follow) {
			z, trusts, _ := secureZITADEL(t, time.Hour)
			return zitadelArgs(t, strings.Replace(z.URL, "127.0.0.1", "localhost", 1), z.Admin.Token, trusts), func(t *testing.T, _ string) []string {
				return zitadelArgs(t, z.URL, z.Admin.Token, trusts)
			}
		}},
		{"have ZITADEL's certificate renewed", func(t *testing.T) ([]string, follow) {
			z, trusts, renew := secureZITADEL(t, -time.Minute)
			return zitadelArgs(t, z.URL, z.Admin.Token, trusts), func(*testing.T, string) []string { renew(time.Hour); return nil }
		}},
		{"give the port in --upstream-url that speaks TLS", func(t *testing.T) ([]string, follow) {
			plain := strings.Replace(zitadeltest.Start(t).URL, "http:", "https:", 1)
			z, trusts, _ := secureZITADEL(t, time.Hour)
			return zitadelArgs(t, plain, z.Admin.Token), func(t *testing.T, _ string) []string { return zitadelArgs(t, z.URL, z.Admin.Token, trusts) }
		}},
		brokenZITADEL("ZITADEL hangs, or something on the way",
			func(z *zitadeltest.Server) []string {
				latency(z, time.Hour)
				return []string{"--upstream-timeout=200ms"}
			},
			func(z *zitadeltest.Server) []string { latency(z, 0); return nil }),
		brokenZITADEL("`curl -i URL/debug/healthz` must show 200",
			func(z *zitadeltest.Server) []string {
				z.Change(func(s *zitadeltest.Settings) { s.Host = "id.example.com" })
				return nil
			},
			func(*zitadeltest.Server) []string { return []string{"--upstream-host=id.example.com"} }),
		brokenZITADEL("look again then; if it goes on",
			func(z *zitadeltest.Server) []string {
				z.Fail(zitadeltest.GetSession, 1, zitadeltest.Failure{Status: http.StatusTooManyRequests, RetryAfter: "5"})
				return nil
			},
			func(*zitadeltest.Server) []string { return nil }),
		{"make a new personal access token", func(t *testing.T) ([]string, follow) {
			z := zitadeltest.Start(t)
			z.RevokeToken(z.Admin.Token)
			return zitadelArgs(t, z.URL, z.Admin.Token), func(t *testing.T, _ string) []string {
				return zitadelArgs(t, z.URL, z.AddAccessToken(z.Admin.UserID, ""))
			}
		}},
		{"make a new key for the service account", func(t *testing.T) ([]string, follow) {
			z := zitadeltest.Start(t)
			old := z.AddKey(z.Admin)
			var key struct{ KeyID string }
			if err := json.Unmarshal(old, &key); err != nil {
				t.Fatal(err)
			}
			z.RemoveKey(key.KeyID)
			args := zitadelArgs(t, z.URL, string(old))
			return args, func(t *testing.T, _ string) []string {
				if err := os.WriteFile(strings.TrimPrefix(args[1], "--upstream-token-file="), z.AddKey(z.Admin), 0o600); err != nil {
					t.Fatal(err)
				}
				return nil
			}
		}},
		{"give the service account a role with session.read", func(t *testing.T) ([]string, follow) {
			z := withSession(t)
			return zitadelArgs(t, z.URL, z.Nobody.Token), func(t *testing.T, _ string) []string { return zitadelArgs(t, z.URL, z.Login.Token) }
		}},
		{"make the service account an IAM_OWNER", func(t *testing.T) ([]string, follow) {
			z := zitadeltest.Start(t)
			return zitadelArgs(t, z.URL, z.Login.Token), func(t *testing.T, _ string) []string { return zitadelArgs(t, z.URL, z.Admin.Token) }
		}},
		brokenZITADEL("see why ZITADEL is slow",
			func(z *zitadeltest.Server) []string {
				latency(z, 100*time.Millisecond)
				return []string{"--upstream-verify-timeout=50ms"}
			},
			func(*zitadeltest.Server) []string { return []string{"--upstream-verify-timeout=1m"} }),
		{"set the clocks of ZITADEL", func(t *testing.T) ([]string, follow) {
			z := zitadeltest.Start(t)
			target, err := url.Parse(z.URL)
			if err != nil {
				t.Fatal(err)
			}
			wrong := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
				ModifyResponse: func(r *http.Response) error {
					r.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
					return nil
				},
			})
			t.Cleanup(wrong.Close)
			return zitadelArgs(t, wrong.URL, z.Admin.Token), func(t *testing.T, _ string) []string { return zitadelArgs(t, z.URL, z.Admin.Token) }
		}},
	}
}

// What there is no advice for.
func TestDoctor_ZITADEL(t *testing.T) {
	t.Parallel()
	z := withSession(t)
	for account, c := range map[zitadeltest.Account]struct {
		more []string
		code int
		want []string
	}{
		z.Admin: {nil, exitOK, []string{"zitadel\nok    reachable      " + z.URL + " answers\n", "\nok    events         the account may search for them", "\nok    clock          that of ZITADEL is within 1s of", "\n\n6 ok\n"}},
		z.Login: {[]string{"--upstream-poll=0"}, exitOK, []string{"\nok    events         are not asked for (--upstream-poll is 0)"}},
		z.Nobody: {[]string{"--redis-url=memory:"}, exitFailed, []string{
			"\nwarn  server       memory: keeps", "\n\nzitadel\nok    reachable", "\nok    credentials    ZITADEL accepts the personal access token\n", "\nFAIL  sessions       the account may see no sessions: it has no role (AUTHZ-cdgFk)\n", "\nok    clock ",
		}},
	} {
		code, text, stderr := once(t, append(append([]string{"doctor"}, zitadelArgs(t, z.URL, account.Token)...), c.more...)...)
		for _, want := range c.want {
			if code != c.code || stderr != "" || !strings.Contains(text, want) {
				t.Errorf("exit code %d, no %q:\n%s%s", code, want, text, stderr)
			}
		}
		if strings.Contains(text, account.Token) {
			t.Error("I6: the token is shown")
		}
	}
	if n := z.Count(zitadeltest.Any); n != z.Count(zitadeltest.GetSession)+z.Count(zitadeltest.ListSessions)+z.Count(zitadeltest.ListEvents)+z.Count(zitadeltest.Other) {
		t.Error("it asks for something that is no read")
	}
	r := consult(t, zitadelArgs(t, z.URL, z.Admin.Token))
	if !r.OK || r.Findings[0].Section != "zitadel" || r.Redis != "" {
		t.Errorf("%+v", r)
	}
	// Lists may show more than may be seen.
	z.Change(func(s *zitadeltest.Settings) { s.RelationalTables = true })
	if text := consult(t, zitadelArgs(t, z.URL, z.AddAccount("half", "IAM_USER_MANAGER").Token)).String(); !strings.Contains(text, "fail sessions : the account may not see a session that is there: ZITADEL answers 403 (AUTH-5mWD2)") {
		t.Error(text)
	}
	if text := consult(t, zitadelArgs(t, zitadeltest.Start(t).URL, z.Admin.Token)).String(); !strings.Contains(text, "fail credentials") {
		t.Error(text)
	}
	empty := zitadeltest.Start(t)
	if text := consult(t, zitadelArgs(t, empty.URL, empty.Login.Token)).String(); !strings.Contains(text, "skip sessions : ZITADEL lists none") {
		t.Error(text)
	}
	code, text, stderr := once(t, "doctor", "--upstream-url="+z.URL)
	if code != exitUsage || text != "" || !strings.Contains(stderr, "--upstream-token-file") {
		t.Errorf("exit code %d: %s%s", code, text, stderr)
	}
}
