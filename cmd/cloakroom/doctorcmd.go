package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
)

const doctorHelp = `Usage: cloakroom doctor --redis-url URL [flags]
       cloakroom doctor --auth-issuers-file FILE [--token -] [flags]
       cloakroom doctor --upstream-url URL --upstream-token-file FILE [flags]

Looks at a Redis before you trust it with sessions, or when something is wrong:
is it there and does it let us in; version; rights of the user; invalidations;
eviction, memory, persistence, replicas; clocks and round trips; what is stored.
With --auth-issuers-file it looks at issuers of tokens as well: discovery, keys,
clock, introspection, logouts, verify, permissions. With --upstream-url it looks
at ZITADEL: can it be reached, is our account accepted, may it see sessions and
search for events, clock, time. Without --redis-url it looks at these alone. One
line per check, and for each fault what to do.

It is safe beside a running cloakroom: it changes nothing. To see invalidations
it sets and deletes a key of its own in one transaction.

  --json    print one JSON object, for machines
  --token   explain a token, claim by claim, as serve would take it: - reads it
            from standard input, else the path of a file; it is never printed

All settings of serve count, from flags, environment and --config: above all
--redis-url, --redis-key-prefix, --redis-shards, --near-cache-bytes,
--auth-issuers-file, --verify-accept, --http-addr and --upstream-url.

Exit code: 0 all is well, or there are only warnings; 1 something is wrong;
2 it was called wrongly.
`

// doctorStart is how long an embedded server may take to start.
const doctorStart = 30 * time.Second

// errUnwell says that an examination has found faults, which are printed.
var errUnwell = errors.New("something is wrong")

// report is what doctor has found, for machines.
type report struct {
	// Redis and Prefix are "" where only issuers or a ZITADEL are looked at.
	Redis    string           `json:"redis,omitempty"`
	Prefix   string           `json:"keyPrefix,omitempty"`
	OK       bool             `json:"ok"`
	Findings []doctor.Finding `json:"checks"`
	// Token is what is made of a token that was shown.
	Token []doctor.Finding `json:"token,omitempty"`
}

// count is how many checks ended so.
func (r *report) count(s doctor.Status) int { return countOf(r.Findings, s) }

func countOf(findings []doctor.Finding, s doctor.Status) (n int) {
	for i := range findings {
		if findings[i].Status == s {
			n++
		}
	}
	return n
}

// doctorCommand is the subcommand.
func doctorCommand(ctx context.Context, p *program) error {
	asJSON, tokenAt := false, ""
	c, err := p.load(ctx, config.Own("json", "false", config.Boolean(&asJSON), "print JSON"), config.Own("token", "", config.Input(&tokenAt), "explain a token"))
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, doctorHelp)
		return err
	}
	if err != nil {
		return err
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom doctor: warning: %s\n", w)
	}
	token, err := p.token(ctx, c, tokenAt)
	if err != nil {
		return err
	}
	r := &report{Redis: c.RedisURL.Masked}
	out := p.chart(asJSON)
	tell := r.teller(out)
	if r.Redis != "" {
		r.Prefix = c.Store.Prefix
		out.printf("%s, key prefix %s\n\n", r.Redis, r.Prefix)
		err = examine(ctx, p, c, tell)
	}
	r.Token = examineIssuers(ctx, c, token, tell) // whatever is wrong with Redis
	if err = errors.Join(err, examineZITADEL(ctx, c, tell)); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	out.printf("\n%s\n", r.summary())
	for i := range r.Token {
		out.line(i == 0, "token", &r.Token[i])
	}
	return r.end(p, out, asJSON)
}

// chart prints findings on standard output, or nowhere if JSON follows.
func (p *program) chart(asJSON bool) *chart {
	out := &chart{w: p.stdout, colour: terminal.Of(p.stdout) != nil && !slices.ContainsFunc(p.env, func(v string) bool {
		return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR="
	})}
	if asJSON {
		out.w = io.Discard
	}
	return out
}

// teller takes findings, and prints each.
func (r *report) teller(out *chart) func(doctor.Finding) {
	return func(f doctor.Finding) {
		r.Findings = append(r.Findings, f)
		out.finding(f)
	}
}

// end prints JSON if that was asked for, and says whether all is well.
func (r *report) end(p *program, out *chart, asJSON bool) error {
	r.OK = r.count(doctor.Fail)+countOf(r.Token, doctor.Fail) == 0
	if asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		out.w = p.stdout
		out.printf("%s\n", text)
	}
	if out.err == nil && !r.OK {
		return &loggedError{errUnwell}
	}
	return out.err
}

// summary says how many checks ended how.
func (r *report) summary() string {
	parts := []string{fmt.Sprintf("%d ok", r.count(doctor.OK))}
	for _, s := range []struct {
		status doctor.Status
		one    string
		many   string
	}{{doctor.Skip, "1 not seen", "%d not seen"}, {doctor.Warn, "1 warning", "%d warnings"}, {doctor.Fail, "1 fault", "%d faults"}} {
		switch n := r.count(s.status); n {
		case 0:
		case 1:
			parts = append(parts, s.one)
		default:
			parts = append(parts, fmt.Sprintf(s.many, n))
		}
	}
	return strings.Join(parts, ", ")
}

// examine connects as serve does, and has the doctor look.
func examine(ctx context.Context, p *program, c *config.Config, tell func(doctor.Finding)) error {
	if c.RedisURL.Memory {
		tell(doctor.InMemory())
		return nil
	}
	u := &c.RedisURL
	if o := u.Options; o != nil && o.ClientName == redisconn.ClientName { // CLIENT LIST is to tell us from serve
		o.ClientName = redisconn.ClientName + "-doctor"
	}
	s := &sidecar{c: c, p: p, log: slog.New(slog.DiscardHandler), parts: parts.New(), ready: readiness.New()}
	s.breakers = breaker.New(s.log)
	startCtx, cancel := context.WithTimeout(ctx, doctorStart)
	defer cancel()
	b, err := s.startBackend(startCtx)
	if err != nil {
		return errors.Join(err, s.parts.Stop())
	}
	d := doctor.Config{
		Client: b.Client, Private: u.Embedded, Prefix: c.Store.Prefix, Shards: c.Store.Shards,
		Rights: acl.Needed(redisRights(), needs(c)), Near: c.Store.NearBytes > 0, NearByKey: c.Store.NearByKey,
	}
	if err = whereTo(c, &d, b.Client); err == nil {
		doctor.Examine(ctx, d, tell)
	}
	return errors.Join(err, s.parts.Stop())
}

// whereTo fills in which servers there are, and how to get in.
func whereTo(c *config.Config, d *doctor.Config, client redis.UniversalClient) error {
	u := &c.RedisURL
	if u.Options == nil { // our own
		d.Options = client.(*redis.Client).Options()
		d.Addresses = []doctor.Address{{Network: d.Options.Network, Addr: d.Options.Addr}}
		return nil
	}
	log := slog.New(slog.DiscardHandler)
	var secure *tls.Config
	if u.Options.TLSConfig != nil {
		var err error
		if secure, err = c.Redis.TLSConfig(u.Options.TLSConfig, log); err != nil {
			return err
		}
	}
	o := *u.Options
	if err := c.Redis.Apply(&o, u.Cluster, log); err != nil {
		return err
	}
	d.Options, d.User, d.Password = &o, o.Username, o.Password != ""
	if c.Redis.PasswordFile != "" {
		d.User, d.Password = c.Redis.Username, true
	}
	hosts := u.Hosts
	if len(hosts) == 0 {
		hosts = []string{o.Addr}
	}
	for _, host := range hosts {
		d.Addresses = append(d.Addresses, doctor.Address{Network: o.Network, Addr: host, TLS: secure})
	}
	if d.Master = u.Master; d.Master != "" {
		d.Sentinel = &redis.Options{
			Dialer: o.Dialer, Username: c.Redis.SentinelUsername, Password: c.Redis.SentinelPassword,
			MaxRetries: -1, DisableIdentity: true, ContextTimeoutEnabled: true, MaintNotificationsConfig: o.MaintNotificationsConfig,
		}
	}
	return nil
}
