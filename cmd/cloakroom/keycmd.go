package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

const keyHelp = `Usage: cloakroom key new --name NAME --user-id ID [flags]

Prints a new API key, once and alone, on standard output. Only its SHA-256 is
kept: in the keys file, or in the entry printed on standard error.

  --name        tells the key apart in logs
  --user-id     the user behind the key, creator of what it creates
  --agent-id    fingerprint ID of the key's user agent
  --permission  session.read, session.write or session.delete, for the
                instance, or @ORG for one organization; may repeat
  --rate        requests a second that it may send, such as 100 or 0.5
  --burst       requests that it may send at once; default twice the rate
  --file        keys file to create or to append to
`

// key is the subcommand: key new.
func key(_ context.Context, p *program) error {
	if len(p.args) == 0 {
		return &usage.Error{Faults: []string{"say `cloakroom key new`; --help lists its flags"}}
	}
	if asksHelp(p.args) {
		_, err := io.WriteString(p.stdout, keyHelp)
		return err
	}
	if p.args[0] != "new" {
		return &usage.Error{Faults: []string{"knows only `cloakroom key new`"}}
	}
	var k keyRequest
	err := k.parse(p.args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, keyHelp)
		return err
	}
	if err != nil {
		return err
	}
	secret, hash := caller.NewAPIKeySecret()
	k.SHA256 = hash
	entry, err := caller.AppendAPIKey(nil, k.APIKey)
	if err != nil {
		return &usage.Error{Faults: []string{err.Error()}}
	}
	if k.file == "" {
		_, err = fmt.Fprintf(p.stderr, "Put this into your keys file, which a running cloakroom reads again:\n\n%s\n", entry)
	} else if err = appendKey(k.file, k.APIKey); err == nil {
		_, err = fmt.Fprintf(p.stderr, "The hash of the key is in %s; a cloakroom that reads it takes the key within 5 seconds.\n", k.file)
	}
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.stderr, "The key is shown this once:"); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, secret)
	return err
}

// keyRequest is what the flags of key new say.
type keyRequest struct {
	caller.APIKey
	rate caller.KeyRate
	file string
}

// flags returns the flags, which write into k.
func (k *keyRequest) flags() *pflag.FlagSet {
	flags := usage.NewFlags()
	flags.StringVar(&k.Name, "name", "", "tells the key apart in logs")
	flags.StringVar(&k.UserID, "user-id", "", "the user behind the key")
	flags.StringVar(&k.AgentID, "agent-id", "", "fingerprint ID of the key's user agent")
	flags.StringArrayVar(&k.Permissions, "permission", nil, "session.read, session.write or session.delete; may repeat")
	usage.TakesWord(flags.Lookup("permission"), "session.read", "session.write", "session.delete")
	flags.Float64Var(&k.rate.PerSecond, "rate", 0, "requests a second that it may send")
	flags.IntVar(&k.rate.Burst, "burst", 0, "requests that it may send at once")
	flags.StringVar(&k.file, "file", "", "keys file to create or to append to")
	usage.TakesFile(flags.Lookup("file"))
	return flags
}

// parse reads the flags.
func (k *keyRequest) parse(args []string) error {
	flags := k.flags()
	var wrong usage.Faults
	unknown, err := usage.ParseFlags(flags, args, &wrong)
	if err != nil {
		return err
	}
	if k.Name == "" && !unknown {
		wrong.Addf("--name is required")
	}
	if k.UserID == "" && !unknown {
		wrong.Addf("--user-id is required")
	}
	if flags.Changed("rate") {
		k.Rate = &k.rate
	} else if flags.Changed("burst") {
		wrong.Addf("--burst needs a --rate")
	}
	return wrong.Err()
}

// appendKey appends k to the file at path, or makes the file. Two at once lose no
// key. A reader that finds half an entry refuses the file, and reads it again.
func appendKey(path string, k caller.APIKey) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // gives up the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	old, err := followed.Read(path, nil)
	if err != nil {
		return err
	}
	text, err := caller.AppendAPIKey(old, k)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err := f.Write(text[len(old):]); err != nil {
		return errors.Join(err, f.Truncate(int64(len(old))))
	}
	return f.Sync()
}
