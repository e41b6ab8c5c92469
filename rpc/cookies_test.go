package rpc_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
)

// Check finds a token where verify does over HTTP, and refuses what that refuses, for the
// same reason, however the lines are written, joined or not.
func TestCheck_AsVerify(t *testing.T) {
	t.Parallel()
	f := bothFaces(t, func(s *setup) {
		var err error
		if s.api.Verify.Credentials, err = verify.ParseCredentials("cookie:session,bearer,x-session-token"); err != nil {
			t.Fatal(err)
		}
	})
	token := f.stored()
	other := "s2" + token[2:]
	for _, lines := range [][]string{
		{},
		{"cookie: session=" + token},
		{"cookie: a=b; session=" + token + "; c"},
		{"cookie: session=" + token, "cookie: a=b"},
		{"cookie: a=b", "cookie: session=" + token},
		{"cookie: session=" + token, "cookie: session=" + token},
		{"cookie: session=" + token, "cookie: session=" + other},
		{"cookie: session=" + token + "; session=" + other},
		{"cookie: session=" + other + "; session=" + token},
		{"cookie: a=1", "cookie: session=" + other + "; session=" + token},
		{"cookie: =session=" + token},
		{"cookie: session =" + token},
		{"cookie:  session=" + token},
		{"cookie: session= " + token},
		{"cookie: Session=" + token},
		{"cookie: session=" + token + `; session=x"y`},
		{`cookie: session=x"y`},
		{`cookie: session=x"y`, "authorization: Bearer " + token},
		{`cookie: session=a\\b`},
		{`cookie: session="` + token + `"`},
		{"cookie: session="},
		{"cookie: session=", "authorization: Bearer " + token},
		{"cookie: session"},
		{"cookie: ;;=; =;"},
		{"authorization: Bearer " + token},
		{"authorization: bearer  " + token},
		{"authorization: Bearer " + token, "authorization: Bearer " + token},
		{"authorization: Bearer " + token, "authorization: Bearer " + other},
		{"authorization: Basic eDp5"},
		{"authorization: Basic eDp5", "authorization: Bearer " + token},
		{"authorization: Bearer " + token + ", Bearer " + other},
		{"authorization: Bearer"},
		{"authorization: "},
		{"authorization: Bearer " + token, "cookie: session=" + other},
		{"x-session-token: " + token},
		{"x-session-token: " + token, "x-session-token: " + token},
		{"x-session-token: " + token, "x-session-token: " + other},
		{"x-session-token: "},
		{"x-session-token: " + token, "authorization: Bearer " + other},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.rest+"/verify", nil)
		if err != nil {
			t.Fatal(err)
		}
		var headers []string
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Add(name, value)
			headers = append(headers, name, value)
		}
		byHTTP, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		byHTTP.Body.Close()
		for _, raw := range []bool{true, false} {
			answer, err := f.check(raw, "", headers...)
			if err != nil {
				t.Fatalf("%q: %v", lines, err)
			}
			status, reason := http.StatusOK, ""
			if denied := answer.GetDeniedResponse(); denied != nil {
				status = int(denied.GetStatus().GetCode())
				for _, h := range denied.GetHeaders() {
					if h.GetHeader().GetKey() == "x-auth-reason" {
						reason = h.GetHeader().GetValue()
					}
				}
			}
			if status != byHTTP.StatusCode || reason != byHTTP.Header.Get("X-Auth-Reason") {
				t.Errorf("%q, raw %v: %d %s, over HTTP %d %s", lines, raw, status, reason, byHTTP.StatusCode, byHTTP.Header.Get("X-Auth-Reason"))
			}
		}
	}
}

// A policy that the context extensions name holds, the default one beside it, and a client
// has no word in it.
func TestCheck_Policies(t *testing.T) {
	t.Parallel()
	for name, services := range checkListeners {
		f := start(t, func(s *setup) {
			s.rpc.Services = services
			s.api.Verify.Policies = map[string]*verify.Policy{}
			for _, text := range []string{"lax=factors:password", "strict=factors:totp"} {
				of, p, err := verify.ParsePolicy(text)
				if err != nil {
					t.Fatal(err)
				}
				s.api.Verify.Policies[of] = p
			}
		})
		token := f.stored()
		for policy, want := range map[string]int{"": http.StatusOK, "lax": http.StatusOK, "strict": http.StatusForbidden, "unknown": http.StatusForbidden} {
			answer, err := f.check(true, policy, "authorization", "Bearer "+token, ":path", "/verify/p/lax")
			if err != nil {
				t.Fatal(err)
			}
			got := http.StatusOK
			if denied := answer.GetDeniedResponse(); denied != nil {
				got = int(denied.GetStatus().GetCode())
			}
			if got != want {
				t.Errorf("%s, the policy %q: %d, want %d", name, policy, got, want)
			}
		}
	}
}
