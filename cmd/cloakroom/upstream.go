package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strings"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
	"github.com/cloakroom-dev/cloakroom/upstream/setup"
	"github.com/spf13/pflag"
)

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
		Store: store, Search: s.upstream.Events, Every: s.c.Upstream.Poll, MaxAgeProven: s.c.Upstream.MaxAgeProven, Logger: s.log, Metrics: s.metrics,
	})
	s.parts.Start("news of zitadel", s.news.Run)
}

const setupHelp = `Usage: cloakroom zitadel-setup --upstream-url URL --upstream-token-file FILE
                               --endpoint URL [flags]

Lets the ZITADEL at --upstream-url send its events to Cloakroom: makes a target
there, and sends the events of sessions and users to it, besides the targets
that they go to already. It shows what there is and what is missing, and changes
nothing without --apply. The account of the token needs the permissions
action.target.read and .write, action.execution.read and .write, which an
IAM_OWNER has.

  --endpoint       the URL of /events/zitadel, as ZITADEL reaches it
  --name           name of the target; default cloakroom
  --apply          do what is missing; a second time does nothing more. The
                   signing key of a new target is appended to the file of
                   --upstream-event-key-file, which serve reads, and shown
                   nowhere
  --new-key        have an existing target sign with a new key, at once; remove
                   the old one from the file afterwards
  --oidc-sessions  also send the events of OIDC sessions, of which Cloakroom
                   makes no use yet: ZITADEL sends about ten events a second

Settings of serve that count, from flags, environment and --config:
--upstream-url, --upstream-host, --upstream-allow-http, --upstream-token-file,
--upstream-ca-file, --upstream-timeout and --upstream-event-key-file.

Exit code: 0 it is set up, or it was shown what is missing; 1 it failed;
2 it was called wrongly.
`

// setupFlags are what zitadel-setup has in addition to the settings of serve.
type setupFlags struct {
	endpoint, name              string
	apply, newKey, oidcSessions bool
}

func (f *setupFlags) settings() []config.Setting {
	return []config.Setting{
		config.Own("endpoint", "", config.Text(&f.endpoint, 1000), "URL of the webhook"),
		config.Own("name", "cloakroom", config.Text(&f.name, 200), "name of the target"),
		config.Own("apply", "false", config.Boolean(&f.apply), "do what is missing"),
		config.Own("new-key", "false", config.Boolean(&f.newKey), "have the target sign with a new key"),
		config.Own("oidc-sessions", "false", config.Boolean(&f.oidcSessions), "also events of OIDC sessions"),
	}
}

// groups are the groups of events that are sent.
func (f *setupFlags) groups() []string {
	if f.oidcSessions {
		return []string{"session", "user", "oidc_session"}
	}
	return []string{"session", "user"}
}

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
	client, err := upstream.New(c.Upstream.Client)
	if err != nil {
		return err
	}
	defer client.Close()
	plan, err := setup.Look(ctx, client, setup.Wanted{
		Endpoint: f.endpoint, Name: f.name, Groups: f.groups(), KeyFile: c.Upstream.EventKeyFile, NewKey: f.newKey,
	})
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(p.stdout, format+"\n", args...) }
	plan.Show(say)
	if plan.Done() {
		say("All is set up.")
		return nil
	}
	if advice := denyListAdvice(host); advice != "" {
		say("%s", advice)
	}
	if !f.apply {
		say("Nothing was changed: --apply does it.")
		return nil
	}
	if err := plan.Apply(ctx, client, say); err != nil {
		return err
	}
	say("Done. A serve with --upstream-event-key-file takes the events.")
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
		return "", errors.New("has no path: that of the webhook is /events/zitadel")
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

// denyListAdvice says what ZITADEL's administrator must allow, if the host is or may be one that ZITADEL sends nothing to.
func denyListAdvice(host string) string {
	const denies = "ZITADEL sends nothing to addresses in its HTTPClient.DenyList, which by default has private ones and loopback: "
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()), host == "localhost":
		return denies + "its configuration must take " + host + " out of that."
	case err == nil:
		return ""
	}
	return denies + "if " + host + " has such an address where ZITADEL runs, its configuration must take that out."
}
