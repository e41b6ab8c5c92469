package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// Upstream is the ZITADEL whose sessions are cached.
type Upstream struct {
	// Client is how it is asked, with what the files hold now; log and metrics are still to be filled in.
	Client upstream.Config
	// Credentials are those of the file: their changes are for Client.SetCredentials.
	Credentials *followed.Files[*upstream.Credentials]
	// RootCAs are those of the file, whose changes are for Client.SetRootCAs; nil without one.
	RootCAs *followed.Files[*x509.CertPool]
	// EventKeys are those that it signs events with; nil without a file, whose path is EventKeyFile.
	EventKeys    *followed.Files[*upstream.EventKeys]
	EventKeyFile string
	// MaxAge is how long what it has answered may answer here.
	MaxAge time.Duration
	// MaxAgeProven is the same where news prove that nothing has changed; it is not less than MaxAge.
	MaxAgeProven time.Duration
	// Poll is how often it is asked for its events; 0: never.
	Poll time.Duration
	// Keep is how long a copy stays that nobody uses.
	Keep time.Duration
	// ProbeRate is how many calls a second it gets at most to check tokens that Cloakroom does not know.
	ProbeRate int
}

// DefaultProbeRate is a quarter of the 180 sessions a second that a ZITADEL on two cores was measured to answer: made-up tokens leave three
// quarters of it to what is known, and to itself.
const DefaultProbeRate = 45

// upstreamSettings are the settings of an Upstream.
type upstreamSettings struct {
	upstream.Config
	tokenFile, caFile, eventKeyFile string
	maxAge, maxAgeProven            time.Duration
	poll, keep                      time.Duration
	permissionAge, verifyTimeout    time.Duration
	probeRate                       int
}

// newsLag is how old news can be beside --upstream-timeout and --upstream-poll: events may come 5 s late, and after one of a user
// questions under way are waited for, with what they take at Redis (package news).
const newsLag = 10 * time.Second

// upstreamNeeds are settings that say nothing without --upstream-url.
var upstreamNeeds = []string{"upstream-host", "upstream-allow-http", "upstream-token-file", "upstream-ca-file", "upstream-event-key-file"}

// checkUpstream reads the files of the ZITADEL, if there is one. Only zitadel-setup leaves out the one with the keys of events: it
// writes them, and the file may not be there yet.
func checkUpstream(c *Config, subcommand string, wrong *usage.Faults) {
	u := &c.upstream
	if !c.good(append(upstreamNeeds, "upstream-url")...) {
		return
	}
	if u.URL == "" {
		for _, name := range upstreamNeeds {
			if v := c.values[name]; v != "" && v != "false" && !c.misspelt {
				wrong.Addf("--%s needs --upstream-url", name)
			}
		}
		return
	}
	before := len(*wrong)
	for _, own := range []struct {
		name  string
		given bool
	}{
		{"max-sessions-per-user", c.Store.MaxSessionsPerUser > 0},
		{"default-lifetime", c.API.DefaultLifetime > 0},
		{"max-lifetime", c.API.MaxLifetime > 0},
		{"stale-if-error", c.Store.StaleIfError > 0},
	} {
		if own.given {
			wrong.Addf("--%s cannot be set with --upstream-url: the sessions are those of ZITADEL, which decides that", own.name)
		}
	}
	switch err := u.Check(); {
	case errors.Is(err, upstream.ErrPlainHTTP):
		wrong.Addf("--upstream-url: http is for loopback only, unless --upstream-allow-http is true")
	case err != nil:
		wrong.Addf("--upstream-url, --upstream-host: %v", err)
	case u.caFile != "" && strings.HasPrefix(strings.ToLower(u.URL), "http:"):
		wrong.Addf("--upstream-ca-file needs an --upstream-url with https")
	}
	// A copy that is used is asked for again when it is as old as that, and so does not look unused.
	if c.good("upstream-keep", "upstream-max-age", "upstream-max-age-proven") && u.keep <= max(u.maxAge, u.maxAgeProven) {
		wrong.Addf("--upstream-keep must be longer than --upstream-max-age-proven and --upstream-max-age, of which the longer is %s", max(u.maxAge, u.maxAgeProven))
	}
	if lag := newsLag + u.Timeout + 2*u.poll; c.good("upstream-poll", "upstream-max-age", "upstream-timeout") && u.poll > 0 && u.maxAge*8/10 <= lag {
		c.Warnings = append(c.Warnings, fmt.Sprintf("--upstream-max-age (%s) is too short for news to spare ZITADEL questions: at four fifths of it copies are asked for again, and with this --upstream-timeout (%s) and --upstream-poll (%s) news can be %s old",
			u.maxAge, u.Timeout, u.poll, lag))
	}
	if u.tokenFile == "" && !c.misspelt {
		wrong.Addf("--upstream-url needs --upstream-token-file: what a service account of ZITADEL has, a personal access token or the JSON of a key")
	}
	if len(*wrong) > before || u.tokenFile == "" {
		return
	}
	up := &Upstream{Client: u.Config, Credentials: credentialsFile(u.tokenFile)}
	if err := up.Credentials.Open(c.pipes); err != nil {
		wrong.Addf("--upstream-token-file: %v", err)
		return
	}
	if u.caFile != "" {
		up.RootCAs = authoritiesFile(u.caFile)
		if err := up.RootCAs.Open(c.pipes); err != nil {
			wrong.Addf("--upstream-ca-file: %v", err)
			return
		}
		up.Client.RootCAs = up.RootCAs.Value()
	}
	if up.EventKeyFile = u.eventKeyFile; u.eventKeyFile != "" && subcommand != SetUp {
		up.EventKeys = eventKeysFile(u.eventKeyFile)
		if err := up.EventKeys.Open(c.pipes); err != nil {
			wrong.Addf("--upstream-event-key-file: %v", err)
			return
		}
	}
	up.Client.Credentials, up.Client.SessionBytes = up.Credentials.Value(), c.API.MaxSessionBytes
	up.MaxAge, up.MaxAgeProven, up.Poll = u.maxAge, max(u.maxAge, u.maxAgeProven), u.poll
	up.Keep, up.ProbeRate = u.keep, u.probeRate
	c.API.UpstreamTimeout, c.API.PermissionAge, c.API.Verify.UpstreamTimeout = u.Timeout, u.permissionAge, u.verifyTimeout
	c.Upstream = up
}

// credentialsFile follows a file with the credentials of a service account.
func credentialsFile(path string) *followed.Files[*upstream.Credentials] {
	return &followed.Files[*upstream.Credentials]{
		Setting: "upstream-token-file",
		Parse: func(read func(string) ([]byte, error)) (*upstream.Credentials, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			credentials, err := upstream.ParseCredentials(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return credentials, nil
		},
		Done: "credentials for ZITADEL reloaded", Kept: "the credentials for ZITADEL were not reloaded, the old ones stay",
		Says: func(now *upstream.Credentials) []any { return []any{"credentials", now.Kind()} },
	}
}

// eventKeysFile follows a file with the keys that ZITADEL signs events with.
func eventKeysFile(path string) *followed.Files[*upstream.EventKeys] {
	return &followed.Files[*upstream.EventKeys]{
		Setting: "upstream-event-key-file",
		Parse: func(read func(string) ([]byte, error)) (*upstream.EventKeys, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			keys, err := upstream.ParseEventKeys(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return keys, nil
		},
		Done: "keys of ZITADEL's events reloaded", Kept: "the keys of ZITADEL's events were not reloaded, the old ones stay",
		Says: func(now *upstream.EventKeys) []any { return []any{"keys", now.Len()} },
	}
}

// authoritiesFile follows a file with the authorities of ZITADEL's certificate.
func authoritiesFile(path string) *followed.Files[*x509.CertPool] {
	return &followed.Files[*x509.CertPool]{
		Setting: "upstream-ca-file",
		Parse: func(read func(string) ([]byte, error)) (*x509.CertPool, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("%s: has no certificate in PEM", path)
			}
			return roots, nil
		},
		Done: "authorities of ZITADEL's certificate reloaded", Kept: "the authorities of ZITADEL's certificate were not reloaded, the old ones stay",
		Says: func(*x509.CertPool) []any { return []any{"file", path} },
	}
}

// Copies says whether the sessions are copies of a ZITADEL's, for subcommands that do not ask it.
func (c *Config) Copies() bool { return c.upstream.URL != "" }
