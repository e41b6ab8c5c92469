package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// listed runs `sessions list` and returns its lines; it must succeed and say log.
func listed(t *testing.T, log string, args ...string) []string {
	t.Helper()
	code, out, gotLog := once(t, append([]string{"sessions", "list"}, args...)...)
	if code != exitOK || gotLog != log {
		t.Fatalf("%q: got %d, %q, want %q", args, code, gotLog, log)
	}
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// Every session is listed once, in order, whatever the limit, the sidecar's pages and the form.
func TestSessionsList_Pages(t *testing.T) {
	t.Parallel()
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous", "--search-max-limit=90", "--search-default-limit=70"}, quick()...))
	api, _ := p.ready(t)
	const stored = 600
	var lines strings.Builder
	var want []string // newest first
	for i := range stored {
		// Every date is that of three sessions.
		at := time.Date(2026, 1, 1, 0, 0, i/3, 0, time.UTC).Format(time.RFC3339)
		fmt.Fprintf(&lines, `{"id":"s%03d","creationDate":%q,"factors":{"user":{"id":"u%d"}}}`+"\n", i, at, i%2)
		want = append([]string{fmt.Sprintf("s%03d", i)}, want...)
	}
	if _, body := call(t, "POST", api+"/v2/sessions/import", lines.String()); !strings.Contains(body, `"stored":600`) {
		t.Fatal(body)
	}
	ids := func(want []string, log string, args ...string) {
		t.Helper()
		if got := listed(t, log, append([]string{"--url", api, "--output=id"}, args...)...); !slices.Equal(got, want) {
			t.Errorf("%q: got %d sessions, want %d\n%q", args, len(got), len(want), got)
		}
	}
	ids(want, "", "--limit=0")
	ids(want, "", "--limit=600")
	ids(want, "", "--limit=4000", "--fresh")
	ids(want[:100], "these are the newest 100 of 600 sessions; --limit 0 lists all\n")
	ids(want[:1], "these are the newest 1 of 600 sessions; --limit 0 lists all\n", "--limit=1")
	ids(want[:90], "these are the newest 90 of 600 sessions; --limit 0 lists all\n", "--limit=90")
	ids(want[:599], "these are the newest 599 of 600 sessions; --limit 0 lists all\n", "--limit=599")
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	ids(backwards, "", "--limit=0", "--asc")
	ids(backwards[:250], "these are the oldest 250 of 600 sessions; --limit 0 lists all\n", "--limit=250", "--asc")
	ids([]string{"s011", "s009"}, "", "--user-id=u1", "--created-before=2026-01-01T00:00:04Z", "--created-after=2026-01-01T00:00:02Z")

	// JSON is what the API has, byte for byte.
	_, body := call(t, "POST", api+"/v2/sessions/search", `{"query":{"limit":90}}`)
	var page struct{ Sessions []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	got := listed(t, "these are the newest 90 of 600 sessions; --limit 0 lists all\n", "--url", api, "--limit=90")
	for i, line := range got {
		if line != string(page.Sessions[i]) {
			t.Errorf("got %s, want %s", line, page.Sessions[i])
		}
	}
	_, out, _ := once(t, "sessions", "list", "--url", api, "--limit=0", "--output=json")
	var all []struct{ ID string }
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != stored || all[0].ID != want[0] || all[stored-1].ID != want[stored-1] {
		t.Errorf("%v, %d sessions", err, len(all))
	}
	if _, out, _ := once(t, "sessions", "list", "--url", api, "--user-id=nobody", "--output=json"); out != "[]\n" {
		t.Errorf("got %q", out)
	}
	if got := listed(t, "", "--url", api, "--user-id=nobody"); !slices.Equal(got, []string{""}) {
		t.Errorf("got %q", got)
	}
	if got := listed(t, "no session of user nobody\n", "--url", api, "--user-id=nobody", "--output=table"); !slices.Equal(got, []string{""}) {
		t.Errorf("got %q", got)
	}
	table := listed(t, "", "--url", api, "--limit=0", "--output=table")
	if len(table) != stored+1 || !strings.HasPrefix(table[0], "ID    USER  LOGIN NAME") || !strings.HasPrefix(table[stored], "s000  u0    -") {
		t.Errorf("%d lines: %q … %q", len(table), table[0], table[len(table)-1])
	}
}

// With the same flags, list shows the sessions that revoke would end.
func TestSessionsListIsWhatRevokeFinds(t *testing.T) {
	t.Parallel()
	api, _ := serveOpen(t)
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339) }
	put := func(id, body string) {
		t.Helper()
		want(t, http.StatusCreated, "PUT", api+"/v2/sessions/"+id, body)
	}
	put("young", `{"creator":"gateway","creationDate":"`+at(-time.Minute)+`","expirationDate":"`+at(30*time.Minute)+`","factors":{"user":{"id":"alice"}},"userAgent":{"fingerprintId":"fp"}}`)
	put("middle", `{"creator":"gateway","creationDate":"`+at(-3*time.Hour)+`","expirationDate":"`+at(50*time.Hour)+`","factors":{"user":{"id":"bob"}},"userAgent":{"fingerprintId":"fp"}}`)
	put("old", `{"creator":"mirror","creationDate":"`+at(-15*24*time.Hour)+`","factors":{"user":{"id":"alice"}}}`)
	f := func(ids string, args ...string) {
		t.Helper()
		args = append(args, "--url", api)
		got := listed(t, "", append(args, "--output=id")...)
		if strings.Join(got, " ") != ids {
			t.Errorf("%q: got %q, want %q", args, got, ids)
		}
		_, out, _ := once(t, append([]string{"sessions", "revoke", "--dry-run"}, args...)...)
		if n := len(strings.Fields(ids)); n > 0 && !strings.HasPrefix(out, strconv.Itoa(n)+" session") || n == 0 && !strings.HasPrefix(out, "there is nothing to revoke: ") {
			t.Errorf("%q: revoke would revoke %q, want %d", args, out, n)
		}
	}
	f("young old", "--user-id=alice")
	f("young middle", "--agent-id=fp")
	f("old", "--creator-id=mirror")
	f("young middle", "--id=middle", "--id=young", "--id=none")
	f("young", "--created-after=2h")
	f("young middle", "--created-after=1w")
	f("young middle", "--created-after", at(-4 * time.Hour)[:len(time.DateOnly)], "--agent-id=fp")
	f("middle old", "--created-before=1h30m")
	f("old", "--created-before=2w")
	f("", "--created-before=2w2d")
	f("young middle old", "--created-before=now")
	f("young", "--expires-before=1h")
	f("young middle", "--expires-before=3d")
	f("middle old", "--expires-after=1d")
	f("old", "--expires-after=2050-01-01")
	f("middle", "--created-after=3h30m", "--created-before=2h", "--user-id=bob")
	f("", "--user-id=bob", "--creator-id=mirror")
}

func TestSessionsGet(t *testing.T) {
	t.Parallel()
	api, _ := serveOpen(t)
	want(t, http.StatusCreated, "PUT", api+"/v2/sessions/a-b.c~d:e", `{"creator":"gateway","creationDate":"2026-01-01T00:00:00.5Z","changeDate":"2026-01-01T00:00:01Z","sequence":"7","expirationDate":"2090-01-01T00:00:00Z",
		"factors":{"user":{"id":"alice","verifiedAt":"2026-01-01T00:00:00Z","loginName":"alice@example.com","displayName":"Alice \u001b[31mRed","organizationId":"org-1"},"password":{"verifiedAt":"2026-01-01T00:00:00Z"},"webAuthN":{"verifiedAt":"2026-01-01T00:00:01Z","userVerified":true},"otpSms":{}},
		"metadata":{"app":"c2hvcA==","bytes":"AAEC"},"userAgent":{"fingerprintId":"fp","ip":"192.0.2.7","description":"Firefox","header":{"accept-language":{"values":["en","de"]}}}}`)
	get := func(code int, args ...string) (out, log string) {
		t.Helper()
		got, out, log := once(t, append([]string{"sessions", "get", "--url", api}, args...)...)
		if got != code {
			t.Fatalf("%q: got %d, %s%s", args, got, out, log)
		}
		return out, log
	}
	_, body := call(t, "GET", api+"/v2/sessions/a-b.c~d:e", "")
	line, _ := get(exitOK, "a-b.c~d:e")
	if `{"session":`+strings.TrimSuffix(line, "\n")+`}` != strings.TrimSpace(body) {
		t.Errorf("got %s, want %s", line, body)
	}
	if indented, _ := get(exitOK, "a-b.c~d:e", "--output=json", "--fresh"); !strings.HasPrefix(indented, "{\n  \"id\": \"a-b.c~d:e\",\n") || !strings.HasSuffix(indented, "\n}\n") {
		t.Errorf("got %s", indented)
	}
	text, _ := get(exitOK, "a-b.c~d:e", "--output=text")
	text = regexp.MustCompile(`, (in )?\d+[smhd]( ago)?`).ReplaceAllString(text, "") // whenever the test runs
	if want := `id            a-b.c~d:e
user          alice
login name    alice@example.com
display name  Alice [31mRed
organization  org-1
created       2026-01-01T00:00:00Z
changed       2026-01-01T00:00:01Z
ends          2090-01-01T00:00:00Z
sequence      7
user factor   2026-01-01T00:00:00Z
password      2026-01-01T00:00:00Z
webAuthN      2026-01-01T00:00:01Z, with user verification
otpSms        not verified
user agent    Firefox
agent id      fp
ip address    192.0.2.7
header        accept-language: en, de
metadata      app: shop
metadata      bytes: AAEC (base64)
`; text != want {
		t.Errorf("got\n%s", text)
	}
	if _, log := get(exitFailed, "none"); log != "cloakroom sessions get: there is no session none\n" {
		t.Errorf("got %q", log)
	}
	if _, log := get(exitFailed, "a/b"); log != "cloakroom sessions get: there is no session a/b\n" {
		t.Errorf("got %q", log)
	}
	if _, log := get(exitUsage); !strings.Contains(log, "say which session: cloakroom sessions get ID") {
		t.Errorf("got %q", log)
	}
	want(t, http.StatusCreated, "PUT", api+"/v2/sessions/--fresh", `{"factors":{"user":{"id":"dash"}}}`)
	if line, _ := get(exitOK, "--output=jsonl", "--", "--fresh"); !strings.HasPrefix(line, `{"id":"--fresh",`) {
		t.Errorf("got %q", line)
	}
	if _, log := get(exitUsage, "a", "--", "--fresh"); !strings.Contains(log, "argument 5 is no flag") {
		t.Errorf("got %q", log)
	}
	if _, log := get(exitUsage, ""); !strings.Contains(log, "say which session: cloakroom sessions get ID") {
		t.Errorf("got %q", log)
	}
	if _, log := get(exitUsage, "a", "b"); !strings.Contains(log, "argument 4 is no flag") {
		t.Errorf("got %q", log)
	}
	if _, log := get(exitUsage, "a", "--output=table"); !strings.Contains(log, "--output must be text, json or jsonl") {
		t.Errorf("got %q", log)
	}
}

func TestSessionsListFaults(t *testing.T) {
	f := func(reason string, args ...string) {
		t.Helper()
		code, out, log := once(t, append([]string{"sessions"}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(log, reason) {
			t.Errorf("%q: got %d, %q, %q, want %q", args, code, out, log, reason)
		}
	}
	f("say list, get")
	f("unknown verb \"frobnicate\"; it is list, get", "frobnicate")
	f("--limit must be a whole number of sessions, or 0 for all", "list", "--limit=-1")
	f("--limit must be a whole number", "list", "--limit=many")
	f("--limit must be a whole number", "list", "--limit=9999999999")
	f("--output must be table, wide, json, jsonl or id", "list", "--output=yaml")
	f("--output is given 2 times", "list", "--output=id", "--output=id")
	f("--created-after must be an instant (2026-01-31T12:00:00Z), a date (2026-01-31, which begins at 00:00 UTC), now, or a time ago (", "list", "--created-after=yesterday")
	f("--expires-before must be an instant (2026-01-31T12:00:00Z), a date (2026-01-31, which begins at 00:00 UTC), now, or a time from now (", "list", "--expires-before=tomorrow")
	f("--user-id has an empty value", "list", "--user-id=")
	f("3 faults", "list", "--limit=x", "--created-after=x", "--output=x")
	f(`unknown flag "--all"`, "list", "--all")
	f("no such file", "list", "--key-file=/nonexistent/key")
	f("--url must be http://HOST:PORT", "get", "x", "--url=ftp://x")
}

// What is wrong at the other end is said with what to do about it, and what was listed until then is printed.
func TestSessionsListErrors(t *testing.T) {
	t.Parallel()
	_, admin := serveOpen(t)
	var asked []string
	answers := func(status int, bodies ...string) string {
		t.Helper()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Header.Get("Session-Consistency"))
			if len(bodies) > 1 {
				fmt.Fprint(w, bodies[0])
				bodies = bodies[1:]
				return
			}
			w.WriteHeader(status)
			fmt.Fprint(w, bodies[0])
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	f := func(out, says, url string, args ...string) {
		t.Helper()
		code, gotOut, log := once(t, append([]string{"sessions", "list", "--limit=0", "--output=id", "--url", url}, args...)...)
		if code != exitFailed || gotOut != out || !strings.Contains(log, says) || strings.ContainsAny(log, "\x1b\r") {
			t.Errorf("got %d, %q, %q, want %q, %q", code, gotOut, log, out, says)
		}
	}
	f("", "cannot reach a sidecar at http://127.0.0.1:1: ", "http://127.0.0.1:1")
	f("", "is it the address of the API, not that of the admin listener", admin)
	f("", "answered 401: auth header missing; give an API key with --key-file", answers(401, `{"code":16,"message":"auth header missing"}`))
	f("", "answered 503: away; run the same again once Redis is back", answers(503, `{"code":14,"message":"away"}`))
	f("", "answered 429: search too costly: name a user\n", answers(429, `{"code":8,"message":"search too costly: name a user"}`))
	f("", "answered 429: at most 4; try again later", answers(429, `{"code":8,"message":"at most 4"}`))
	f("", "answered 400: bad [31mred", answers(400, `{"code":3,"message":"bad \u001b[31mred\r"}`))
	for _, body := range []string{"hello", "{}", `{"details":{"totalResult":"-1"}}`, `{"details":{"totalResult":"1"},"sessions":{}}`} {
		f("", "did not answer as cloakroom does; --url says where it listens", answers(200, body))
	}
	first := `{"details":{"totalResult":"3","nextCursor":"x"},"sessions":[{"id":"a"},{"id":"b"}]}`
	f("a\nb\n", "answered 503: away", answers(503, first, `{"code":14,"message":"away"}`), "--fresh")
	if want := []string{"fresh", "fresh"}; !slices.Equal(asked[len(asked)-2:], want) {
		t.Errorf("asked with %q", asked)
	}

	code, out, log := once(t, "sessions", "list", "--output=table", "--url", answers(200, `{"details":{"totalResult":"1"},"sessions":[{"id":7}]}`))
	if code != exitFailed || out != "" || !strings.Contains(log, "a session that cannot be read: ") || !strings.Contains(log, "--output jsonl prints it as it is") {
		t.Errorf("got %d, %q, %q", code, out, log)
	}
	code, out, _ = once(t, "sessions", "list", "--output=jsonl", "--url", answers(200, `{"details":{"totalResult":"1"},"sessions":[{"id":7,`+"\n"+` "x": "ä"}]}`))
	if code != exitOK || out != `{"id":7,"x":"ä"}`+"\n" {
		t.Errorf("got %d, %q", code, out)
	}
}

// The commands of docs/operations.md do what it says.
func TestSessionsPage_EveryCommand(t *testing.T) {
	t.Parallel()
	api, _ := serveOpen(t)
	now := time.Now().UTC()
	want(t, http.StatusCreated, "PUT", api+"/v2/sessions/old", `{"creationDate":"2026-01-01T00:00:00Z","factors":{"user":{"id":"alice"}}}`)
	want(t, http.StatusCreated, "PUT", api+"/v2/sessions/new", `{"expirationDate":"`+now.Add(time.Hour).Format(time.RFC3339)+`","factors":{"user":{"id":"alice"}},"userAgent":{"fingerprintId":"fp-alice"}}`)
	dir := t.TempDir()
	says := []string{`{"id":"old"`, "", `{"id":"new"`, `"candidates":"1"`, "1 session of user alice created before 2026-01-31T00:00:00Z would be revoked"}
	commands := strings.Split(strings.TrimSpace(commandsBelow(t, operations, "## Sessions at the command line")), "\n")
	if len(commands) != len(says) {
		t.Fatalf("there are %d commands, and %d are known", len(commands), len(says))
	}
	path := "PATH=" + commandDir(t) + ":" + os.Getenv("PATH")
	for i, command := range commands {
		command = regexp.MustCompile(`cloakroom sessions \w+`).ReplaceAllString(command, "$0 --url "+api)
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir, cmd.Env = dir, []string{path}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), says[i]) {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	if lines := readDoc(t, filepath.Join(dir, "sessions.jsonl")); strings.Count(lines, "\n") != 1 || !strings.HasPrefix(lines, `{"id":"new"`) {
		t.Errorf("got %s", lines)
	}
}

// Explain says how list finds what it lists, whether or not it may.
func TestSessionsExplain(t *testing.T) {
	t.Parallel()
	p := launch(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous", "--search-max-candidates=400", "--search-max-limit=90", "--search-default-limit=90"}, quick()...))
	api, _ := p.ready(t)
	var lines strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&lines, `{"id":"s%d","creator":"c%d","expirationDate":"20%d0-01-01T00:00:00Z","factors":{"user":{"id":"u%d"}}}`+"\n", i, i%2, 5+i%2*2, i%100)
	}
	want(t, 200, "POST", api+"/v2/sessions/import", lines.String())
	f := func(code int, log, text string, args ...string) {
		t.Helper()
		gotCode, out, gotLog := once(t, append([]string{"sessions", "explain", "--output=text", "--url", api}, args...)...)
		out = regexp.MustCompile(`(round trips    |took           )\S+`).ReplaceAllString(out, "${1}#")
		if gotCode != code || out != text[1:] || !strings.Contains(gotLog, log) || (log == "") != (gotLog == "") {
			t.Errorf("%q: got %d, %q\n%s", args, gotCode, gotLog, out)
		}
	}
	f(exitOK, "", `
plan           examine the user's list, if each list has fewer than 250; else count; filtered by userIdQuery; from masters
driven by      the user's list, by --user-id
step           read the beginning of each list
candidates     11, of which 11 were examined; a search may examine 400
sessions read  0 from copies, 11 from Redis, 0 from replicas
round trips    #
took           # ms in the store
found          11 sessions of user u7
`, "--user-id=u7")
	f(exitOK, "", `
plan           examine 2 given IDs; filtered by idsQuery; from masters
driven by      the IDs, by --id
step           took the IDs that were given
candidates     2, of which 2 were examined; a search may examine 400
sessions read  0 from copies, 2 from Redis, 0 from replicas
round trips    #
took           # ms in the store
found          1 session with one of 2 IDs
`, "--id=s1", "--id=none", "--fresh")
	code, out, log := once(t, "sessions", "explain", "--url", api, "--expires-before=2060-01-01", "--created-after=2026-01-01", "--output=text")
	if code != exitFailed || !strings.Contains(log, "answered 429: search too costly") || !strings.Contains(out, "\nstep           refused, because there are too many candidates\n") || strings.Contains(out, "\nfound") {
		t.Errorf("got %d, %q\n%s", code, log, out)
	}
	code, out, log = once(t, "sessions", "explain", "--url", api)
	var explained struct{ Plan, Candidates string }
	if err := json.Unmarshal([]byte(out), &explained); err != nil || code != exitOK || log != "" || explained.Plan == "" || explained.Candidates != "1100" {
		t.Errorf("got %d, %q, %s", code, log, out)
	}

	answers := func(status int, body string) string {
		t.Helper()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	fails := func(says string, url string) {
		t.Helper()
		if code, out, log := once(t, "sessions", "explain", "--output=text", "--url", url); code != exitFailed || out != "" || !strings.Contains(log, says) {
			t.Errorf("got %d, %q, %q, want %q", code, out, log, says)
		}
	}
	fails("explains no search: it is of an older version", answers(200, `{"details":{"totalResult":"1"},"sessions":[]}`))
	fails("answered 403: explain needs session.read for the whole instance", answers(403, `{"code":7,"message":"explain needs session.read for the whole instance"}`))
	fails("did not answer as cloakroom does", answers(200, `{"explain":{}}`))
	fails("the explanation cannot be read", answers(200, `{"details":{"totalResult":"1"},"explain":{"steps":7}}`))
	// What a later sidecar says is shown as it is, but for control characters.
	_, out, _ = once(t, "sessions", "explain", "--output=text", "--url", answers(200, `{"details":{"totalResult":"1"},"explain":{"plan":"a\u001b[2Jb","driver":{"lists":"moon"},"steps":["leap"],"costly":{"waitedMicroseconds":"1500"},"microseconds":"7"}}`))
	for _, line := range []string{"plan           a[2Jb\n", "driven by      moon\n", "step           leap\n", "waited         1.5 ms for its place", "took           0.007 ms"} {
		if !strings.Contains(out, line) {
			t.Errorf("there is no %q in\n%s", line, out)
		}
	}
}
