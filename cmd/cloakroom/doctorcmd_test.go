package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// What acl prints is what serve needs: under it serve serves, with a near cache,
// and doctor finds no fault; nothing is refused.
func TestACL_ServeRunsUnderIt(t *testing.T) {
	server := redistest.Start(t, "maxmemory 100mb", "appendonly yes", "hash-max-listpack-value 4096")
	admin := server.Client(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "redis://app:hunter2@" + server.Addr + "/3"
	code, line, stderr := once(t, "acl", "--user=app", "--password-file", password, "--redis-url", url, "--doctor")
	if code != exitOK || strings.Contains(line, "hunter2") || strings.Count(line, "\n") != 1 {
		t.Fatalf("exit code %d: %s%s", code, line, stderr)
	}
	var words []any
	for word := range strings.FieldsSeq(line) {
		words = append(words, word)
	}
	if err := admin.Do(t.Context(), words...).Err(); err != nil {
		t.Fatalf("%s: %v", line, err)
	}

	p := launch(t, append([]string{"serve", "--redis-url", url, "--auth-anonymous"}, quick()...))
	api, _ := p.ready(t)
	id := create(t, api, "u1")
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
	if got := total(t, api, `{"queries":[{"userIdQuery":{"id":"u1"}}]}`); got != "1" {
		t.Errorf("got %s sessions", got)
	}
	want(t, 200, "DELETE", api+"/v2/sessions/"+id, "")

	code, text, stderr := once(t, "doctor", "--redis-url", url)
	if code != exitOK || strings.Contains(text, "FAIL") || strings.Contains(text, "skip") || strings.Contains(text+stderr, "hunter2") ||
		strings.Contains(text, "\x1b") || !strings.Contains(text, "ok    clients      ") || strings.Contains(text, "no other cloakroom") {
		t.Errorf("exit code %d:\n%s%s", code, text, stderr)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("serve: exit code %d", code)
	}
	if refused, err := admin.ACLLog(t.Context(), 100).Result(); err != nil || len(refused) > 0 {
		t.Errorf("refused: %+v, %v", refused, err)
	}
}

func TestDoctor_ExitCodesAndJSON(t *testing.T) {
	server := redistest.Start(t, "maxmemory 100mb", "maxmemory-policy allkeys-lru")
	code, text, _ := once(t, "doctor", "--redis-url", server.URL(), "--json")
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitFailed || r.OK || r.count(doctor.Fail) != 1 {
		t.Errorf("exit code %d, %v:\n%s", code, err, text)
	}
	for _, f := range r.Findings {
		if f.Status == doctor.Fail && (f.Check != "eviction" || len(f.Fix) == 0) {
			t.Errorf("%+v", f)
		}
	}
	server.Stop()
	if code, text, _ = once(t, "doctor", "--redis-url", server.URL()); code != exitFailed || !strings.Contains(text, "FAIL  connection   nothing listens at") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if code, text, _ = once(t, "doctor", "--redis-url", "embedded:"); code != exitOK || !strings.Contains(text, "ok    tracking") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	for _, args := range [][]string{{"doctor"}, {"doctor", "--redis-url", "nonsense"}, {"doctor", "--jsn"}, {"acl", "--user", "a b"}, {"acl", "--password-file", "/nowhere"}} {
		if code, _, stderr := once(t, args...); code != exitUsage || stderr == "" {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

// Every flag of acl is in its help, and in the documentation.
func TestACL_FlagsAreDocumented(t *testing.T) {
	text := readDoc(t, "../../docs/doctor.md")
	for _, s := range (&aclFlags{}).settings() {
		if !strings.Contains(aclHelp, "  --"+s.Name+" ") || !strings.Contains(text, "| --"+s.Name+" |") {
			t.Errorf("--%s is not documented", s.Name)
		}
	}
}
