package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// crossCheck looks at settings together, each of which is good alone, and
// reads the API keys. A subcommand that does not serve needs nobody who could
// call, and acl needs no Redis.
func crossCheck(c *config, subcommand string, wrong *faults) {
	if c.good("redis-url") && c.redisURL.isZero() && subcommand != "acl" {
		wrong.addf("--redis-url is required: %s", redisURLForms)
	}
	if _, err := keys.NewSpace(c.store.Prefix, 1); err != nil {
		wrong.addf("--redis-key-prefix: %v", err)
	}
	if c.good("redis-url", "redis-shards") && c.redisURL.memory && c.store.Shards > 1 {
		wrong.addf("--redis-shards must be 0 or 1 with --redis-url memory:")
	}
	if subcommand == "acl" {
		return
	}
	checkRedis(c, wrong)
	if subcommand == "doctor" || subcommand == "audit" {
		return
	}
	if c.good("search-default-limit", "search-max-limit") && c.api.DefaultLimit > c.api.MaxLimit {
		wrong.addf("--search-default-limit (%d) must not be above --search-max-limit (%d)", c.api.DefaultLimit, c.api.MaxLimit)
	}
	if c.good("max-session-bytes", "max-body-bytes") && c.api.MaxSessionBytes > c.api.MaxBodyBytes {
		wrong.addf("--max-session-bytes (%s) must not be above --max-body-bytes (%s)", bytesText(c.api.MaxSessionBytes), bytesText(c.api.MaxBodyBytes))
	}
	if c.proxiesFault != nil {
		wrong.addf("--trusted-proxies: %v", c.proxiesFault)
	}
	if c.policyFault != nil {
		wrong.addf("--verify-policy: %v", c.policyFault)
	}
	if c.corsFault != nil {
		wrong.addf("--cors-origins: %v", c.corsFault)
	}
	if c.good("cors-origins", "auth-anonymous") && len(c.api.CORSOrigins) > 0 && c.api.Anonymous {
		wrong.addf("--cors-origins needs callers with credentials: it cannot be set with --auth-anonymous, which serves no web page of another site")
	}
	if c.good("verify-policy", "verify-default-policy") && c.api.Verify.Default != "" && c.api.Verify.Policies[c.api.Verify.Default] == nil {
		wrong.addf("--verify-default-policy: there is no --verify-policy of that name")
	}
	if c.good("stale-if-error", "near-cache-bytes") && c.store.StaleIfError > 0 && c.store.NearBytes == 0 {
		wrong.addf("--stale-if-error (%v) needs copies: --near-cache-bytes must not be 0", c.store.StaleIfError)
	}
	if c.good("key-rate-limit", "key-rate-burst") && c.api.KeyRate.Burst > 0 && c.api.KeyRate.PerSecond == 0 {
		wrong.addf("--key-rate-burst (%d) needs a --key-rate-limit", c.api.KeyRate.Burst)
	}
	c.api.Verify.HideReason = !c.verifyReasons
	checkLifetimes(c, wrong)
	checkListeners(c, wrong)
	checkReusePort(c, wrong)
	checkKeys(c, wrong)
	checkIssuers(c, wrong)
	checkTLS(c, wrong)
	checkShutdown(c, wrong)
}

// good says whether each of the settings is good alone.
func (c *config) good(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(c.bad, n) })
}

func checkLifetimes(c *config, wrong *faults) {
	if !c.good("default-lifetime", "max-lifetime") || c.api.MaxLifetime == 0 {
		return
	}
	if c.api.DefaultLifetime > c.api.MaxLifetime {
		wrong.addf("--default-lifetime (%v) must not be above --max-lifetime (%v)", c.api.DefaultLifetime, c.api.MaxLifetime)
	}
	if c.api.DefaultLifetime == 0 {
		wrong.addf("--default-lifetime must be set when --max-lifetime (%v) is, because 0 never expires", c.api.MaxLifetime)
	}
}

func checkListeners(c *config, wrong *faults) {
	listeners := []struct{ flag, addr string }{{"http-addr", c.listen.http}, {"admin-addr", c.listen.admin}, {"verify-addr", c.listen.verify}}
	for i, l := range listeners {
		for _, other := range listeners[i+1:] {
			if c.good(l.flag, other.flag) && l.addr == other.addr && !strings.HasSuffix(l.addr, ":0") {
				wrong.addf("--%s and --%s must differ, both are %s", l.flag, other.flag, l.addr)
			}
		}
		if c.api.Anonymous && c.good(l.flag) && l.addr != "" && !loopback(l.addr) {
			wrong.addf("--auth-anonymous is refused because --%s %s is neither loopback nor a unix socket; use --auth-keys-file", l.flag, l.addr)
		}
	}
}

// checkKeys makes sure that somebody may call.
func checkKeys(c *config, wrong *faults) {
	switch {
	case !c.good("auth-keys-file", "auth-issuers-file", "auth-anonymous"):
	case c.keysFile != "":
		k, err := openKeys(c.keysFile, c.pipes)
		if err != nil {
			wrong.addf("--auth-keys-file: %v", err)
			return
		}
		c.apiKeys = k
	case !c.api.Anonymous && c.issuersFile == "":
		wrong.addf("nobody could call: set --auth-keys-file (`cloakroom key new --file keys.yaml …` makes one), " +
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
func openKeys(path string, pipes pipes) (*reloaded[*caller.APIKeys], error) {
	r := &reloaded[*caller.APIKeys]{
		setting: "auth-keys-file",
		parse: func(read func(string) ([]byte, error)) (*caller.APIKeys, error) {
			text, err := read(path)
			if err != nil {
				return nil, err
			}
			return parseKeys(path, text)
		},
		done: "API keys reloaded", kept: "the API keys were not reloaded, the old ones stay",
		says: func(k *caller.APIKeys) []any { return []any{"keys", k.Len()} },
	}
	return r, r.open(pipes)
}

// checkIssuers reads the issuers.
func checkIssuers(c *config, wrong *faults) {
	if !c.good("auth-issuers-file") || c.issuersFile == "" {
		return
	}
	file := c.issuersFile
	r := &reloaded[*oidc.Settings]{
		setting: "auth-issuers-file",
		parse:   func(read func(string) ([]byte, error)) (*oidc.Settings, error) { return oidc.Load(file, read) },
		done:    "issuers reloaded", kept: "the issuers were not reloaded, the old ones stay",
		says: func(s *oidc.Settings) []any { return []any{"issuers", s.Len()} },
	}
	if err := r.open(c.pipes); err != nil {
		wrong.addf("--auth-issuers-file: %v", err)
		return
	}
	c.issuers = r
}
