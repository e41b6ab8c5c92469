package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

func TestConsole_SomebodyMustBeAbleToSignIn(t *testing.T) {
	issuers := testfile.Write(t, "issuers: [{issuer: 'https://id.example', audience: [a]}]")
	keys := testfile.Write(t, testfile.OneKey)
	_, err := loadWith(t, []string{"--redis-url=memory:", "--auth-issuers-file", issuers, "--console"}, nil)
	if faults := faultsOf(t, err); len(faults) != 1 || !strings.Contains(faults[0], "--console: nobody could sign in: set --auth-keys-file (`cloakroom key new --file keys.yaml …` makes one)") {
		t.Errorf("got %q", faults)
	}
	_, err = loadWith(t, []string{"--redis-url=memory:", "--console"}, nil)
	if faults := faultsOf(t, err); len(faults) != 1 || !strings.Contains(faults[0], "set --auth-keys-file") {
		t.Errorf("one fault is told as %q", faults)
	}
	for _, args := range [][]string{{"--auth-anonymous"}, {"--auth-keys-file", keys}, {"--auth-keys-file", keys, "--auth-issuers-file", issuers}} {
		c, err := loadWith(t, append(args, "--redis-url=memory:", "--console"), nil)
		if err != nil || !c.Console {
			t.Errorf("%q: got %v", args, err)
		}
	}
	for _, c := range []struct {
		args []string
		on   bool
	}{
		{nil, true},
		{[]string{"--console=false"}, false},
		{[]string{"--auth-anonymous=false", "--auth-keys-file", keys}, true},
		{[]string{"--auth-anonymous=false", "--auth-issuers-file", issuers}, false}, // it was not asked for
	} {
		got, err := Load(t.Context(), Source{Subcommand: "dev", Args: c.args})
		if err != nil || got.Console != c.on {
			t.Errorf("dev %q: got %v, %v", c.args, got.Console, err)
		}
	}
}

func TestConsole_WarnsOfKeysInTheClear(t *testing.T) {
	keys := testfile.Write(t, testfile.OneKey)
	for addr, warns := range map[string]bool{"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, "unix:/run/a": false, ":1": true, "0.0.0.0:1": true, "10.0.0.1:1": true} {
		for _, console := range []string{"--console", "--console=false"} {
			c, err := loadWith(t, []string{"--redis-url=memory:", "--auth-keys-file", keys, "--admin-addr", addr, console}, nil)
			if err != nil {
				t.Fatal(err)
			}
			warned := slices.ContainsFunc(c.Warnings, func(w string) bool {
				return strings.Contains(w, "--console: API keys are sent in the clear to --admin-addr "+addr) && strings.Contains(w, "kubectl port-forward") && strings.Contains(w, "ssh -L")
			})
			if want := warns && console == "--console"; warned != want || !want && len(c.Warnings) > 0 {
				t.Errorf("%s %s: got %q", addr, console, c.Warnings)
			}
		}
	}
}
