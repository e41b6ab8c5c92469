package main

import (
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const redisURLForms = "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], rediss:// likewise, " +
	"unix://[[USER]:PASSWORD@]/PATH[?db=DB], embedded:, embedded:DIR or memory: " +
	"(special characters of a password are percent-encoded; PORT is a number from 1 to 65535)"

// clientName is what CLIENT LIST calls our connections, unless the URL says.
const clientName = "cloakroom"

// redisURL says where the sessions are. The zero value says nothing.
type redisURL struct {
	// masked is the URL without its password, for people. (I6)
	masked string
	// options reach a Redis that is not ours; nil for the others.
	options *redis.Options
	// embedded runs a private Redis, in dir or, if that is "", in a
	// temporary directory.
	embedded bool
	dir      string
	// memory keeps the sessions in this process.
	memory bool
}

func (u *redisURL) isZero() bool { return u.masked == "" }

// parseRedisURL reads a --redis-url; "" is the zero value. What is wrong with
// one that is not good stays unsaid, because parsers quote what they read, and
// that may be the password. (I6)
func parseRedisURL(s string) (redisURL, bool) {
	switch {
	case s == "":
		return redisURL{}, true
	case s == "memory:":
		return redisURL{masked: s, memory: true}, true
	case strings.HasPrefix(s, "embedded:"):
		dir := strings.TrimPrefix(s, "embedded:")
		return redisURL{masked: s, embedded: true, dir: dir}, !strings.HasPrefix(dir, "//")
	}
	u, err := url.Parse(s)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return redisURL{}, false
	}
	if u.User != nil {
		if password, _ := u.User.Password(); password == "" {
			return redisURL{}, false // a password in the wrong place, or none
		}
	}
	o, err := redis.ParseURL(s)
	if err != nil || u.Port() != "" && !validPort(u.Port(), 1) {
		return redisURL{}, false
	}
	return redisURL{masked: u.Redacted(), options: clientOptions(o)}, true
}

// clientOptions fills in what go-redis' own defaults leave open: writes are
// never repeated blindly, a caller's deadline counts, nothing waits for long,
// and the number of connections is bounded. What the URL says stays.
func clientOptions(o *redis.Options) *redis.Options {
	second := func(d *time.Duration) {
		if *d == 0 {
			*d = time.Second
		}
	}
	second(&o.DialTimeout)
	second(&o.ReadTimeout)
	second(&o.WriteTimeout)
	second(&o.PoolTimeout)
	if o.PoolSize == 0 {
		o.PoolSize = max(16, 10*runtime.GOMAXPROCS(0))
	}
	if o.MaxActiveConns == 0 {
		o.MaxActiveConns = o.PoolSize
	}
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.Protocol = 3
	o.DisableIdentity = true // CLIENT SETINFO would be one more right
	if o.ClientName == "" {
		o.ClientName = clientName
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}
