package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// SetUp is the subcommand that sets up a ZITADEL.
const SetUp = "zitadel-setup"

// crossCheck looks at settings together, each of which is good alone, and
// reads the API keys and the issuers. A subcommand that does not serve needs no callers, acl needs no Redis,
// and doctor none if there are issuers or a ZITADEL.
func crossCheck(c *Config, subcommand string, wrong *usage.Faults) {
	if subcommand == SetUp { // which asks no Redis, and nobody calls it
		if c.upstream.URL == "" && c.good("upstream-url") && !c.misspelt {
			wrong.Addf("--upstream-url is required: where the ZITADEL is")
		}
		checkUpstream(c, subcommand, wrong)
		return
	}
	if c.good("redis-url") && c.RedisURL.IsZero() && !c.misspelt {
		switch {
		case subcommand == "acl", subcommand == "doctor" && (c.issuersFile != "" || c.upstream.URL != ""):
		case subcommand == "doctor":
			wrong.Addf("--redis-url, --auth-issuers-file or --upstream-url is required; `cloakroom serve --help` says what they take")
		default:
			wrong.Addf("--redis-url is required; `cloakroom serve --help` says what it takes")
		}
	}
	if _, err := keys.NewSpace(c.Store.Prefix, 1); err != nil {
		wrong.Addf("--redis-key-prefix: %v", err)
	}
	if c.good("redis-url", "redis-shards") && c.RedisURL.Memory && c.Store.Shards > 1 {
		wrong.Addf("--redis-shards must be 0 or 1 with --redis-url memory:")
	}
	if subcommand == "acl" {
		return
	}
	checkRedis(c, wrong)
	switch subcommand {
	case "doctor": // a fault there must not hide what is wrong with Redis
		c.IssuersFault = openIssuers(c)
		checkUpstream(c, subcommand, wrong)
		return
	case "upstream":
		checkUpstream(c, subcommand, wrong)
		return
	case "audit", "export":
		return
	case "import": // which refuses what serve would refuse of sessions that can end
		if c.IssuersFault = openIssuers(c); c.IssuersFault != nil {
			wrong.Addf("%v", c.IssuersFault)
		}
		return
	}
	if c.good("search-default-limit", "search-max-limit") && c.API.DefaultLimit > c.API.MaxLimit {
		wrong.Addf("--search-default-limit (%d) must not be above --search-max-limit (%d)", c.API.DefaultLimit, c.API.MaxLimit)
	}
	if c.good("max-session-bytes", "max-body-bytes") && c.API.MaxSessionBytes > c.API.MaxBodyBytes {
		wrong.Addf("--max-session-bytes (%s) must not be above --max-body-bytes (%s)", bytesText(c.API.MaxSessionBytes), bytesText(c.API.MaxBodyBytes))
	}
	if c.proxiesFault != nil {
		wrong.Addf("--trusted-proxies: %v", c.proxiesFault)
	}
	if c.policyFault != nil {
		wrong.Addf("--verify-policy: %v", c.policyFault)
	}
	if c.corsFault != nil {
		wrong.Addf("--cors-origins: %v", c.corsFault)
	}
	if c.good("cors-origins", "auth-anonymous") && len(c.API.CORSOrigins) > 0 && c.API.Anonymous {
		wrong.Addf("--cors-origins needs callers with credentials: it cannot be set with --auth-anonymous, which serves no web page of another site")
	}
	if c.good("verify-policy", "verify-default-policy") && c.API.Verify.Default != "" && c.API.Verify.Policies[c.API.Verify.Default] == nil {
		wrong.Addf("--verify-default-policy: there is no --verify-policy of that name")
	}
	if c.good("stale-if-error", "near-cache-bytes") && c.Store.StaleIfError > 0 && c.Store.NearBytes == 0 {
		wrong.Addf("--stale-if-error (%v) needs copies: --near-cache-bytes must not be 0", c.Store.StaleIfError)
	}
	if c.good("key-rate-limit", "key-rate-burst") && c.API.KeyRate.Burst > 0 && c.API.KeyRate.PerSecond == 0 {
		wrong.Addf("--key-rate-burst (%d) needs a --key-rate-limit", c.API.KeyRate.Burst)
	}
	c.API.Verify.HideReason = !c.verifyReasons
	checkLifetimes(c, wrong)
	checkListeners(c, wrong)
	checkReusePort(c, wrong)
	checkKeys(c, wrong)
	checkConsole(c, subcommand, wrong)
	checkIssuers(c, wrong)
	checkAssertion(c, wrong)
	checkUpstream(c, subcommand, wrong)
	checkTLS(c, wrong)
	checkShutdown(c, wrong)
}

// good says whether each of the settings is good alone.
func (c *Config) good(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.bad, n) })
}

func checkLifetimes(c *Config, wrong *usage.Faults) {
	if !c.good("default-lifetime", "max-lifetime") || c.API.MaxLifetime == 0 {
		return
	}
	if c.API.DefaultLifetime > c.API.MaxLifetime {
		wrong.Addf("--default-lifetime (%v) must not be above --max-lifetime (%v)", c.API.DefaultLifetime, c.API.MaxLifetime)
	}
	if c.API.DefaultLifetime == 0 {
		wrong.Addf("--default-lifetime must be set when --max-lifetime (%v) is, because 0 never expires", c.API.MaxLifetime)
	}
}

func checkListeners(c *Config, wrong *usage.Faults) {
	listeners := []struct{ flag, addr string }{{"http-addr", c.Listen.HTTP}, {"admin-addr", c.Listen.Admin}, {"verify-addr", c.Listen.Verify}, {"grpc-addr", c.Listen.GRPC}}
	for i, l := range listeners {
		for _, other := range listeners[i+1:] {
			if c.good(l.flag, other.flag) && l.addr != "" && l.addr == other.addr && !strings.HasSuffix(l.addr, ":0") {
				wrong.Addf("--%s and --%s must differ, both are %s", l.flag, other.flag, l.addr)
			}
		}
		if c.API.Anonymous && c.good(l.flag) && l.addr != "" && !listen.Loopback(l.addr) {
			wrong.Addf("--auth-anonymous is refused because --%s %s is neither loopback nor a unix socket; use --auth-keys-file", l.flag, l.addr)
		}
	}
}

// checkKeys makes sure that somebody may call.
func checkKeys(c *Config, wrong *usage.Faults) {
	switch {
	case !c.good("auth-keys-file", "auth-issuers-file", "auth-anonymous"):
	case c.keysFile != "":
		k, err := openKeys(c.keysFile, c.pipes)
		if err != nil {
			wrong.Addf("--auth-keys-file: %v", err)
			return
		}
		c.APIKeys = k
	case !c.API.Anonymous && c.issuersFile == "" && c.upstream.URL == "" && !c.misspelt:
		wrong.Addf("nobody could call: set --auth-keys-file (`cloakroom key new --file keys.yaml …` makes one), " +
			"or --auth-issuers-file, or --auth-anonymous to try out")
	}
}

func parseKeys(path string, text []byte) (*caller.APIKeys, error) {
	k, err := caller.ParseAPIKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// openKeys reads a file with API keys.
func openKeys(path string, pipes followed.Pipes) (*followed.Files[*caller.APIKeys], error) {
	r := &followed.Files[*caller.APIKeys]{
		Setting: "auth-keys-file",
		Parse: func(read func(string) ([]byte, error)) (*caller.APIKeys, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			return parseKeys(path, text)
		},
		Done: "API keys reloaded", Kept: "the API keys were not reloaded, the old ones stay",
		Says: func(k *caller.APIKeys) []any { return []any{"keys", k.Len()} },
	}
	return r, r.Open(pipes)
}

// LoginsEnd says whether logins may end that JWTs name: by the issuers, or, for a subcommand that does not
// read these, where there may be some.
func (c *Config) LoginsEnd() bool {
	return c.Store.JWTs || c.issuersFile != "" && (c.Issuers == nil || c.Issuers.Value().LoginsEnd())
}

// VerifiesJWTs says whether verify takes JWTs.
func (c *Config) VerifiesJWTs() bool { return c.API.Verify.Accepts&verify.AcceptJWTs != 0 }

// checkIssuers reads the issuers.
func checkIssuers(c *Config, wrong *usage.Faults) {
	if err := openIssuers(c); err != nil {
		wrong.Addf("--auth-issuers-file: %v", err)
	}
}

// openIssuers reads the issuers, if there is a file.
func openIssuers(c *Config) error {
	if !c.good("auth-issuers-file") || c.issuersFile == "" {
		return nil
	}
	file := c.issuersFile
	r := &followed.Files[*oidc.Settings]{
		Setting: "auth-issuers-file",
		Parse:   func(read func(string) ([]byte, error)) (*oidc.Settings, error) { return oidc.Load(file, read) },
		Done:    "issuers reloaded", Kept: "the issuers were not reloaded, the old ones stay",
		Says: func(s *oidc.Settings) []any { return []any{"issuers", s.Len()} },
	}
	if err := r.Open(c.pipes); err != nil {
		return err
	}
	c.Issuers = r
	c.Store.JWTs = c.VerifiesJWTs() || r.Value().Bears() // callers of the API are asked about, too
	return nil
}
