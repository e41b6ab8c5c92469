package main

// checkRedis looks at the URL together with the settings besides it.
func checkRedis(c *config, wrong *faults) {
	if !c.good("redis-url") || c.redisURL.isZero() {
		return
	}
	u, a := &c.redisURL, &c.redis
	remote := u.options != nil
	needs := func(what string, have bool, names ...string) {
		for _, name := range names {
			if !have && c.good(name) && c.values[name] != "" && c.values[name] != "false" {
				wrong.addf("--%s needs %s in --redis-url", name, what)
			}
		}
	}
	needs("a Redis of yours (redis://, unix:// or the like)", remote, "redis-username", "redis-password-file")
	needs("Sentinels (redis+sentinel:// or rediss+sentinel://)", u.master != "", "redis-sentinel-username", "redis-sentinel-password-file")
	needs("TLS (rediss://, rediss+sentinel:// or rediss+cluster://)", remote && u.options.TLSConfig != nil,
		"redis-tls-ca-file", "redis-tls-cert-file", "redis-tls-key-file", "redis-tls-server-name")
	needs("Sentinels or a Cluster (redis+sentinel://, redis+cluster://)", u.master != "" || u.cluster, "redis-replica-reads")
	if remote && u.options.Password != "" && (a.username != "" || a.passwordFile != "") {
		wrong.addf("--redis-url has a password already: leave it out there, or --redis-username and --redis-password-file here")
	}
	pair := func(name, file, username, path string, pipes pipes) (password string) {
		if username != "" && path == "" {
			wrong.addf("--%s needs --%s", name, file)
		}
		if path == "" {
			return ""
		}
		password, err := readPassword(path, pipes)
		if err != nil {
			wrong.addf("--%s: %v", file, err)
		}
		return password
	}
	pair("redis-username", "redis-password-file", a.username, a.passwordFile, nil) // each connection reads it
	a.sentinelPassword = pair("redis-sentinel-username", "redis-sentinel-password-file", a.sentinelUsername, a.sentinelPasswordFile, c.pipes)
	if err := a.check(); err != nil {
		wrong.addf("%v", err)
	}
}
