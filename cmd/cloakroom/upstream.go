package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/webhook"
	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/metrics"
	"github.com/cloakroom-dev/cloakroom/internal/parts"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
	"github.com/cloakroom-dev/cloakroom/upstream/setup"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"
)

const upstreamHelp = `Usage: cloakroom upstream status --redis-url URL --upstream-url URL [flags]

Says how the copies of ZITADEL's sessions do: how many are stored, up to when
ZITADEL's events are known and which process searches for them, and whether
ZITADEL answers us, as doctor does. It changes nothing.

  --json    print one JSON object, for machines

All settings of serve count, from flags, environment and --config: above all
--redis-url, --redis-key-prefix, --upstream-url and --upstream-token-file.

Exit code: 0 all is well, or there are only warnings; 1 something is wrong;
2 it was called wrongly.
`

// startUpstream makes the client of the ZITADEL whose sessions are cached, if there is one.
func (s *sidecar) startUpstream() error {
	if s.c.Upstream == nil {
		return nil
	}
	c := s.c.Upstream.Client
	c.Logger, c.Metrics = s.log, s.metrics
	client, err := upstream.New(c)
	if err != nil {
		return err
	}
	s.upstream = client
	s.parts.OnStop("client of zitadel", func() error { client.Close(); return nil })
	s.parts.Start("watch of zitadel", client.Run)
	s.c.Upstream.Credentials.Then = client.SetCredentials
	if s.c.Upstream.RootCAs != nil {
		s.c.Upstream.RootCAs.Then = client.SetRootCAs
	}
	return nil
}

// startNews follows what happens at the ZITADEL, if there is one.
func (s *sidecar) startNews(store *cache.Store) {
	if s.upstream == nil {
		return
	}
	s.news = news.New(news.Config{
		Store: store, Search: s.upstream.Events, Every: s.c.Upstream.Poll, MaxAgeProven: s.c.Upstream.MaxAgeProven,
		Ties: s.c.Store.JWTs, Logger: s.log, Metrics: s.metrics,
	})
	s.parts.Start("news of zitadel", s.news.Run)
}

// examineZITADEL has the doctor look at the ZITADEL, if there is one.
func examineZITADEL(ctx context.Context, c *config.Config, tell func(doctor.Finding)) error {
	u := c.Upstream
	if u == nil {
		return nil
	}
	return doctor.ExamineZITADEL(ctx, doctor.ZITADEL{
		Config: u.Client, MaxAge: u.MaxAge, Poll: u.Poll, VerifyTimeout: c.API.Verify.UpstreamTimeout,
	}, tell)
}

// zitadelState returns what says how the ZITADEL and its news do, nil without one.
func (s *sidecar) zitadelState() *readiness.ZITADEL {
	if s.upstream == nil {
		return nil
	}
	return &readiness.ZITADEL{Client: s.upstream, News: s.news, MaxAge: s.c.Upstream.MaxAge, Events: s.c.Upstream.EventKeys != nil}
}

// statusFlags are what upstream status has in addition to the settings of serve.
type statusFlags struct{ json bool }

func (f *statusFlags) settings() []config.Setting {
	return []config.Setting{config.Own("json", "false", config.Boolean(&f.json), "print one JSON object, for machines")}
}

// upstreamCommand is the subcommand.
func upstreamCommand(ctx context.Context, p *program) error {
	switch {
	case asksHelp(p.args):
		_, err := io.WriteString(p.stdout, upstreamHelp)
		return err
	case len(p.args) == 0 || p.args[0] != "status":
		return &usage.Error{Faults: []string{"takes one word: status"}}
	}
	p.args = p.args[1:]
	var f statusFlags
	c, err := p.load(ctx, f.settings()...)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		_, err = io.WriteString(p.stdout, upstreamHelp)
		return err
	case err != nil:
		return err
	case c.Upstream == nil:
		return &usage.Error{Faults: []string{"--upstream-url is required"}}
	case c.RedisURL.Memory || c.RedisURL.Embedded:
		return &usage.Error{Faults: []string{"--redis-url " + c.RedisURL.Masked + ": nobody but its own cloakroom can look at it; /readyz?verbose of that says how ZITADEL and its news do"}}
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom upstream: warning: %s\n", w)
	}
	r, out := &report{Redis: c.RedisURL.Masked, Prefix: c.Store.Prefix}, p.chart(f.json)
	tell := r.teller(out)
	out.printf("%s, key prefix %s\n", r.Redis, r.Prefix)
	doctor.ExamineCopies(ctx, doctor.Copies{
		Status: func(ctx context.Context) (*cache.UpstreamStatus, error) { return upstreamStatus(ctx, p, c) },
		MaxAge: c.Upstream.MaxAge, MaxAgeProven: c.Upstream.MaxAgeProven, Poll: c.Upstream.Poll,
	}, tell)
	if err := examineZITADEL(ctx, c, tell); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	out.printf("\n%s\n", r.summary())
	return r.end(p, out, f.json)
}

// upstreamStatus reads what Redis has of the copies.
func upstreamStatus(ctx context.Context, p *program, c *config.Config) (_ *cache.UpstreamStatus, err error) {
	if o := c.RedisURL.Options; o != nil && o.ClientName == redisconn.ClientName { // CLIENT LIST is to tell us from serve
		o.ClientName = redisconn.ClientName + "-upstream"
	}
	s := &sidecar{c: c, p: p, log: slog.New(slog.DiscardHandler), parts: parts.New(), ready: readiness.New(), metrics: metrics.NewRegistry()}
	s.breakers = breaker.New(s.log)
	defer func() { err = errors.Join(err, s.parts.Stop()) }()
	b, err := s.startBackend(ctx)
	if err != nil {
		return nil, err
	}
	space, err := keys.NewSpace(c.Store.Prefix, 1)
	if err != nil {
		return nil, err
	}
	// Opening a store records the number of shards where none is recorded.
	if err := b.Client.Get(ctx, space.Meta()).Err(); errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("there is no store under the key prefix %q", c.Store.Prefix)
	} else if err != nil {
		return nil, err
	}
	if err := s.startUpstream(); err != nil {
		return nil, err
	}
	store, err := s.tryOpen(ctx, b)
	if err != nil {
		return nil, err
	}
	s.parts.OnStop("session store", store.Close)
	return store.UpstreamStatus(ctx)
}

const setupHelp = `Usage: cloakroom zitadel-setup --upstream-url URL --upstream-token-file FILE
                               --endpoint URL [flags]

Lets the ZITADEL at --upstream-url send its events to Cloakroom: makes a target
there, and sends the events of sessions and users to it, besides the targets
that get them already. It shows what there is and what is missing, and changes
nothing without --apply. The account of the token needs the permissions
action.target.read and .write, action.execution.read and .write, which an
IAM_OWNER has.

  --endpoint       the URL of /events/zitadel, as ZITADEL reaches it
  --name           name of the target; default cloakroom
  --apply          do what is missing; a second time does nothing more. The
                   signing key of a new target is appended to the file of
                   --upstream-event-key-file, which serve reads, and shown
                   nowhere
  --new-key        have an existing target sign with a new key, at once; with
                   --apply it says which lines of the file to delete then

Settings of serve that count, from flags, environment and --config:
--upstream-url, --upstream-host, --upstream-allow-http, --upstream-token-file,
--upstream-ca-file, --upstream-timeout and --upstream-event-key-file.

Exit code: 0 everything is set up; 1 something is missing, or it failed;
2 it was called wrongly.
`

// setupFlags are what zitadel-setup has in addition to the settings of serve.
type setupFlags struct {
	endpoint, name string
	apply, newKey  bool
}

func (f *setupFlags) settings() []config.Setting {
	return []config.Setting{
		config.Own("endpoint", "", config.Text(&f.endpoint, 1000), "URL of the webhook"),
		config.Own("name", "cloakroom", config.Text(&f.name, 200), "name of the target"),
		config.Own("apply", "false", config.Boolean(&f.apply), "do what is missing"),
		config.Own("new-key", "false", config.Boolean(&f.newKey), "have the target sign with a new key"),
	}
}

// errNotSetUp says that something is missing, which is printed.
var errNotSetUp = errors.New("something is missing")

// sentGroups are the groups of events that are sent.
var sentGroups = []string{"session", "user"}

// setupCommand is the subcommand: it lets a ZITADEL send its events.
func setupCommand(ctx context.Context, p *program) error {
	var f setupFlags
	c, err := p.load(ctx, f.settings()...)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.stdout, setupHelp)
		return err
	}
	if err != nil {
		return err
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom zitadel-setup: warning: %s\n", w)
	}
	host, err := f.check(c)
	if err != nil {
		return err
	}
	if !strings.HasSuffix(f.endpoint, webhook.Path) {
		_, _ = fmt.Fprintf(p.stderr, "cloakroom zitadel-setup: warning: --endpoint does not end in %s, where Cloakroom takes events: a gateway must change the path to that\n", webhook.Path)
	}
	client, err := upstream.New(c.Upstream.Client)
	if err != nil {
		return err
	}
	defer client.Close()
	plan, err := setup.Look(ctx, client, setup.Wanted{
		Endpoint: f.endpoint, Name: f.name, Groups: sentGroups, KeyFile: c.Upstream.EventKeyFile, NewKey: f.newKey,
	})
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(p.stdout, format+"\n", args...) }
	plan.Show(say)
	if plan.Done() {
		say("Everything is set up.")
		return nil
	}
	if advice := denyListAdvice(host); advice != "" {
		say("%s", advice)
	}
	if !f.apply {
		say("Nothing was changed. Add --apply to set up what is missing.")
		return &loggedError{errNotSetUp}
	}
	if err := plan.Apply(ctx, client, say); err != nil {
		return err
	}
	say("Done. Start every cloakroom serve with --upstream-event-key-file, so that it takes the events.")
	return nil
}

// check looks at the flags, and returns the host of the endpoint.
func (f *setupFlags) check(c *config.Config) (host string, err error) {
	var wrong usage.Faults
	if f.endpoint == "" {
		wrong.Addf("--endpoint is required: the URL of /events/zitadel, as ZITADEL reaches it")
	} else if host, err = checkEndpoint(f.endpoint, c.Upstream.Client.AllowHTTP); err != nil {
		wrong.Addf("--endpoint %v", err)
	}
	if f.name == "" {
		wrong.Addf("--name must not be empty")
	}
	if f.apply && c.Upstream.EventKeyFile == "" {
		wrong.Addf("--apply needs --upstream-event-key-file: where the signing key is written to")
	}
	return host, wrong.Err()
}

// checkEndpoint says what is wrong with the URL of a webhook, and returns its host.
func checkEndpoint(text string, allowHTTP bool) (host string, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("must be https://HOST/PATH")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("must have no user, query or fragment")
	case strings.Trim(u.Path, "/") == "":
		return "", errors.New("has no path: that of the webhook is " + webhook.Path)
	case u.Scheme == "http" && !allowHTTP && !listen.Loopback(addressOf(u)):
		return "", errors.New("must be https where the host is not loopback, unless --upstream-allow-http is true: events have hashes of passwords")
	}
	return u.Hostname(), nil
}

// addressOf is the address of a URL, in the form of a listener's.
func addressOf(u *url.URL) string {
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":80"
}

// defaultDenyList is ZITADEL's own HTTPClient.DenyList, of v4.17.
var defaultDenyList = []string{
	"localhost", "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15",
	"::/128", "::1/128", "fc00::/7", "fe80::/10",
}

// denyListAdvice says what ZITADEL's administrator must allow, if the host is or may be one that ZITADEL sends nothing to. The
// setting replaces the whole list.
func denyListAdvice(host string) string {
	const denies = "ZITADEL sends nothing to addresses in its HTTPClient.DenyList, which by default has private ones and loopback. "
	why := "Remove the range of " + host + " from it and keep the rest, which is, with the defaults of v4.17:"
	ip, err := netip.ParseAddr(host)
	if err != nil && host != "localhost" {
		why = "If " + host + " has such an address where ZITADEL runs, remove its range and keep the rest; for 10.0.0.0/8 that is, with the defaults of v4.17:"
	}
	rest := slices.DeleteFunc(slices.Clone(defaultDenyList), func(entry string) bool {
		network, wrong := netip.ParsePrefix(entry)
		switch {
		case host == "localhost":
			return entry == host || wrong == nil && network.Addr().IsLoopback()
		case err == nil:
			return wrong == nil && network.Contains(ip.Unmap())
		}
		return entry == "10.0.0.0/8"
	})
	if len(rest) == len(defaultDenyList) {
		return ""
	}
	return denies + why + "\n  ZITADEL_HTTPCLIENT_DENYLIST=" + strings.Join(rest, ",")
}
