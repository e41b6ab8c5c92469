package main

import (
	"cmp"
	"context"
	"crypto/tls"
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

// user is the Redis user, "" if neither a nor u names one.
func (a *redisAccess) user(u *redisURL) string {
	if u.options == nil {
		return a.username
	}
	return cmp.Or(a.username, u.options.Username)
}

// tlsConfig is that of connections that are made now, for what else a URL says as
// base has it.
func (a *redisAccess) tlsConfig(base *tls.Config, log *slog.Logger) (*tls.Config, error) {
	return (&tlsSource{files: a.tls, base: base, log: log}).config()
}

// check says whether the TLS files can be used.
func (a *redisAccess) check() error {
	_, err := a.tls.load()
	return err
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

var errHalfPair = errors.New("--redis-tls-cert-file and --redis-tls-key-file need each other")
