package redisconn

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const URLForms = "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB], " +
	"redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/MASTER[/DB], redis+cluster://[[USER]:PASSWORD@]HOST[:PORT],…, " +
	"each with rediss for TLS, " +
	"unix://[[USER]:PASSWORD@]/PATH[?db=DB], embedded:, embedded:DIR or memory: " +
	"(special characters of a password are percent-encoded; PORT is a number from 1 to 65535)"

// poolSize is how many connections there are for reads and writes, and again for
// searches. Concurrent calls share round trips, of which few are under way at a
// time, so that more connections would only be more sockets.
const poolSize = 8

// bufferSize is how much is read or written at once, in bytes: all of a round trip
// that many calls share.
const bufferSize = 128 << 10

// ClientName is what CLIENT LIST calls our connections, unless the URL says.
const ClientName = "cloakroom"

// URL says where the sessions are. The zero value says nothing.
type URL struct {
	// Masked is the URL without its password, for people. (I6)
	Masked string
	// Options reach a Redis that is not ours; nil for the others. Of several
	// hosts they have the first.
	Options *redis.Options
	// Hosts are those of a Cluster, or the Sentinels', "host:port".
	Hosts   []string
	Cluster bool
	// Master is what Sentinels call the master; "" if there are none.
	Master string
	// Embedded runs a private Redis, in Dir or, if that is "", in a
	// temporary directory.
	Embedded bool
	Dir      string
	// Memory keeps the sessions in this process.
	Memory bool
}

// IsZero says whether u says nothing.
func (u *URL) IsZero() bool { return u.Masked == "" }

// ParseURL reads a --redis-url; "" is the zero value. What is wrong with
// one that is not good stays unsaid, because parsers quote what they read, and
// that may be the password. (I6)
func ParseURL(s string) (URL, bool) {
	switch {
	case s == "":
		return URL{}, true
	case s == "memory:":
		return URL{Masked: s, Memory: true}, true
	case strings.HasPrefix(s, "embedded:"):
		dir := strings.TrimPrefix(s, "embedded:")
		return URL{Masked: s, Embedded: true, Dir: dir}, !strings.HasPrefix(dir, "//")
	}
	if scheme, rest, ok := strings.Cut(s, "+"); ok && (scheme == "redis" || scheme == "rediss") {
		return parseHosts(scheme, rest)
	}
	return parseOneHost(s)
}

// parseOneHost reads a URL of the forms that go-redis knows.
func parseOneHost(s string) (URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return URL{}, false
	}
	if u.User != nil {
		if password, _ := u.User.Password(); password == "" {
			return URL{}, false // a password in the wrong place, or none
		}
	}
	if !validPlace(u) || !validParams(u.RawQuery) {
		return URL{}, false
	}
	o, err := redis.ParseURL(s)
	if err != nil {
		return URL{}, false
	}
	return URL{Masked: u.Redacted(), Options: clientOptions(o)}, true
}

// validPlace says whether the host, the port and the path of a URL are what its
// scheme has, and nothing else.
func validPlace(u *url.URL) bool {
	switch u.Scheme {
	case "unix":
		return u.Host == "" // else the path begins with what was meant as its first part
	case "redis", "rediss":
	default:
		return false
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(u.Host, "[]") || strings.ContainsAny(host, ", ") {
		return false
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(u.Host, "[") || u.Port() != "" && !listen.ValidPort(u.Port(), 1) {
		return false
	}
	db := strings.TrimPrefix(u.Path, "/")
	return db == "" || validDB(db) && !u.Query().Has("db")
}

// mostHosts is how many hosts a URL may name.
const mostHosts = 100

// parseHosts reads what follows "redis+" or "rediss+": a form, hosts, and with
// Sentinels the name of the master. Each host is read as in a URL of its own.
func parseHosts(scheme, rest string) (URL, bool) {
	form, rest, ok := strings.Cut(rest, "://")
	if !ok || form != "sentinel" && form != "cluster" {
		return URL{}, false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path, user := rest[:end], rest[end:], ""
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, authority = authority[:at+1], authority[at+1:]
	}
	path, query, hasQuery := strings.Cut(path, "?")
	db, defaultPort := "", "6379"
	u := URL{Cluster: form == "cluster"}
	if u.Cluster {
		if path != "" && path != "/" {
			return URL{}, false // a Cluster has one database
		}
	} else {
		var err error
		defaultPort = "26379"
		name, number, hasDB := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if u.Master, err = url.PathUnescape(name); err != nil || u.Master == "" || strings.ContainsFunc(u.Master, func(r rune) bool { return r <= ' ' }) {
			return URL{}, false
		}
		if hasDB {
			if !validDB(number) {
				return URL{}, false
			}
			db = "/" + number
		}
	}
	if values, err := url.ParseQuery(query); err != nil || values.Has("db") {
		return URL{}, false
	}
	if hasQuery {
		db += "?" + query
	}
	names := strings.Split(authority, ",")
	if len(names) > mostHosts {
		return URL{}, false
	}
	for i, name := range names {
		one, ok := parseOneHost(scheme + "://" + user + name + db)
		at, err := url.Parse("redis://" + name)
		if !ok || err != nil || at.Hostname() == "" || at.User != nil || strings.ContainsAny(name, "/?#") {
			return URL{}, false
		}
		portOf := at.Port()
		if portOf == "" {
			portOf = defaultPort
		}
		host := net.JoinHostPort(at.Hostname(), portOf)
		if slices.Contains(u.Hosts, host) {
			return URL{}, false
		}
		u.Hosts = append(u.Hosts, host)
		if i == 0 {
			u.Options = one.Options
			masked, _, _ := strings.Cut(one.Masked, "://")
			_, shown, hasUser := strings.Cut(one.Masked, "://")
			hidden := ""
			if at := strings.LastIndexByte(shown, '@'); user != "" && hasUser && at >= 0 {
				hidden = shown[:at+1]
			}
			u.Masked = masked + "+" + form + "://" + hidden
		}
	}
	u.Masked += authority + path
	if hasQuery {
		u.Masked += "?" + query
	}
	return u, true
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
		o.PoolSize = poolSize
	}
	if o.MaxActiveConns == 0 {
		o.MaxActiveConns = o.PoolSize
	}
	if o.ReadBufferSize == 0 {
		o.ReadBufferSize = bufferSize
	}
	if o.WriteBufferSize == 0 {
		o.WriteBufferSize = bufferSize
	}
	if o.PipelinePoolSize == 0 {
		o.PipelinePoolSize = -1 // pipelines go over the same connections as the rest
	}
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	o.Protocol = 3
	o.DisableIdentity = true // CLIENT SETINFO would be one more right
	if o.ClientName == "" {
		o.ClientName = ClientName
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// Misfit says what the URL must be if err is that the server is of another kind;
// other errors stay as they are.
func (u *URL) Misfit(err error) error {
	if u.Options == nil || err == nil {
		return err
	}
	hosts := u.Options.Addr
	if len(u.Hosts) > 0 {
		hosts = strings.Join(u.Hosts, ",")
	}
	if u.Options.Network == "unix" {
		hosts = "HOST:PORT"
	}
	tls := ""
	if u.Options.TLSConfig != nil {
		tls = "s"
	}
	var wrong usage.Faults
	switch {
	case errors.Is(err, cache.ErrClusterNode):
		wrong.Addf("--redis-url: this is a node of a Redis Cluster; use redis%s+cluster://%s", tls, hosts)
	case errors.Is(err, cache.ErrSentinel):
		wrong.Addf("--redis-url: this is a Sentinel; use redis%s+sentinel://%s/MASTER", tls, hosts)
	case errors.Is(err, cache.ErrNoCluster):
		wrong.Addf("--redis-url: this is a single Redis and no Cluster; use redis%s://%s", tls, u.Options.Addr)
	default:
		return err
	}
	return wrong.Err()
}
