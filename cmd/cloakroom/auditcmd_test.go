package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func TestAuditCommand(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	where := "--redis-url=redis://" + server.Addr
	runAudit := func(code int, log string, args ...string) (out string) {
		t.Helper()
		gotCode, out, gotLog := once(t, append([]string{"audit", where, "--rate=0"}, args...)...)
		if gotCode != code || gotLog != log {
			t.Errorf("%q: got %d, %q, want %d, %q; printed\n%s", args, gotCode, gotLog, code, log, out)
		}
		return out
	}
	shape := func(out, want string) {
		t.Helper()
		if !regexp.MustCompile("(?s)^" + want + "$").MatchString(out) {
			t.Errorf("printed\n%s\nwant\n%s", out, want)
		}
	}
	runAudit(exitFailed, "cloakroom audit: there is no store under the key prefix \"cr:\"\n")
	if n := client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("an audit of nothing has left %d keys", n)
	}

	p := launch(t, append([]string{"serve", where, "--auth-anonymous", "--redis-shards=4"}, quick()...))
	api, admin := p.ready(t)
	id := create(t, api, "alice")
	create(t, api, "bob")
	head := `redis://[^ ]+, key prefix cr:, 4 shards: looked at 2 sessions, 2 cards, %d entries and no note in [^ ]+ \(\d+ a second\)\n`
	shape(runAudit(exitOK, ""), strings.Replace(head, "%d", "6", 1)+"no drift was found\n")

	key, err := client.Keys(t.Context(), "cr:u:*:alice").Result()
	if err != nil || len(key) != 1 {
		t.Fatal(key, err)
	}
	if err := client.Del(t.Context(), key[0]).Err(); err != nil {
		t.Fatal(err)
	}
	if n := search(t, api, "alice"); n != "0" {
		t.Errorf("alice has %s sessions without her list", n)
	}
	table := `\ndrift +found +repaired +skipped +failed +for example\nentry_missing +1 +%d +0 +0 +user of ` + id + `\n`
	shape(runAudit(exitFailed, "cloakroom audit: there is drift; --repair mends what can be mended\n"),
		strings.Replace(head, "%d", "5", 1)+strings.Replace(table, "%d", "0", 1))
	shape(runAudit(exitOK, "", "--repair"), strings.Replace(head, "%d", "6", 1)+strings.Replace(table, "%d", "1", 1))
	if n := search(t, api, "alice"); n != "1" {
		t.Errorf("alice has %s sessions after the repair", n)
	}

	// What cannot be read stays.
	sessionKey, err := client.Keys(t.Context(), "cr:s:*:"+id).Result()
	if err != nil || len(sessionKey) != 1 {
		t.Fatal(sessionKey, err)
	}
	if err := client.HDel(t.Context(), sessionKey[0], "doc").Err(); err != nil {
		t.Fatal(err)
	}
	out := runAudit(exitFailed, "cloakroom audit: not all drift was repaired; audit again, or look at what is left\n", "--repair", "--json")
	var r struct {
		Complete, Clean bool
		Sessions        int
		Drift           []struct {
			Kind     string
			Found    int
			Examples []struct{ Session, Where, Outcome, Error string }
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if !r.Complete || r.Clean || r.Sessions != 2 || len(r.Drift) != 1 || r.Drift[0].Kind != "session_unreadable" ||
		r.Drift[0].Found != 1 || len(r.Drift[0].Examples) != 1 || r.Drift[0].Examples[0].Session != id || r.Drift[0].Examples[0].Error != "it has no document" {
		t.Errorf("printed %s", out)
	}

	answer := want(t, 200, "GET", admin+"/metrics", "")
	for _, kind := range audit.Drifts() {
		if !strings.Contains(answer, `cloakroom_drift{kind="`+string(kind)+`"} 0`) {
			t.Errorf("no metric of %s", kind)
		}
	}
	if !strings.Contains(answer, "cloakroom_audited_total ") || !strings.Contains(answer, "cloakroom_audits_total ") {
		t.Errorf("no metrics of audits in\n%s", answer)
	}
}

// search returns how many sessions a user has.
func search(t *testing.T, api, user string) string {
	t.Helper()
	answer := want(t, 200, "POST", api+"/v2/sessions/search", `{"queries":[{"userIdQuery":{"id":"`+user+`"}}]}`, "Session-Consistency", "fresh")
	var page struct{ Details struct{ TotalResult string } }
	if err := json.Unmarshal([]byte(answer), &page); err != nil {
		t.Fatal(err)
	}
	return page.Details.TotalResult
}

func TestAuditCommand_CalledWrongly(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, out, log := once(t, append([]string{"audit"}, args...)...)
		if code != exitUsage || out != "" || !strings.Contains(log, want) {
			t.Errorf("%q: got %d, %q, %q, want %q", args, code, out, log, want)
		}
	}
	f("--redis-url is required")
	f("has no sessions before a cloakroom runs", "--redis-url=memory:")
	f("has no sessions before a cloakroom runs", "--redis-url=embedded:")
	f("--rate", "--redis-url=redis://127.0.0.1:1", "--rate=-1")
	f("unknown flag", "--redis-url=redis://127.0.0.1:1", "--mend")

	code, out, log := once(t, "audit", "--redis-url=redis://127.0.0.1:1")
	if code != exitFailed || out != "" || !strings.Contains(log, "redis does not answer") {
		t.Errorf("without a Redis: %d, %q, %q", code, out, log)
	}
	if code, out, _ := once(t, "audit", "--help"); code != exitOK || out != auditHelp {
		t.Errorf("--help: %d, %q", code, out)
	}
}

// Every kind of drift is explained in docs/audit.md, and no other is.
func TestDriftIsDocumented(t *testing.T) {
	text := readDoc(t, "../../docs/audit.md")
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(text, -1)
	var got, kinds []string
	for _, m := range rows {
		got = append(got, m[1])
	}
	for _, kind := range audit.Drifts() {
		kinds = append(kinds, string(kind))
	}
	if strings.Join(got, " ") != strings.Join(kinds, " ") {
		t.Errorf("docs/audit.md explains %v, want %v", got, kinds)
	}
}
