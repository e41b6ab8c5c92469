package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// settingUp is a ZITADEL that is to be set up.
type settingUp struct {
	t       *testing.T
	zitadel *zitadeltest.Server
	file    string
}

func newSettingUp(t *testing.T) *settingUp {
	return &settingUp{t, zitadeltest.Start(t), filepath.Join(t.TempDir(), "event.keys")}
}

// run runs zitadel-setup as an account, and checks that no key is shown.
func (s *settingUp) run(token string, more ...string) (code int, out, log string) {
	s.t.Helper()
	code, out, log = once(s.t, append([]string{
		"zitadel-setup", "--upstream-url", s.zitadel.URL, "--upstream-token-file", testfile.Write(s.t, token), "--upstream-event-key-file", s.file,
		"--endpoint=https://cloakroom.example.com/events/zitadel",
	}, more...)...)
	for _, secret := range append(s.keys(), token) {
		if len(secret) > 12 && strings.Contains(out+log, secret) {
			s.t.Error("I6: a secret is shown")
		}
	}
	return code, out, log
}

func (s *settingUp) keys() []string {
	text, err := os.ReadFile(s.file)
	if err != nil && !os.IsNotExist(err) {
		s.t.Error(err)
	}
	return strings.Fields(string(text))
}

func (s *settingUp) writes() int {
	n := 0
	for _, call := range []string{zitadeltest.CreateTarget, zitadeltest.UpdateTarget, zitadeltest.DeleteTarget, zitadeltest.SetExecution} {
		n += s.zitadel.Count(call)
	}
	return n
}

func (s *settingUp) want(code int, out, log string, wantCode int, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out+log, text) {
			s.t.Errorf("got\n%s%s\nwithout %q", out, log, text)
		}
	}
	if code != wantCode {
		s.t.Errorf("exit code %d, %s%s", code, out, log)
	}
}

func TestSetup_ShowsAndAppliesOnce(t *testing.T) {
	s := newSettingUp(t)
	code, out, log := s.run(s.zitadel.Admin.Token)
	s.want(code, out, log, exitFailed, `missing  target "cloakroom", for "https://cloakroom.example.com/events/zitadel"`, "missing  its signing key",
		"missing  events of group session are not sent to it", "missing  events of group user are not sent to it", "HTTPClient.DenyList", "If cloakroom.example.com has such an address", "ZITADEL_HTTPCLIENT_DENYLIST=localhost,0.0.0.0/8,100.64.0.0/10,127.0.0.0/8,", "Nothing was changed. Add --apply")
	if s.writes() != 0 || len(s.keys()) > 0 {
		t.Error("something was changed")
	}
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply")
	s.want(code, out, log, exitOK, `created  target "cloakroom"`, "written  its signing key to "+s.file+", line 1\n", "set      events of group session are sent to it", "set      events of group user are sent to it", "Done.")
	if info, err := os.Stat(s.file); err != nil || info.Mode() != 0o600 || len(s.keys()) != 1 {
		t.Errorf("%v %v", info, err)
	}
	before := s.writes()
	for _, more := range [][]string{{"--apply"}, nil} {
		code, out, log = s.run(s.zitadel.Admin.Token, more...)
		s.want(code, out, log, exitOK, "Everything is set up.", "there    1 signing key in ")
	}
	if s.writes() != before || before != 3 || len(s.keys()) != 1 {
		t.Errorf("%d calls, then %d", before, s.writes())
	}
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key")
	s.want(code, out, log, exitOK, "written  its signing key to "+s.file+", line 2\n", "delete   line 1 of "+s.file)
	if keys := s.keys(); len(keys) != 2 || keys[0] == keys[1] {
		t.Errorf("%d keys", len(keys))
	}
	if err := os.Chmod(s.file, 0o640); err != nil {
		t.Fatal(err)
	}
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key")
	s.want(code, out, log, exitOK, "line 3\n", "delete   lines 1, 2 of "+s.file, "beware   others than its owner may read or write "+s.file+", as its mode says: -rw-r-----")
	// Where the key is lost, another is got.
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply")
	s.want(code, out, log, exitFailed, "--upstream-event-key-file has no key", "--new-key gets a new one")
	code, out, log = s.run(s.zitadel.Admin.Token, "--new-key")
	s.want(code, out, log, exitFailed, "missing  its signing key", "Nothing was changed.")
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key")
	if s.want(code, out, log, exitOK, "Done."); strings.Contains(out, "delete ") {
		t.Errorf("there is no old key: %s", out)
	}
	// Another endpoint is another target, of another name.
	code, out, log = s.run(s.zitadel.Admin.Token, "--endpoint=https://other.example.com/events/zitadel", "--apply")
	s.want(code, out, log, exitFailed, `there is a target "cloakroom"`, "choose another --name")
}

func TestSetup_WarnsOfAnotherPath(t *testing.T) {
	s := newSettingUp(t)
	const warning = "warning: --endpoint does not end in /events/zitadel"
	code, out, log := s.run(s.zitadel.Admin.Token, "--endpoint=https://cloakroom.example.com/foo")
	s.want(code, out, log, exitFailed, warning)
	code, out, log = s.run(s.zitadel.Admin.Token, "--endpoint=https://gateway.example.com/cloakroom/events/zitadel")
	if s.want(code, out, log, exitFailed, "missing  "); strings.Contains(log, warning) {
		t.Error(log)
	}
}

func TestDenyListAdvice(t *testing.T) {
	for host, removed := range map[string][]string{
		"10.1.2.3": {"10.0.0.0/8"}, "172.20.0.1": {"172.16.0.0/12"}, "::1": {"::1/128"}, "fd00::1": {"fc00::/7"}, "::ffff:10.1.2.3": {"10.0.0.0/8"},
		"localhost": {"localhost", "127.0.0.0/8", "::1/128"}, "100.64.0.1": {"100.64.0.0/10"},
	} {
		advice := denyListAdvice(host)
		_, list, _ := strings.Cut(advice, "ZITADEL_HTTPCLIENT_DENYLIST=")
		for _, entry := range defaultDenyList {
			if slices.Contains(strings.Split(list, ","), entry) == slices.Contains(removed, entry) {
				t.Errorf("%s: %s in %q", host, entry, advice)
			}
		}
	}
	for _, public := range []string{"192.0.2.1", "2001:db8::1"} {
		if advice := denyListAdvice(public); advice != "" {
			t.Errorf("%s: %s", public, advice)
		}
	}
}

// The targets of others get their events as before, whatever they are set on.
func TestSetup_KeepsTheTargetsOfOthers(t *testing.T) {
	s := newSettingUp(t)
	var got [3]atomic.Int64
	for i, condition := range [][]string{{"session"}, {"user.human.added"}, {"user.locked"}} {
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got[i].Add(1) }))
		t.Cleanup(other.Close)
		s.zitadel.AddTarget(other.URL, condition...)
	}
	var ours atomic.Int64
	webhook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ours.Add(1) }))
	t.Cleanup(webhook.Close)
	code, out, log := s.run(s.zitadel.Admin.Token, "--apply", "--endpoint", webhook.URL+"/events/zitadel")
	s.want(code, out, log, exitOK, "events of group session are not sent to it; they are sent to 1 other target, which stays", "Remove the range of 127.0.0.1 from it", "100.64.0.0/10,169.254.0.0/16,", "set      events user.locked are sent to it")
	before := len(s.zitadel.Events())
	user := s.zitadel.AddUser(zitadeltest.User{Password: "Password1!"})
	s.zitadel.CreateSession(zitadeltest.Session{UserID: user})
	s.zitadel.Lock(user)
	s.zitadel.WaitForFeed()
	for i := range got {
		if got[i].Load() == 0 {
			t.Errorf("the target no. %d gets no events any more", i)
		}
	}
	if n := len(s.zitadel.Events()) - before; ours.Load() != int64(n) {
		t.Errorf("ours got %d events of %d", ours.Load(), n)
	}
}

func TestSetup_SaysWhatIsWrong(t *testing.T) {
	s := newSettingUp(t)
	code, out, log := s.run(s.zitadel.Login.Token, "--apply")
	s.want(code, out, log, exitFailed, "it lacks the permission action.target.read; an IAM_OWNER has it")
	s.zitadel.Change(func(settings *zitadeltest.Settings) { settings.DenyPrivateTargets = true })
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--endpoint=http://127.0.0.1:8080/events/zitadel")
	s.want(code, out, log, exitFailed, "ZITADEL does not create the target: it answers 400", "perhaps --endpoint has an address that is in its HTTPClient.DenyList")
	if len(s.keys()) > 0 {
		t.Error("there is a key")
	}
	if _, err := os.Stat(s.file); err == nil {
		t.Error("an empty file was left")
	}
	s.zitadel.Fail(zitadeltest.CreateTarget, 1, zitadeltest.Failure{Late: true})
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply")
	s.want(code, out, log, exitFailed, "it may have been done all the same")
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key", "--upstream-event-key-file", filepath.Join(t.TempDir(), "no", "keys"))
	if s.want(code, out, log, exitFailed, "--upstream-event-key-file: open "); strings.Contains(log, "all the same") {
		t.Error(log)
	}
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key")
	s.want(code, out, log, exitOK, "Done.")
	before := s.writes()
	s.file = testfile.Write(t, "key: of something else\n")
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key")
	s.want(code, out, log, exitFailed, "is not changed, for it has something else than signing keys")
	s.file = testfile.Write(t, strings.Repeat("a-signing-key\n", 16))
	code, out, log = s.run(s.zitadel.Admin.Token, "--apply", "--new-key")
	s.want(code, out, log, exitFailed, "has 16 keys, which is the most")
	if s.writes() != before {
		t.Error("something was changed")
	}
	for flag, text := range map[string]string{
		"--endpoint=":                                    "--endpoint is required",
		"--endpoint=cloakroom.example.com":               "--endpoint must be https://HOST/PATH",
		"--endpoint=https://cloakroom.example.com":       "--endpoint has no path: that of the webhook is /events/zitadel",
		"--endpoint=https://u:p@cloakroom.example.com/x": "--endpoint must have no user",
		"--endpoint=http://cloakroom.example.com/x":      "--endpoint must be https where the host is not loopback",
		"--name=":                    "--name must not be empty",
		"--upstream-event-key-file=": "--apply needs --upstream-event-key-file",
		"--upstream-url=":            "--upstream-url is required",
	} {
		code, out, log = s.run(s.zitadel.Admin.Token, "--apply", flag)
		s.want(code, out, log, exitUsage, text)
	}
}
