package prometheus_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// world is one Cloakroom with all that has metrics, and one in front of a ZITADEL.
type world struct {
	t       *testing.T
	client  *http.Client
	keys    map[string]string // API keys by name
	alone   listeners
	issuer  *oidctest.Issuer
	front   listeners
	zitadel *zitadeltest.Server
	user    string // at ZITADEL
	made    int
}

// listeners are addresses of a process.
type listeners struct{ api, verify, admin string }

func newWorld(t *testing.T) *world {
	t.Helper()
	a, redis := tlstest.NewAuthority(t), redistest.Start(t)
	w := &world{t: t, client: a.Client(nil, nil), keys: map[string]string{}, issuer: oidctest.Start(t), zitadel: zitadeltest.Start(t)}
	w.user = w.zitadel.AddUser(zitadeltest.User{Password: "Password1!"})
	keys := filepath.Join(t.TempDir(), "keys.yaml")
	for name, more := range map[string][]string{"app": nil, "limited": {"--rate", "0.001", "--burst", "1"}} {
		w.keys[name] = programtest.NewKey(t, cloakroomBin, keys, name, append([]string{
			"--user-id", "u", "--permission", "session.read", "--permission", "session.write", "--permission", "session.delete",
		}, more...)...)
	}
	files := a.Mounted(t.TempDir(), tlstest.Pair(a.Issue(time.Hour)))
	w.alone = serve(
		t, redis, "--auth-keys-file", keys, "--http-tls-cert-file", files.Cert, "--http-tls-key-file", files.Key, "--max-sessions-per-user", "1",
		"--auth-issuers-file", testfile.Write(t, fmt.Sprintf("issuers: [{name: kc, issuer: %q, audience: [shop], logout: {audience: [gateway]}}]", w.issuer.URL)),
	)
	w.front.api = redistest.FreeAddr(t)
	_, signingKey := w.zitadel.AddTarget("http://"+w.front.api+"/events/zitadel", "session", "user")
	w.front = serve(
		t, redis, "--http-addr", w.front.api, "--redis-key-prefix", "z:", "--upstream-url", w.zitadel.URL,
		"--upstream-token-file", testfile.Write(t, string(w.zitadel.AddKey(w.zitadel.Admin))), "--upstream-event-key-file", testfile.Write(t, signingKey),
		"--upstream-poll", "200ms", "--verify-accept", "id-token-pair,session", "--max-session-bytes", "2KiB",
	)
	return w
}

// serve starts the program over redis.
func serve(t *testing.T, redis *redistest.Server, flags ...string) listeners {
	t.Helper()
	l := listeners{api: redistest.FreeAddr(t), verify: redistest.FreeAddr(t), admin: redistest.FreeAddr(t)}
	if flags[0] == "--http-addr" {
		l.api = flags[1]
	}
	programtest.Start(t, "cloakroom", "http://"+l.admin+"/readyz", cloakroomBin, append([]string{
		"serve", "--redis-url", redis.URL(), "--http-addr", l.api, "--verify-addr", l.verify, "--admin-addr", l.admin, "--audit-interval", "1m", "--log-level", "warn",
	}, flags...)...)
	return l
}

// ask sends a request, whose answer must have the status, and returns the answer. On a machine with other work to do it may be 503 first.
func (w *world) ask(status int, method, url, body string, header ...string) (answer string) {
	w.t.Helper()
	eventually.Holds(w.t, method+" "+url+" is answered", func() bool {
		var got int
		got, answer = w.once(method, url, body, header)
		if got != status && got != http.StatusServiceUnavailable {
			w.t.Fatalf("%s %s: status %d, want %d: %s", method, url, got, status, answer)
		}
		return got == status
	})
	return answer
}

func (w *world) once(method, url, body string, header []string) (status int, answer string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := w.client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, url, err)
	}
	return response.StatusCode, string(text)
}

// verify asks a verify listener.
func (w *world) verify(status int, at listeners, token string) {
	w.t.Helper()
	w.ask(status, "GET", "http://"+at.verify+"/", "", "Authorization", "Bearer "+token)
}

// traffic has each process do some of everything.
func (w *world) traffic() {
	w.t.Helper()
	id, token := w.zitadel.CreateSession(zitadeltest.Session{UserID: w.user, Password: true, Metadata: map[string][]byte{"k": make([]byte, 4096)}})
	w.verify(http.StatusServiceUnavailable, w.front, id+":"+token) // too large to be kept
	api, key := "https://"+w.alone.api, []string{"Authorization", "Bearer " + w.keys["app"]}
	now := time.Now().UTC().Truncate(time.Second)
	var last struct{ SessionToken string }
	for range 2 { // the second evicts the first
		w.made++
		id = fmt.Sprint("made-", w.made)
		session := fmt.Sprintf(`{"creationDate":%q,"factors":{"user":{"verifiedAt":%[1]q,"id":"ada"},"password":{"verifiedAt":%[1]q}}}`, now.Format(time.RFC3339))
		answer := w.ask(http.StatusCreated, "PUT", api+"/v2/sessions/"+id+"?issueToken=true", session, key...)
		if err := json.Unmarshal([]byte(answer), &last); err != nil {
			w.t.Fatal(err)
		}
	}
	for range 2 {
		w.verify(http.StatusOK, w.alone, last.SessionToken)
		w.ask(http.StatusOK, "GET", api+"/v2/sessions/"+id, "", key...)
		w.ask(http.StatusOK, "POST", api+"/v2/sessions/search", `{"queries":[{"userIdQuery":{"id":"ada"}}]}`, key...)
		w.ask(http.StatusOK, "POST", api+"/v2/sessions/search", `{}`, key...)
	}
	w.verify(http.StatusUnauthorized, w.alone, "of.nobody")
	w.ask(http.StatusUnauthorized, "GET", "http://"+w.alone.verify+"/", "")
	if w.made == 2 {
		w.ask(http.StatusNotFound, "GET", api+"/v2/sessions/none", "", "Authorization", "Bearer "+w.keys["limited"])
	}
	w.ask(http.StatusTooManyRequests, "GET", api+"/v2/sessions/none", "", "Authorization", "Bearer "+w.keys["limited"])
	w.ask(http.StatusOK, "DELETE", api+"/v2/sessions/"+id, "", key...)
	w.verify(http.StatusUnauthorized, w.alone, last.SessionToken)
	logout := func() string {
		return url.Values{"logout_token": {w.issuer.Sign(map[string]any{
			"iss": w.issuer.URL, "aud": "gateway", "iat": now.Unix(), "jti": fmt.Sprint(w.made), "sub": "ada", "events": map[string]any{oidctest.LogoutEvent: map[string]any{}},
		})}}.Encode()
	}
	w.ask(http.StatusOK, "POST", api+"/backchannel-logout", logout(), "Content-Type", "application/x-www-form-urlencoded")
	w.ask(http.StatusBadRequest, "POST", api+"/backchannel-logout", logout(), "Content-Type", "application/x-www-form-urlencoded") // used before

	id, token = w.zitadel.CreateSession(zitadeltest.Session{UserID: w.user, Password: true})
	w.verify(http.StatusOK, w.front, id+":"+token)
	w.verify(http.StatusOK, w.front, id+":"+token)
	w.verify(http.StatusUnauthorized, w.front, w.zitadel.NewID()+":unknown")
	w.zitadel.Terminate(id)
	w.zitadel.WaitForFeed()
}

// trouble has ZITADEL ask for a pause, so that two verifies are 503.
func (w *world) trouble() {
	w.t.Helper()
	id, token := w.zitadel.CreateSession(zitadeltest.Session{UserID: w.user, Password: true})
	w.zitadel.Fail(zitadeltest.GetSession, 1, zitadeltest.Failure{Status: http.StatusTooManyRequests, RetryAfter: "60"})
	w.verify(http.StatusServiceUnavailable, w.front, id+":"+token)
	w.verify(http.StatusServiceUnavailable, w.front, id+":"+token)
}
