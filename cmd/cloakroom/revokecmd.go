package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

const (
	// defaultURL is where a sidecar listens by default.
	defaultURL = "http://127.0.0.1:8080"
	// maxExcept is how many sessions a revocation may leave out.
	maxExcept = 1000
)

const revokeHelp = `Usage: cloakroom revoke WHICH [flags]

Revokes sessions through a running sidecar. It counts them first, says what it
is about to do, and asks.

WHICH sessions; if several are given, all must hold:
  --user-id         of this user
  --agent-id        of the user agent with this fingerprint ID
  --creator-id      created by the caller with this user ID
  --id              with this ID; may repeat, for any of these
  --created-before  created before this instant, such as 2026-01-31T12:00:00Z
  --created-after   created after it
  --expires-before  ending before it
  --expires-after   ending after it, or never
  --all             all that the caller may delete

  --except-id       a session that stays; may repeat, at most 1000 times
  --dry-run         only count
  --yes             do not ask; needed where there is no terminal
  --url             where the sidecar listens: http://HOST:PORT, https://HOST
                    or unix:PATH; default http://127.0.0.1:8080
  --key-file        file with the API key, and nothing else; without it,
                    ` + config.APIKeyEnv + ` has it
  --ca-file         PEM file with the CAs that the certificate of an https
                    sidecar may come from; without it, those of the system
  --cert-file       PEM file with a certificate for a sidecar that asks for one,
  --cert-key-file   and its key
`

// errUnanswered says that the question was not answered with yes.
var errUnanswered = errors.New("nothing was revoked, because the answer was not y")

// revoke is the subcommand.
func revoke(ctx context.Context, p *program) error {
	r, err := revokeFlags(p.args)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, revokeHelp)
		return err
	}
	if err != nil {
		return err
	}
	client, err := apiclient.New(r.url, r.keyFile, r.tls, p.env, p.pipes(ctx))
	if ctx.Err() != nil {
		return apiclient.ErrNothingRevoked
	}
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := r.send(ctx, p, client, true)
	if err != nil {
		return err
	}
	switch counted := found.Sessions; {
	case counted == 0 && found.NotBefore == "" && found.SessionsOfJWTs == 0:
		_, err = fmt.Fprintf(p.stdout, "there is nothing to revoke: %s\n", r.which(0))
		return err
	case r.dryRun:
		_, err = fmt.Fprintf(p.stdout, "%s would be revoked%s\n", r.which(counted), jwts(found))
		return err
	case !r.yes:
		tty := p.terminal()
		if tty == nil {
			return &usage.Error{Faults: []string{fmt.Sprintf("%s would be revoked%s, but there is no terminal to ask on; nothing was revoked; say --yes to revoke without being asked", r.which(counted), jwts(found))}}
		}
		yes, err := terminal.Ask(ctx, tty, p.stderr, fmt.Sprintf("revoke %s%s? [y/N] ", r.which(counted), jwts(found)))
		if ctx.Err() != nil {
			return apiclient.ErrNothingRevoked
		}
		if err != nil {
			return err
		}
		if !yes {
			return errUnanswered
		}
	}
	done, err := r.send(ctx, p, client, false)
	if err != nil {
		return err
	}
	if done.Unreplicated > 0 {
		_, _ = fmt.Fprintf(p.stderr, "warning: fewer replicas than --revoke-wait-replicas have %d of these deletions\n", done.Unreplicated)
	}
	_, err = fmt.Fprintf(p.stdout, "%s revoked%s\n", plural(done.Sessions, "session"), jwts(done))
	return err
}

// revocation is what the flags of revoke say.
type revocation struct {
	apiclient.Request
	dryRun, yes  bool
	url, keyFile string
	tls          apiclient.TLSFiles
	// words say which sessions, for people.
	words []string
}

// dateFlag is a flag that compares a date.
type dateFlag struct {
	name, words string
	query       func(time.Time) apiclient.Query
}

var dateFlags = [4]dateFlag{
	{"created-before", "created before %", apiclient.CreatedBefore},
	{"created-after", "created after %", apiclient.CreatedAfter},
	{"expires-before", "ending before %", apiclient.EndingBefore},
	{"expires-after", "ending after % or never", apiclient.EndingAfter},
}

// parse returns the query that the flag's value asks for, and words for it.
func (f *dateFlag) parse(text string) (q apiclient.Query, words string, err error) {
	t, err := time.Parse(time.RFC3339, text)
	return f.query(t), strings.Replace(f.words, "%", text, 1), err
}

// revokeFlags reads the flags of revoke.
func revokeFlags(args []string) (*revocation, error) {
	r := new(revocation)
	flags := usage.NewFlags()
	texts := map[string]*[]string{}
	for _, name := range []string{"user-id", "agent-id", "creator-id", "id", "except-id", "url", "key-file", "ca-file", "cert-file", "cert-key-file"} {
		texts[name] = flags.StringArray(name, nil, "")
	}
	for i := range dateFlags {
		texts[dateFlags[i].name] = flags.StringArray(dateFlags[i].name, nil, "")
	}
	flags.BoolVar(&r.All, "all", false, "")
	flags.BoolVar(&r.dryRun, "dry-run", false, "")
	flags.BoolVar(&r.yes, "yes", false, "")
	var wrong usage.Faults
	if _, err := usage.ParseFlags(flags, args, &wrong); err != nil {
		return nil, err
	}
	one := func(name string) string {
		values := *texts[name]
		if len(values) > 1 {
			wrong.Addf("--%s is given %d times", name, len(values))
		}
		return strings.Join(values, "")
	}
	flags.Visit(func(f *pflag.Flag) {
		if values := texts[f.Name]; values != nil && slices.Contains(*values, "") {
			// A shell variable that is not set must not make it match more.
			wrong.Addf("--%s has an empty value", f.Name)
		}
	})
	r.url, r.keyFile, r.ExceptIDs = cmp.Or(one("url"), defaultURL), one("key-file"), *texts["except-id"]
	r.tls = apiclient.TLSFiles{CA: one("ca-file"), Cert: one("cert-file"), Key: one("cert-key-file")}
	if len(r.ExceptIDs) > maxExcept {
		wrong.Addf("--except-id may be given %d times at most", maxExcept)
	}
	add := func(words string, q apiclient.Query) {
		r.Queries = append(r.Queries, q)
		r.words = append(r.words, words)
	}
	if user := one("user-id"); user != "" {
		add("of user "+plain(user), apiclient.OfUser(user))
	}
	if agent := one("agent-id"); agent != "" {
		add("of user agent "+plain(agent), apiclient.OfAgent(agent))
	}
	if creator := one("creator-id"); creator != "" {
		add("created by "+plain(creator), apiclient.CreatedBy(creator))
	}
	switch ids := *texts["id"]; {
	case len(ids) == 1:
		add("with the ID "+plain(ids[0]), apiclient.WithID(ids...))
	case len(ids) > 1:
		add(fmt.Sprintf("with one of %d IDs", len(ids)), apiclient.WithID(ids...))
	}
	for i := range dateFlags {
		text := one(dateFlags[i].name)
		if text == "" {
			continue
		}
		q, words, err := dateFlags[i].parse(text)
		if err != nil {
			wrong.Addf("--%s must be an instant such as 2026-01-31T12:00:00Z", dateFlags[i].name)
		}
		add(words, q)
	}
	switch {
	case len(wrong) > 0:
	case r.All && len(r.Queries) > 0:
		wrong.Addf("--all cannot be given together with other flags that say which sessions")
	case !r.All && len(r.Queries) == 0:
		wrong.Addf("say which sessions, by --user-id, --id or another flag, or --all; --help lists them")
	}
	return r, wrong.Err()
}

// which says how many sessions, and which.
func (r *revocation) which(n uint64) string {
	words := strings.Join(r.words, " ")
	if r.All {
		words = "that the caller may delete"
	}
	text := plural(n, "session") + " " + words
	switch except := len(r.ExceptIDs); {
	case except == 1:
		text += ", except session " + plain(r.ExceptIDs[0])
	case except > 1:
		text += fmt.Sprintf(", except %d sessions", except)
	}
	return text
}

// jwts says which JWTs end as well, "" if none do.
func jwts(r apiclient.Revoked) string {
	switch {
	case r.NotBefore != "":
		return ", and all JWTs of logins until " + plain(r.NotBefore)
	case r.SessionsOfJWTs > 0:
		return ", and all JWTs of " + plural(r.SessionsOfJWTs, "session")
	}
	return ""
}

// send asks the sidecar to count, or to revoke.
func (r *revocation) send(ctx context.Context, p *program, c *apiclient.Client, dryRun bool) (apiclient.Revoked, error) {
	what := "revoking"
	if dryRun {
		what = "counting"
	}
	stop := terminal.Spin(p.stderr, what)
	defer stop()
	body := r.Request
	body.DryRun = dryRun
	return c.Revoke(ctx, &body)
}

func plural(n uint64, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// plain returns text as it is, or quoted if it could be mistaken for more.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '\u007f' || r > '~' }) {
		return usage.Quote(text)
	}
	return text
}

// terminal returns the terminal that the user sits at, nil if there is none.
func (p *program) terminal() *os.File {
	if terminal.Of(p.stderr) == nil {
		return nil
	}
	return terminal.Of(p.stdin)
}
