package zitadel_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/seed"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
)

// at is a ZITADEL with three users, and the files that bench needs to ask it.
type at struct {
	*zitadeltest.Server
	dir string
}

func newAt(t *testing.T, options ...zitadeltest.Option) at {
	t.Helper()
	a := at{zitadeltest.Start(t, options...), t.TempDir()}
	var ids string
	for range 3 {
		ids += a.AddUser(zitadeltest.User{Password: "Password1!"}) + "\n"
	}
	a.write(t, "ids", ids)
	a.write(t, "token", a.Login.Token+"\n")
	a.write(t, "password", "Password1!\n")
	return a
}

func (a at) file(name string) string { return filepath.Join(a.dir, name) }

func (a at) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(a.file(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// seed runs bench seed --by create.
func (a at) seed(t *testing.T, more ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	args := append([]string{"--by", "create", "--target", a.URL, "--token-file", a.file("token"), "--user-ids", a.file("ids"), "--dataset", a.file("sessions")}, more...)
	err := seed.Command(t.Context(), args, &out, io.Discard)
	return out.String(), err
}

// open opens a scenario, as run does.
func (a at) open(t *testing.T, name string, more ...string) (*source.Source, error) {
	t.Helper()
	var f source.Flags
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	f.Register(flags)
	args := append([]string{"--scenario", name, "--target", a.URL, "--token-file", a.file("token")}, more...)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return f.Open(t.Context())
}

// ask sends n requests of a source's scenario, one after the other, and returns how many answers were wrong. It wants no others.
func ask(t *testing.T, s *source.Source, n int) (wrong int) {
	t.Helper()
	l, err := s.Load(0, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	client := l.Scenario.Client(0, load.NewRand(1, 1))
	for range n {
		a, want, err := load.Ask(t.Context(), s.Target, client)
		if err != nil || a.Status != want {
			t.Fatalf("%s: want status %d, got %+v, %v", s.Flags.Scenario, want, a, err)
		}
		deep := client.Deep()
		err = client.Check(a)
		if err == nil && deep != nil {
			err = deep(a.Body)
		}
		if err != nil {
			wrong++
		}
	}
	return wrong
}

// Sessions are created of the users in turn, known in a file, and asked for by every scenario.
func TestSeed_ByCreate(t *testing.T) {
	z := newAt(t)
	out, err := z.seed(t, "--count", "31", "--password-file", z.file("password"))
	if err != nil || !strings.HasPrefix(out, "31 created in ") {
		t.Fatalf("%q, %v", out, err)
	}
	made, err := scenario.ReadCreated(z.file("sessions"))
	if err != nil || len(made.Sessions) != 31 || len(z.SessionIDs()) != 31 {
		t.Fatalf("%d sessions in the file, %d at ZITADEL, %v", len(made.Sessions), len(z.SessionIDs()), err)
	}
	of := map[string]int{}
	for _, s := range made.Sessions {
		seen := z.See(z.Nobody.Token, s.ID, s.Token)
		if seen.Status != 200 || seen.Session.GetFactors().GetUser().GetId() != s.UserID || seen.Session.GetFactors().GetPassword() == nil || seen.Session.GetExpirationDate() == nil {
			t.Fatalf("session %s: %+v", s.ID, seen)
		}
		of[s.UserID]++
	}
	if len(of) != 3 {
		t.Errorf("sessions by user: %v", of)
	}
	for _, name := range []string{"get", "verify", "search"} {
		s, err := z.open(t, name, "--dataset", z.file("sessions"))
		if err != nil {
			t.Fatal(name, err)
		}
		if wrong := ask(t, s, 20); wrong > 0 {
			t.Errorf("%s: %d answers are wrong", name, wrong)
		}
	}
	s, err := z.open(t, "upstream-mix", "--dataset", z.file("sessions"), "--hot", "11", "--cold-share", "0", "--password-file", z.file("password"))
	if err != nil {
		t.Fatal(err)
	}
	if wrong := ask(t, s, 500); wrong > 0 {
		t.Errorf("%d answers are wrong", wrong)
	}
	if z.Count(zitadeltest.DeleteSession) == 0 || z.Count(zitadeltest.CreateSession) < 32 {
		t.Error("the mix writes nothing")
	}

	// What is no longer there is an error, and what is another session's is wrong.
	z.Terminate(made.Sessions[0].ID)
	if _, err := z.open(t, "upstream-mix", "--dataset", z.file("sessions"), "--hot", "11"); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("a hot session that is not there: %v", err)
	}
	text, err := os.ReadFile(z.file("sessions"))
	if err != nil {
		t.Fatal(err)
	}
	z.write(t, "sessions", strings.ReplaceAll(string(text), made.Sessions[1].UserID, made.Sessions[2].UserID))
	if s, err = z.open(t, "search", "--dataset", z.file("sessions")); err != nil {
		t.Fatal(err)
	}
	if ask(t, s, 20) == 0 {
		t.Error("sessions of another user should be found, and no answer is wrong")
	}
}

// A ZITADEL with TLS is seeded and asked as any other, if somebody vouches for it.
func TestSeed_ByCreateOverTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	z := newAt(t, zitadeltest.WithTLS(&tls.Config{Certificates: certified.TLS.Certificates}))
	if !strings.HasPrefix(z.URL, "https://") {
		t.Fatal(z.URL)
	}
	if _, err := z.seed(t); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("nobody vouches for it: %v", err)
	}
	z.write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw})))
	if out, err := z.seed(t, "--ca-file", z.file("ca.pem")); err != nil || !strings.HasPrefix(out, "300 created in ") {
		t.Fatalf("%q, %v", out, err)
	}
	s, err := z.open(t, "upstream-mix", "--dataset", z.file("sessions"), "--ca-file", z.file("ca.pem"), "--hot", "20")
	if err != nil {
		t.Fatal(err)
	}
	if wrong := ask(t, s, 30); wrong > 0 {
		t.Errorf("%d answers are wrong", wrong)
	}
}

// Without a dataset a run creates its own sessions, and keeps them if it is told where.
func TestRun_CreatesItsSessions(t *testing.T) {
	z := newAt(t)
	s, err := z.open(t, "get", "--user-ids", z.file("ids"), "--create", "7", "--dataset", z.file("own"))
	if err != nil {
		t.Fatal(err)
	}
	if wrong := ask(t, s, 10); wrong > 0 {
		t.Errorf("%d answers are wrong", wrong)
	}
	if made, err := scenario.ReadCreated(z.file("own")); err != nil || len(made.Sessions) != 7 {
		t.Errorf("%v, %v", made, err)
	}
	if _, err := z.open(t, "get", "--dataset", z.file("own")); err != nil || z.Count(zitadeltest.CreateSession) != 7 {
		t.Errorf("%d creates, %v", z.Count(zitadeltest.CreateSession), err)
	}
	for want, args := range map[string][]string{
		"needs --dataset":                {"get"},
		"--user-ids":                     {"get", "--user-ids", z.file("none")},
		"must be between 1 and 1000000":  {"get", "--user-ids", z.file("ids"), "--create", "0"},
		"--password-file":                {"get", "--user-ids", z.file("ids"), "--password-file", z.file("none")},
		"there must be more sessions":    {"upstream-mix", "--dataset", z.file("own"), "--hot", "7"},
		"--hot must be at least 1":       {"upstream-mix", "--dataset", z.file("own"), "--hot", "0"},
		"--cold-share must be between 0": {"upstream-mix", "--dataset", z.file("own"), "--cold-share", "1.5"},
		"--ca-file":                      {"get", "--dataset", z.file("own"), "--ca-file", z.file("own")},
	} {
		if _, err := z.open(t, args[0], args[1:]...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", args, err, want)
		}
	}
}

// If ZITADEL refuses a session, those created before it are kept, and the error shows no secret.
func TestSeed_ByCreateFails(t *testing.T) {
	z := newAt(t)
	z.write(t, "ids", read(t, z.file("ids"))+"404\n")
	out, err := z.seed(t, "--count", "4", "--connections", "1")
	if err == nil || !strings.Contains(err.Error(), "user 404: status 404") || strings.Contains(err.Error(), z.Login.Token) {
		t.Errorf("%q, %v", out, err)
	}
	if made, err := scenario.ReadCreated(z.file("sessions")); err != nil || len(made.Sessions) != 3 {
		t.Errorf("%v, %v", made, err)
	}
	for want, more := range map[string][]string{
		"--by must be import or create":                        {"--by", "magic"},
		"--count must be between 1":                            {"--count", "0"},
		"--connections must be between 1":                      {"--connections", "0"},
		"needs --user-ids":                                     {"--user-ids", ""},
		"--by create needs":                                    {"--dataset", ""},
		"--ca-file: " + z.URL[len("http://"):] + " has no TLS": {"--ca-file", z.file("ids")},
	} {
		if _, err := z.seed(t, more...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", more, err, want)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
