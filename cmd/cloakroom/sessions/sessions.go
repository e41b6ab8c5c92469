// Package sessions is the subcommand of the same name: it lists, shows, explains and revokes
// sessions through a running sidecar. Each verb has a file; which sessions are meant is in
// predicates.go, when in instants.go.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/suggest"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// Program is what the subcommand gets of the program.
type Program struct {
	Args, Env      []string // behind the name of the subcommand; as os.Environ has it
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Pipes is how files are read that are read once.
	Pipes followed.Pipes
}

// Verb is what can be done with sessions.
type Verb struct {
	// Name is "list"; Help is a line for lists of verbs.
	Name, Help string
	intro      string
	groups     []group
	// takesID says that an argument without a flag is the ID of a session.
	takesID bool
	// check adds what is wrong with the flags together; nil if nothing can be.
	check func(c *call, wrong *usage.Faults)
	run   func(ctx context.Context, c *call) error
}

// Verbs returns all verbs.
func Verbs() []Verb {
	return []Verb{
		{"list", "list sessions, newest first", listIntro, []group{predicates(), pages, listOutput, sidecar}, false, checkPages, list},
		{"get", "show one session in full", getIntro, []group{reads, textOutput, sidecar}, true, nil, get},
		{"explain", "show how the sidecar finds sessions", explainIntro, []group{predicates(), pages, textOutput, sidecar}, false, checkPages, explain},
		{"revoke", "revoke sessions: count them, ask, and delete them", revokeIntro, []group{predicates(everything), revocation, sidecar}, false, checkRevocation, revoke},
	}
}

// Run runs the subcommand. The error is a *usage.Error if it was called wrongly. verb is the
// name of the verb, "" if there is none.
func Run(ctx context.Context, p *Program) (verb string, err error) {
	all := Verbs()
	if len(p.Args) == 0 {
		return "", &usage.Error{Faults: []string{"say " + oneOf(names(all)) + "; `cloakroom help sessions` explains them"}}
	}
	name := p.Args[0]
	if name == "-h" || name == "--help" {
		return "", printHelp(p.Stdout)
	}
	i := slices.IndexFunc(all, func(v Verb) bool { return v.Name == name })
	if i < 0 {
		more := suggest.DidYouMean("sessions ", name, names(all))
		if more == "" {
			more = "; it is " + oneOf(names(all))
		}
		return "", &usage.Error{Faults: []string{"unknown verb " + usage.Quote(name) + more}}
	}
	v := &all[i]
	c, err := v.parse(p)
	if errors.Is(err, pflag.ErrHelp) {
		return name, v.printHelp(p.Stdout)
	}
	if err != nil {
		return name, err
	}
	c.client, err = apiclient.New(c.text("url"), c.text("key-file"), apiclient.TLSFiles{
		CA: c.text("ca-file"), Cert: c.text("cert-file"), Key: c.text("cert-key-file"),
	}, p.Env, p.Pipes)
	if ctx.Err() != nil {
		return name, errors.New("interrupted; nothing was asked for")
	}
	if err != nil {
		return name, err
	}
	defer c.client.Close()
	return name, v.run(ctx, c)
}

func names(all []Verb) (names []string) {
	for i := range all {
		names = append(names, all[i].Name)
	}
	return names
}

// call is one call of a verb.
type call struct {
	*Program
	client *apiclient.Client
	values
	id  string    // of the session, if the verb takes one
	now time.Time // when it was called, which relative instants are relative to
	// queries must all hold, and words say the same for people.
	queries []apiclient.Query
	words   []string
}

// parse reads the flags of a verb.
func (v *Verb) parse(p *Program) (*call, error) {
	c := &call{Program: p, now: time.Now()}
	var wrong usage.Faults
	var most int
	if v.takesID {
		most = 1
	}
	flags := v.Flags()
	words, unknown, err := usage.ParseWords(flags, p.Args[1:], most, &wrong)
	if err != nil {
		return nil, err
	}
	c.values = v.read(flags, &wrong)
	c.meant(&wrong)
	switch {
	case unknown: // then what seems missing may be what it was to say
	case v.takesID && strings.Join(words, "") == "": // or a shell variable that is not set
		wrong.Addf("say which session: cloakroom sessions %s ID", v.Name)
	case v.check != nil:
		v.check(c, &wrong)
	}
	c.id = strings.Join(words, "")
	return c, wrong.Err()
}

// terminal returns the terminal that the user sits at, nil if there is none.
func (c *call) terminal() *os.File {
	if terminal.Of(c.Stderr) == nil {
		return nil
	}
	return terminal.Of(c.Stdin)
}

// note prints a line on standard error.
func (c *call) note(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Stderr, format+"\n", args...) // standard output is complete without it
}
