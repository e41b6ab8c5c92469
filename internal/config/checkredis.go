package config

import (
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// checkRedis looks at the URL together with the other settings.
func checkRedis(c *Config, wrong *usage.Faults) {
	if !c.good("redis-url") || c.RedisURL.IsZero() {
		return
	}
	u, a := &c.RedisURL, &c.Redis
	remote := u.Options != nil
	needs := func(what string, have bool, names ...string) {
		for _, name := range names {
			if !have && c.good(name) && c.values[name] != "" && c.values[name] != "false" {
				wrong.Addf("--%s needs %s in --redis-url", name, what)
			}
		}
	}
	needs("a Redis of yours (redis://, unix:// or the like)", remote, "redis-username", "redis-password-file")
	needs("Sentinels (redis+sentinel:// or rediss+sentinel://)", u.Master != "", "redis-sentinel-username", "redis-sentinel-password-file")
	needs("TLS (rediss://, rediss+sentinel:// or rediss+cluster://)", remote && u.Options.TLSConfig != nil,
		"redis-tls-ca-file", "redis-tls-cert-file", "redis-tls-key-file", "redis-tls-server-name")
	needs("Sentinels or a Cluster (redis+sentinel://, redis+cluster://)", u.Master != "" || u.Cluster, "redis-replica-reads")
	if remote && u.Options.Password != "" && (a.Username != "" || a.PasswordFile != "") {
		wrong.Addf("--redis-url has a password already: leave it out there, or --redis-username and --redis-password-file here")
	}
	pair := func(name, file, username, path string, pipes followed.Pipes) (password string) {
		if username != "" && path == "" {
			wrong.Addf("--%s needs --%s", name, file)
		}
		if path == "" {
			return ""
		}
		password, err := redisconn.ReadPassword(path, pipes)
		if err != nil {
			wrong.Addf("--%s: %v", file, err)
		}
		return password
	}
	pair("redis-username", "redis-password-file", a.Username, a.PasswordFile, nil) // each connection reads it
	a.SentinelPassword = pair("redis-sentinel-username", "redis-sentinel-password-file", a.SentinelUsername, a.SentinelPasswordFile, c.pipes)
	if err := a.Check(); err != nil {
		wrong.Addf("%v", err)
	}
}
