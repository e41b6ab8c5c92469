package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterReload is how old what a client knows of its Cluster may be: a master
// that is replaced while nobody asks it is known within this time.
const clusterReload = 2 * time.Second

// maxPassword is how long a password in a file may be, in bytes.
const maxPassword = 4096

// redisAccess is how to get in at Redis, besides what the URL says.
type redisAccess struct {
	username, passwordFile                 string
	sentinelUsername, sentinelPasswordFile string
	// sentinelPassword is what that file held at the start. (I6)
	sentinelPassword string
	tls              tlsFiles
	replicaReads     bool
}

// apply has o, which is made of a URL, get in as a says.
func (a *redisAccess) apply(o *redis.Options, cluster bool, log *slog.Logger) error {
	dialer := &redisDialer{timeout: o.DialTimeout, once: cluster}
	if o.TLSConfig != nil {
		dialer.tls = &tlsSource{files: a.tls, base: o.TLSConfig, log: log}
		if _, err := dialer.tls.config(); err != nil {
			return err
		}
		o.TLSConfig = nil // the dialer's
	}
	o.Dialer = dialer.dial
	if a.passwordFile == "" {
		return nil
	}
	file, user := a.passwordFile, a.username
	if user == "" {
		user = "default"
	}
	o.Username, o.Password = "", ""
	o.CredentialsProviderContext = func(context.Context) (string, string, error) {
		password, err := readPassword(file, nil)
		return user, password, err
	}
	return nil
}

// readPassword reads the one line of a file. Its errors never quote it. (I6)
func readPassword(file string, pipes pipes) (string, error) {
	b, err := readText(file, pipes)
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case password == "":
		return "", fmt.Errorf("%s: the file is empty, and must have a password", file)
	case len(password) > maxPassword:
		return "", fmt.Errorf("%s: a password must have at most %d bytes", file, maxPassword)
	case strings.ContainsFunc(password, func(r rune) bool { return r < ' ' }):
		return "", fmt.Errorf("%s: the file must have a password, in one line without control characters, and nothing else", file)
	}
	return password, nil
}

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
	if _, err := a.tls.load(); err != nil {
		wrong.addf("%v", err)
	}
}

var errHalfPair = errors.New("--redis-tls-cert-file and --redis-tls-key-file need each other")
