// Package console_test drives the console of the running program in a real browser, over a real Redis.
package console_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// sessions is how many ordinary sessions there are, of users users.
const sessions, users = 5000, 50

// keyFlags are the API keys by name.
var keyFlags = map[string][]string{
	"admin":   {"--permission=session.read", "--permission=session.write", "--permission=session.delete"},
	"reader":  {"--permission=session.read"},
	"org":     {"--permission=session.read@org-1", "--permission=session.delete@org-1"},
	"leaving": {"--permission=session.read"},
}

// world is the program with a console, and what is around it.
type world struct {
	t          *testing.T
	redis      *redistest.Server
	bin        string
	program    *programtest.Program
	api, admin string
	keysFile   string
	keys       map[string]string // secrets by name
	tokens     map[string]string // session tokens by name
}

// A browser does everything that an operator does with the console.
func TestConsole(t *testing.T) {
	if !nodetest.Have(t, "node", "npm", "chromium") {
		return
	}
	nodetest.Install(t)
	w := newWorld(t)
	control := httptest.NewServer(w.control())
	defer control.Close()
	env := w.env(control.URL)
	for _, of := range []string{"signin", "search", "session", "verify", "revoke", "permissions", "hostile", "keyboard", "accessible", "live", "recovery", "away"} {
		t.Run(of, func(t *testing.T) { nodetest.Run(t, of, env, of+".test.mjs") })
	}
	log := w.program.Log(t)
	for name, secret := range w.keys { // I6
		if strings.Contains(log, secret) {
			t.Errorf("the log has the key %s", name)
		}
	}
	for name, token := range w.tokens { // I6
		if strings.Contains(log, token) {
			t.Errorf("the log has the token %s", name)
		}
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	bin, err := programtest.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, redis: redistest.Start(t, "appendonly yes"), bin: bin, api: redistest.FreeAddr(t), admin: redistest.FreeAddr(t), keysFile: filepath.Join(dir, "keys.yaml"), keys: map[string]string{}, tokens: map[string]string{},
	}
	for name, flags := range keyFlags {
		w.keys[name] = programtest.NewKey(t, bin, w.keysFile, name, append([]string{"--user-id", "svc-" + name}, flags...)...)
	}
	w.program = programtest.Start(t, "cloakroom", "http://"+w.admin+"/readyz", bin,
		"serve", "--redis-url", w.redis.URL(), "--http-addr", w.api, "--admin-addr", w.admin, "--auth-keys-file", w.keysFile, "--console", "--stale-if-error", "1m",
		"--verify-policy", "admin=factors:password+totp,max_age:15m", "--verify-policy", "org=organizations:org-1", "--max-session-bytes", "64KiB")
	w.store()
	return w
}

// store stores the sessions: ordinary ones, those of users that tests revoke, hostile ones, and some with tokens to paste.
func (w *world) store() {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	var lines bytes.Buffer
	add := func(id string, age, left time.Duration, factors, rest string) {
		created := now.Add(-age).Format(time.RFC3339)
		fmt.Fprintf(&lines, `{"id":%q,"creationDate":%q,"changeDate":%q,"expirationDate":%q,"factors":%s%s}`+"\n", id, created, created, now.Add(left).Format(time.RFC3339), factors, rest)
	}
	user := func(id, org string, age time.Duration) string {
		at := now.Add(-age).Format(time.RFC3339)
		return fmt.Sprintf(`{"user":{"verifiedAt":%q,"id":%q,"loginName":%q,"displayName":%q,"organizationId":%q},"password":{"verifiedAt":%[1]q}}`, at, id, id+"@example.com", "User "+id, org)
	}
	for i := range sessions {
		age := time.Duration(i+60) * time.Second
		agent := fmt.Sprintf(`,"userAgent":{"fingerprintId":"device-%d","ip":"192.0.2.%d","description":"Firefox on Linux","header":{"accept-language":{"values":["en"]}}},"metadata":{"cart":"NDI="}`, i%200, i%250)
		add(fmt.Sprintf("s-%04d", i), age, time.Duration(i%72+1)*time.Hour, user(fmt.Sprintf("user-%02d", i%users), fmt.Sprintf("org-%d", i%3), age), agent)
	}
	for i := range 30 {
		for _, of := range []string{"one", "all", "match", "key"} {
			add(fmt.Sprintf("end-%s-%02d", of, i), time.Duration(10_000+i)*time.Second, 2*time.Hour, user("end-"+of, "org-1", 0), `,"userAgent":{"fingerprintId":"device-end-`+of+`"}`)
		}
	}
	for i, name := range hostile {
		text, err := json.Marshal(name)
		if err != nil {
			w.t.Fatal(err)
		}
		big := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(`<script>window.hacked=1</script>`, 512)))
		add(fmt.Sprintf("hostile-%d", i), time.Minute, time.Hour,
			fmt.Sprintf(`{"user":{"verifiedAt":%q,"id":"hostile","loginName":%s,"displayName":%[2]s,"organizationId":"org-0"}}`, now.Format(time.RFC3339), text),
			fmt.Sprintf(`,"userAgent":{"fingerprintId":"device-hostile","description":%s,"ip":"198.51.100.1","header":{"x-evil":{"values":[%[1]s]}}},"metadata":{"big":%q}`, text, big))
	}
	answer := w.call("POST", "/v2/sessions/import", lines.String())
	if !strings.Contains(answer, `"failed":0,`) {
		w.t.Fatalf("import: %s", answer)
	}
	for _, name := range []string{"good", "revoked", "replaced"} {
		text := w.call("PUT", "/v2/sessions/token-"+name+"?issueToken=true", fmt.Sprintf(`{"creationDate":%q,"factors":%s}`, now.Format(time.RFC3339), user("tokens", "org-1", 0)))
		var made struct{ SessionToken string }
		if err := json.Unmarshal([]byte(text), &made); err != nil {
			w.t.Fatal(err)
		}
		w.tokens[name] = made.SessionToken
	}
	w.call("DELETE", "/v2/sessions/token-revoked", "")
	w.call("PATCH", "/v2/sessions/token-replaced", `{"metadata":{"k":"dg=="}}`)
}

// hostile are names that must not do anything to a page, nor to the lines around them.
var hostile = []string{
	`<img src=x onerror="window.hacked=1">`, `"><script>window.hacked=1</script>`, `javascript:window.hacked=1`, "\u202egnp.exe\u202c", "שלום עולם", strings.Repeat("W", 200), "a\u0000b\u001b[31mc\u200bd", "{{constructor.constructor('window.hacked=1')()}}",
}

// call asks the API as admin; the answer must be good.
func (w *world) call(method, path, body string) string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.api+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.keys["admin"])
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil || response.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %v, %d %s", method, path, err, response.StatusCode, text.String())
	}
	return text.String()
}

// env is what the tests in JavaScript know of the world.
func (w *world) env(control string) []string {
	w.t.Helper()
	isDone := testdepth.OneIn(w.t, 2) // of the looks of a view
	text, err := json.Marshal(map[string]any{
		"console": "http://" + w.admin + "/console/", "api": "http://" + w.api, "control": control, "keys": w.keys, "tokens": w.tokens, "sessions": sessions, "users": users, "hostile": len(hostile), "turns": []bool{isDone(0), isDone(1)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return []string{"CLOAKROOM_WORLD=" + string(text)}
}

// control lets the tests in JavaScript change the world.
func (w *world) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /redis/stop", func(http.ResponseWriter, *http.Request) { w.redis.Stop() })
	mux.HandleFunc("POST /redis/start", func(http.ResponseWriter, *http.Request) { w.redis.Restart() })
	mux.HandleFunc("POST /keys/remove", func(out http.ResponseWriter, r *http.Request) {
		if err := removeKey(w.keysFile, r.FormValue("name")); err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// removeKey takes a key out of the keys file, whose entries begin with "- name: ".
func removeKey(file, name string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var kept []string
	leave := false
	for line := range strings.Lines(string(text)) {
		if at := strings.Index(line, "- name: "); at >= 0 {
			leave = strings.TrimSpace(line[at+len("- name: "):]) == name
		}
		if !leave {
			kept = append(kept, line)
		}
	}
	return os.WriteFile(file, []byte(strings.Join(kept, "")), 0o600)
}
