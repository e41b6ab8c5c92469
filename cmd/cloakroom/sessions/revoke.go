package sessions

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const revokeIntro = `Usage: cloakroom sessions revoke WHICH [flags]

Revokes sessions through a running sidecar. It counts them first, says what it
is about to do, and asks.
`

// maxExcept is how many sessions a revocation may leave out.
const maxExcept = 1000

var (
	everything = option{name: "all", kind: onOff, help: "all that the caller may delete, in place of the flags above"}
	revocation = group{"How:", []option{
		{name: "except-id", kind: often, help: "a session that stays; may repeat, at most 1000 times"},
		{name: "dry-run", kind: onOff, help: "only count"},
		{name: "yes", kind: onOff, help: "do not ask; needed where there is no terminal"},
	}}
)

// errUnanswered says that the question was not answered with yes.
var errUnanswered = errors.New("nothing was revoked, because the answer was not y")

func checkRevocation(c *call, wrong *usage.Faults) {
	if len(c.values["except-id"]) > maxExcept {
		wrong.Addf("--except-id may be given %d times at most", maxExcept)
	}
	switch {
	case len(*wrong) > 0: // a bad value says which sessions, too
	case c.on("all") && len(c.queries) > 0:
		wrong.Addf("--all cannot be given together with other flags that say which sessions")
	case !c.on("all") && len(c.queries) == 0:
		wrong.Addf("say which sessions, by --user-id, --id or another flag, or --all; --help lists them")
	}
}

func revoke(ctx context.Context, c *call) error {
	r := apiclient.Revocation{Queries: c.queries, All: c.on("all"), ExceptIDs: c.values["except-id"]}
	found, err := c.revoke(ctx, r, true)
	if err != nil {
		return err
	}
	switch {
	case found.Sessions == 0 && found.NotBefore == "" && found.SessionsOfJWTs == 0:
		_, err = fmt.Fprintf(c.Stdout, "there is nothing to revoke: %s\n", c.revoked(0))
		return err
	case c.on("dry-run"):
		_, err = fmt.Fprintf(c.Stdout, "%s would be revoked%s\n", c.revoked(found.Sessions), jwts(found))
		return err
	case !c.on("yes"):
		tty := c.terminal()
		if tty == nil {
			return &usage.Error{Faults: []string{fmt.Sprintf("%s would be revoked%s, but there is no terminal to ask on; nothing was revoked; say --yes to revoke without being asked", c.revoked(found.Sessions), jwts(found))}}
		}
		yes, err := terminal.Ask(ctx, tty, c.Stderr, fmt.Sprintf("revoke %s%s? [y/N] ", c.revoked(found.Sessions), jwts(found)))
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
	done, err := c.revoke(ctx, r, false)
	if err != nil {
		return err
	}
	if done.Unreplicated > 0 {
		c.note("warning: fewer replicas than --revoke-wait-replicas have %d of these deletions", done.Unreplicated)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s revoked%s\n", terminal.Count(done.Sessions, "session"), jwts(done))
	return err
}

// revoke asks the sidecar to count, or to revoke.
func (c *call) revoke(ctx context.Context, r apiclient.Revocation, dryRun bool) (apiclient.Revoked, error) {
	r.DryRun = dryRun
	what := "revoking"
	if dryRun {
		what = "counting"
	}
	defer terminal.Spin(c.Stderr, what)()
	return c.client.Revoke(ctx, &r)
}

// revoked says how many sessions, and which.
func (c *call) revoked(n uint64) string {
	text := c.sessions(n)
	if c.on("all") {
		text += " that the caller may delete"
	}
	switch except := c.values["except-id"]; {
	case len(except) == 1:
		text += ", except session " + terminal.Word(except[0])
	case len(except) > 1:
		text += fmt.Sprintf(", except %d sessions", len(except))
	}
	return text
}

// jwts says which JWTs end as well, "" if none do.
func jwts(r apiclient.Revoked) string {
	switch {
	case r.NotBefore != "":
		return ", and all JWTs of logins until " + terminal.Word(r.NotBefore)
	case r.SessionsOfJWTs > 0:
		return ", and all JWTs of " + terminal.Count(r.SessionsOfJWTs, "session")
	}
	return ""
}
