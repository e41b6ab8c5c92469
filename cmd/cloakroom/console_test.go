package main

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// asPage sends what the page of a console sends, with its cookie and its proof if it has signed in: "COOKIE PROOF". It returns
// the answer, and those that it gives, if it does.
func asPage(t *testing.T, console, method, path, body, signedIn string) (status int, answer, given string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, console+"api/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	cookie, proof, _ := strings.Cut(signedIn, " ")
	req.Header.Set("X-Console", cmp.Or(proof, "1"))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Cookie", cookie)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&text); err != nil {
		t.Fatal(err)
	}
	var told struct{ Proof string }
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	cookie, _, _ = strings.Cut(res.Header.Get("Set-Cookie"), ";")
	return res.StatusCode, string(text), cookie + " " + told.Proof
}

func TestConsole_OfTheProgram(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	file := filepath.Join(t.TempDir(), "keys.yaml")
	key := newKey(t, "--name=on-call", "--user-id=svc", "--permission=session.read", "--permission=session.delete", "--file="+file)
	p := launch(t, append([]string{
		"serve", "--redis-url", redis.URL(), "--auth-keys-file", file, "--console", "--verify-policy=admin=factors:totp", "--verify-default-policy=admin", "--log-level=debug",
	}, quick()...))
	_, admin := p.ready(t)
	console := p.logged(t, "ready", 1)["console"].(string)
	if console != admin+"/console/" {
		t.Errorf("the console is at %s, the admin listener at %s", console, admin)
	}
	if page := want(t, 200, "GET", console, ""); !strings.Contains(page, "<title>") {
		t.Errorf("got %s", page)
	}
	if status, answer, _ := asPage(t, console, "GET", "me", "", ""); status != 401 {
		t.Errorf("got %d %s", status, answer)
	}
	status, me, signedIn := asPage(t, console, "POST", "sign-in", `{"key":"`+key+`"}`, "")
	for _, part := range []string{`"name":"on-call"`, `"stalenessSeconds":1,`, `"replicas":0,`, `"zitadel":false,`, `"policies":[{"name":"admin","asks":"factors totp","default":true}]`} {
		if status != 200 || !strings.Contains(me, part) {
			t.Errorf("got %d %s, without %s", status, me, part)
		}
	}
	for path, part := range map[string]string{"me": `"name":"on-call"`, "live": `"part":"redis"`, "revocations": `{"revocations":[]}`} {
		got := ""
		for !strings.Contains(got, part) && !t.Failed() { // health is looked at once somebody has asked
			if status, got, _ = asPage(t, console, "GET", path, "", signedIn); status != 200 {
				t.Errorf("%s: got %d %s", path, status, got)
			}
		}
	}
	if status, answer, _ := asPage(t, console, "POST", "search", `{}`, signedIn); status != 200 || !strings.Contains(answer, `"totalResult":"0"`) {
		t.Errorf("got %d %s", status, answer)
	}
	if metrics := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(metrics, `protocol="console",route="POST /v2/sessions/search"`) {
		t.Error("what the console asks is not counted as its own")
	}
	// Another key in place of this one ends its session.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	newKey(t, "--name=other", "--user-id=svc", "--permission=session.read", "--file="+file)
	p.hangup <- nil
	p.logged(t, "API keys reloaded", 1)
	if status, answer, _ := asPage(t, console, "GET", "me", "", signedIn); status != 401 {
		t.Errorf("a key that was taken away is still signed in: %d %s", status, answer)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	cookie, proof, _ := strings.Cut(signedIn, " ")
	_, value, _ := strings.Cut(cookie, "=")
	if log := p.stderr.String(); strings.Contains(log, key) || strings.Contains(log, value) || strings.Contains(log, proof) || !strings.Contains(log, `"msg":"console sign-in"`) {
		t.Errorf("I6: the log has the key, the cookie or the proof, or no sign-in: %s", log)
	}
}

// While Redis is away from the start, the page is there, and its calls are answered with what /readyz says.
func TestConsole_WaitsForRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Stop()
	p := launch(t, append([]string{"serve", "--redis-url", redis.URL(), "--auth-anonymous", "--console"}, quick()...))
	console := "http://" + p.logged(t, "starting", 1)["admin"].(string) + "/console/"
	p.logged(t, "redis is not usable yet, trying again", 1)
	want(t, 200, "GET", console, "")
	if status, answer, _ := asPage(t, console, "GET", "me", "", ""); status != 503 || !strings.Contains(answer, "waiting for redis: ") {
		t.Errorf("got %d %s", status, answer)
	}
	redis.Restart()
	p.ready(t)
	if status, answer, _ := asPage(t, console, "GET", "me", "", ""); status != 200 || !strings.Contains(answer, `"anonymous":true`) {
		t.Errorf("got %d %s", status, answer)
	}
}

// Off, there is no route and no goroutine of the console. It is not parallel: the profile is of the whole process.
func TestConsole_OffCostsNothing(t *testing.T) {
	for flag, on := range map[string]bool{"--console=false": false, "--console=true": true} {
		p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous", flag}, quick()...))
		_, admin := p.ready(t)
		if line := p.logged(t, "ready", 1); (line["console"] != nil) != on {
			t.Errorf("%s: the log says that it is at %v", flag, line["console"])
		}
		if running := want(t, 200, "GET", admin+"/debug/pprof/goroutine?debug=1", ""); strings.Contains(running, "/httpapi/console") != on {
			t.Errorf("%s: goroutines are %s", flag, running)
		}
		for _, path := range []string{"/console", "/console/", "/console/api/me"} {
			if status, _ := call(t, "GET", admin+path, "", "X-Console", "1"); (status == 404) == on {
				t.Errorf("%s: %s is answered %d", flag, path, status)
			}
		}
		if code := p.stop(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}
