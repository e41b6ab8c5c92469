package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/redis/go-redis/v9"
)

// clusterReload is how old what a client knows of its Cluster may be: a master
// that is replaced while nobody asks it is known within this time.
const clusterReload = 2 * time.Second

// MaxPassword is how long a password in a file may be, in bytes.
const MaxPassword = 4096

// Access is how to get in at Redis, in addition to what the URL says.
type Access struct {
	Username, PasswordFile                 string
	SentinelUsername, SentinelPasswordFile string
	// SentinelPassword is what that file held at the start. (I6)
	SentinelPassword string
	TLS              TLSFiles
	ReplicaReads     bool
}

// Apply has o, which is made of a URL, get in as a says.
func (a *Access) Apply(o *redis.Options, cluster bool, log *slog.Logger) error {
	dialer := &dialer{timeout: o.DialTimeout, once: cluster}
	if o.TLSConfig != nil {
		dialer.tls = &tlsSource{files: a.TLS, base: o.TLSConfig, log: log}
		if _, err := dialer.tls.config(); err != nil {
			return err
		}
		o.TLSConfig = nil // the dialer's
	}
	o.Dialer = dialer.dial
	if a.PasswordFile == "" {
		return nil
	}
	file, user := a.PasswordFile, a.Username
	if user == "" {
		user = "default"
	}
	o.Username, o.Password = "", ""
	o.CredentialsProviderContext = func(context.Context) (string, string, error) {
		password, err := ReadPassword(file, nil)
		return user, password, err
	}
	return nil
}

// User is the Redis user, "" if neither a nor u names one.
func (a *Access) User(u *URL) string {
	if u.Options == nil {
		return a.Username
	}
	return cmp.Or(a.Username, u.Options.Username)
}

// TLSConfig is that of connections that are made now, for what else a URL says as
// base has it.
func (a *Access) TLSConfig(base *tls.Config, log *slog.Logger) (*tls.Config, error) {
	return (&tlsSource{files: a.TLS, base: base, log: log}).config()
}

// Check says whether the TLS files can be used.
func (a *Access) Check() error {
	_, err := a.TLS.load()
	return err
}

// ReadPassword reads the one line of a file. Its errors never quote it. (I6)
func ReadPassword(file string, pipes followed.Pipes) (string, error) {
	b, err := followed.Read(file, pipes)
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	switch {
	case password == "":
		return "", fmt.Errorf("%s: the file is empty, and must have a password", file)
	case len(password) > MaxPassword:
		return "", fmt.Errorf("%s: a password must have at most %d bytes", file, MaxPassword)
	case strings.ContainsFunc(password, func(r rune) bool { return r < ' ' }):
		return "", fmt.Errorf("%s: the file must have a password, in one line without control characters, and nothing else", file)
	}
	return password, nil
}

var errHalfPair = errors.New("--redis-tls-cert-file and --redis-tls-key-file need each other")
