package source

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
)

func TestResults_ShowNoSecretAndNoPath(t *testing.T) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	var f Flags
	f.Register(flags)
	flags.String("postgres", "", "")
	flags.String("b-postgres", "", "")
	args := []string{
		"--key-file=/x/secret", "--ca-file=/x/secret", "--user-ids=/x/secret", "--password-file=/x/secret", "--dataset=/x/secret", "--redis=redis://user:secret@h:1/0", "--target=unix:/x/secret.sock", "--rate=5",
		"--postgres=postgres://user:secret@h:2/db?password=secret", "--b-postgres=host=h password=secret",
	}
	if err := cli.Parse(flags, args, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := cli.Parse(flags, []string{"--token-file=/x/secret"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	e := newEnvironment(t.Context(), flags, &f)
	for name, value := range e.Flags {
		if strings.Contains(value, "secret") {
			t.Errorf("--%s %s", name, value)
		}
	}
	if c := strings.Join(command("run", flags), " "); strings.Contains(c, "secret") || !strings.Contains(c, "--rate=5") || !strings.Contains(c, "redis://h:1/0") || !strings.Contains(c, "--postgres=postgres://h:2/db") {
		t.Error(c)
	}
}
