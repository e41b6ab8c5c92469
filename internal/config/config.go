// Package config says what is configured, by flags, the environment and a YAML file with the
// same names, and checks it.
package config

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi"
	"github.com/cloakroom-dev/cloakroom/httpapi/assertion"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/rpc"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// Config is the effective configuration. Every field belongs to one setting, or
// to several together.
type Config struct {
	// PrintConfig asks for Print, and for nothing else.
	PrintConfig bool

	// Listen says where requests are taken.
	Listen listen.Addresses
	// HTTPTLS, VerifyTLS and GRPCTLS are the certificates of the listeners, nil without TLS.
	HTTPTLS, VerifyTLS, GRPCTLS *followed.Certificate
	// GRPCServices are what the listener of gRPC serves.
	GRPCServices rpc.Services
	// API is how requests are answered; store, version, log and metrics are still to be
	// filled in.
	API httpapi.Config
	// Store is how sessions are kept; clients and log are still to be filled in.
	Store cache.Config
	// RedisURL and Redis say where they are kept.
	RedisURL redisconn.URL
	Redis    redisconn.Access
	// APIKeys are those of the keys file, nil without one.
	APIKeys *followed.Files[*caller.APIKeys]
	// Issuers are those of access tokens, nil without any.
	Issuers *followed.Files[*oidc.Settings]
	// AssertionKeys are those that assertions are signed with, nil without any. The signer in API
	// has every change of them.
	AssertionKeys *followed.Files[*assertion.Keys]
	// Upstream is the ZITADEL whose sessions are cached, nil without one.
	Upstream *Upstream
	// IssuersFault is why doctor has no Issuers though there is a file; nil for all others.
	IssuersFault error
	// Pprof serves profiles on any admin listener.
	Pprof bool
	// Console serves the console on the admin listener.
	Console bool

	LogLevel  slog.Level
	LogFormat string // "json" or "text"
	// ShutdownDelay is how long requests are still taken after SIGTERM.
	ShutdownDelay time.Duration
	// ShutdownTimeout is when the process has ended after SIGTERM, at the latest.
	ShutdownTimeout time.Duration
	// Warnings are what is odd and no fault.
	Warnings []string

	configFile       string
	keysFile         string
	issuersFile      string
	assertionKeyFile string
	assertion        assertion.Config
	verifyReasons    bool
	upstream         upstreamSettings

	httpTLSFiles, verifyTLSFiles, grpcTLSFiles followed.CertificateFiles

	corsFault, policyFault error
	// proxiesFault is why the trusted proxies are nil.
	proxiesFault error
	// pipes is how files are read that are read once.
	pipes followed.Pipes
	// values are the effective values as they were given, by setting.
	values map[string]string
	// bad are the settings with a fault of their own.
	bad []string
	// misspelt says that a flag is not known: then what seems missing may be what it was to say.
	misspelt bool
}

// where says which sources a setting may come from.
type where uint8

const (
	anywhere  where = iota
	notInFile       // flag and environment
	flagOnly
)

// Setting is one setting: its name is that of the flag and of the key in the
// YAML file; the environment variable is CLOAKROOM_ and the name in upper case
// with underscores. Flags, --help, print-config and the test of the
// documentation all come from the table that settings returns.
type Setting struct {
	Name  string // that of its flag, without the dashes
	def   string
	value Value
	help  string
	from  where
}

// Own is a setting that only one subcommand has, as a flag. def is its default.
func Own(name, def string, v Value, help string) Setting {
	return Setting{name, def, v, help, flagOnly}
}

// settings is the table of all settings; their values go to c.
func settings(c *Config) []Setting {
	return []Setting{
		{"config", "", File(&c.configFile), "YAML file with settings, named as the flags", notInFile},
		{"print-config", "false", Boolean(&c.PrintConfig), "print the effective configuration as YAML, secrets masked, and exit", flagOnly},

		{"http-addr", "127.0.0.1:8080", address(&c.Listen.HTTP), "where the API listens", anywhere},
		{"http-tls-cert-file", "", File(&c.httpTLSFiles.Cert), "PEM file with the certificate of the API listener and its chain, which makes that speak TLS; read again when it changes", anywhere},
		{"http-tls-key-file", "", File(&c.httpTLSFiles.Key), "PEM file with the key of that certificate", anywhere},
		{"http-tls-client-ca-file", "", File(&c.httpTLSFiles.ClientCA), "PEM file with the CAs of clients: callers of a listener with TLS must have a certificate of one", anywhere},
		{"cors-origins", "", origins(&c.API.CORSOrigins, &c.corsFault), "origins whose web pages may call the API; may be repeated", anywhere},
		{"admin-addr", "127.0.0.1:9090", address(&c.Listen.Admin), "where /livez, /readyz and /metrics listen", anywhere},
		{"trusted-proxies", caller.DefaultTrustedProxies, proxies(&c.API.TrustedProxies, &c.proxiesFault), "peers that are believed where a request came from (X-Forwarded-For), for the log, and how long they wait for verify (X-Envoy-Expected-Rq-Timeout-Ms)", anywhere},
		{"console", "false", Boolean(&c.Console), "serve the console for on-call engineers at /console/ on the admin listener; sign in with an API key of --auth-keys-file", anywhere},
		{"reuse-port", "false", Boolean(&c.Listen.ReusePort), "let a second process listen at --http-addr, --verify-addr and --grpc-addr before this one ends; the second gets all new connections; ports only, Linux only", anywhere},
		{"pprof", "false", Boolean(&c.Pprof), "serve /debug/pprof/ on the admin listener even if that is not loopback", anywhere},

		{"redis-url", "", redisAt(&c.RedisURL), "where the sessions are; required by serve", anywhere},
		{"redis-key-prefix", keys.DefaultPrefix, Text(&c.Store.Prefix, 64), "what every Redis key begins with", anywhere},
		{"redis-shards", "0", shards(&c.Store.Shards), "number of shards of the key space; 0 takes the recorded one, and where there is none 32 on a Cluster, else 1", anywhere},
		{"redis-username", "", Text(&c.Redis.Username, 200), "Redis user, if it is not in the URL; needs --redis-password-file", anywhere},
		{"redis-password-file", "", File(&c.Redis.PasswordFile), "file with the Redis password, read again for every connection", anywhere},
		{"redis-sentinel-username", "", Text(&c.Redis.SentinelUsername, 200), "user at the Sentinels; needs --redis-sentinel-password-file", anywhere},
		{"redis-sentinel-password-file", "", File(&c.Redis.SentinelPasswordFile), "file with the password at the Sentinels, read at the start", anywhere},
		{"redis-tls-ca-file", "", File(&c.Redis.TLS.CA), "PEM file with the authorities that Redis' certificate may come from; empty takes the system's", anywhere},
		{"redis-tls-cert-file", "", File(&c.Redis.TLS.Cert), "PEM file with our certificate for Redis (mutual TLS)", anywhere},
		{"redis-tls-key-file", "", File(&c.Redis.TLS.Key), "PEM file with its private key", anywhere},
		{"redis-tls-server-name", "", Text(&c.Redis.TLS.ServerName, 253), "name that Redis' certificates must be for; empty takes each host's", anywhere},
		{"redis-replica-reads", "false", Boolean(&c.Redis.ReplicaReads), "let searches that examine more than 1,000 candidates read replicas, which lag without a bound, unless they are fresh or by cursor; needs Sentinels or a Cluster", anywhere},

		{"near-cache-bytes", "256MiB", size(&c.Store.NearBytes, 0, 1<<40), "memory for copies of sessions in this process, which answer without asking Redis; 0 = off", anywhere},
		{"near-cache-staleness", "1s", duration(&c.Store.NearStaleness, 20*time.Millisecond, time.Minute), "a session that was revoked through another process is refused within this time, whatever fails; the few exceptions are in docs/faults.md", anywhere},
		{"near-cache-tracking", "broadcast", either(&c.Store.NearByKey, "keys", "broadcast"), "what Redis tells this process of: all changes, or, for many processes, those of keys that it has read; then Redis keeps in mind what each holds", anywhere},

		{"verify-addr", "", optional(address(&c.Listen.Verify)), "where verify alone listens, for gateways: every path and method there is verify", anywhere},
		{"grpc-addr", "", optional(address(&c.Listen.GRPC)), "where the session service is spoken by gRPC, gRPC-Web and Connect, and Envoy's external authorization by gRPC, over HTTP/2 and HTTP/1.1", anywhere},
		{"grpc-services", "api,check", services(&c.GRPCServices), "what is served there: the session service (api), Envoy's external authorization (check), or both", anywhere},
		{"grpc-tls-cert-file", "", File(&c.grpcTLSFiles.Cert), "as --http-tls-cert-file, for the listener of gRPC; without it that has the API's certificate, or no TLS on loopback and unix sockets", anywhere},
		{"grpc-tls-key-file", "", File(&c.grpcTLSFiles.Key), "PEM file with the key of that certificate", anywhere},
		{"verify-tls-cert-file", "", File(&c.verifyTLSFiles.Cert), "as --http-tls-cert-file, for the verify listener; without it that has the API's certificate, or no TLS on loopback and unix sockets", anywhere},
		{"verify-tls-key-file", "", File(&c.verifyTLSFiles.Key), "PEM file with the key of that certificate", anywhere},
		{"verify-credentials", "bearer,x-session-token", credentials(&c.API.Verify.Credentials), "where verify looks for a session token; the first place that has one decides", anywhere},
		{"verify-accept", "session", accepts(&c.API.Verify.Accepts), "what verify takes there: session tokens, JWTs of issuers with verify, pairs ID:TOKEN, and the cookie of ZITADEL's login application", anywhere},
		{"verify-policy", "", policies(&c.API.Verify.Policies, &c.policyFault), "what else verify may ask of a good session; may be repeated", anywhere},
		{"verify-default-policy", "", Text(&c.API.Verify.Default, 64), "policy that holds for every verify; one that the path names must hold, too", anywhere},
		{"verify-allow-unproven", "false", Boolean(&c.API.Verify.AllowUnproven), "let pass sessions of users that have proven nothing; to try out", anywhere},
		{"verify-reasons", "true", Boolean(&c.verifyReasons), "say in X-Auth-Reason why verify refuses", anywhere},
		{"verify-metadata", "", nameList(&c.API.Verify.Metadata, 20, 200), "keys of session metadata that the answer of verify has", anywhere},
		{"verify-claims", "", claims(&c.API.Verify.Claims), "claims of a JWT that the answer of verify has, as X-Session-Claim-NAME", anywhere},
		{"assertion-key-file", "", File(&c.assertionKeyFile), "PEM file with Ed25519 private keys: the first signs an assertion, a JWT with the identity, for each request that verify lets pass; read again when it changes", anywhere},
		{"assertion-audience", "", nameList(&c.assertion.Audience, assertion.MaxAudience, assertion.MaxName), "names of the applications that assertions are for, their aud", anywhere},
		{"assertion-issuer", assertion.DefaultIssuer, Text(&c.assertion.Issuer, assertion.MaxName), "the issuer of assertions, their iss", anywhere},
		{"assertion-lifetime", assertion.DefaultLifetime.String(), duration(&c.assertion.Lifetime, assertion.LeastLifetime, assertion.MostLifetime), "how long an assertion lasts, in whole seconds, unless its session ends earlier", anywhere},
		{"stale-if-error", "0", duration(&c.Store.StaleIfError, 0, 24*time.Hour), "while Redis is away, verify lets pass by copies that were right so long ago; 0 refuses", anywhere},

		{"revoke-wait-replicas", "0", Number(&c.Store.RevokeWaitReplicas, 0, 16), "replicas of Redis that a deletion waits for; the answer says if fewer have it", anywhere},
		{"revoke-wait-timeout", "100ms", duration(&c.Store.RevokeWaitTimeout, time.Millisecond, 400*time.Millisecond), "how long a deletion waits for them at most", anywhere},
		{"remember-deletions", "100000", Number(&c.Store.RememberDeletions, 0, 10_000_000), "deletions that this process remembers for a day, so that no failover brings the sessions back; 0 remembers none", anywhere},

		{"audit-interval", "24h", duration(&c.Store.AuditEvery, 0, 90*24*time.Hour), "how often this process looks, slowly, through all that is stored for what does not fit together; 0 = never", anywhere},

		{"instance-id", "cloakroom", Text(&c.API.InstanceID, 200), "the resourceOwner in answers", anywhere},
		{"auth-keys-file", "", File(&c.keysFile), "YAML file with API keys; read again when it changes", anywhere},
		{"key-rate-limit", "0", rate(&c.API.KeyRate.PerSecond), "requests a second that each API key may send in the long run, unless the keys file says otherwise; 0 has no limit", anywhere},
		{"key-rate-burst", "0", Number(&c.API.KeyRate.Burst, 0, caller.MaxKeyRate), "requests that a key may send at once; 0 is twice --key-rate-limit", anywhere},
		{"auth-issuers-file", "", File(&c.issuersFile), "YAML file with issuers of access tokens; read again when it changes, as the secrets that it names", anywhere},
		{"auth-anonymous", "false", Boolean(&c.API.Anonymous), "give callers without credentials all permissions; only if every listener is loopback or a unix socket", anywhere},

		{"upstream-url", "", Text(&c.upstream.URL, 2048), "where the ZITADEL is whose sessions are cached: https://HOST, perhaps with a port and a path", anywhere},
		{"upstream-host", "", Text(&c.upstream.Host, 260), "the Host header by which it finds its instance; empty takes the URL's", anywhere},
		{"upstream-allow-http", "false", Boolean(&c.upstream.AllowHTTP), "let the URL be http where it is not loopback: all tokens then go in the clear", anywhere},
		{"upstream-token-file", "", File(&c.upstream.tokenFile), "file with what a service account there has: a personal access token, or the JSON of a key; read again when it changes", anywhere},
		{"upstream-ca-file", "", File(&c.upstream.caFile), "PEM file with the authorities that its certificate may come from; empty takes the system's; read again when it changes", anywhere},
		{"upstream-event-key-file", "", File(&c.upstream.eventKeyFile), "file with the keys that it signs events with, one a line, and which lets it send events to /events/zitadel; read again when it changes; `cloakroom zitadel-setup` writes it", anywhere},
		{"upstream-timeout", upstream.DefaultTimeout.String(), duration(&c.upstream.Timeout, 10*time.Millisecond, time.Minute), "how long a call to it takes at most, with its wait for its turn", anywhere},
		{"upstream-concurrency", strconv.Itoa(upstream.DefaultConcurrency), Number(&c.upstream.Concurrency, 1, 4096), "most calls to it at a time", anywhere},
		{"upstream-max-age", "30s", duration(&c.upstream.maxAge, time.Second, time.Hour), "how long what it has answered about a session may answer here; at four fifths of that a session in use is asked for again", anywhere},
		{"upstream-max-age-proven", "10m", duration(&c.upstream.maxAgeProven, time.Second, 24*time.Hour), "the same where its events, all of which are known, say that the session has not changed since; never less than --upstream-max-age", anywhere},
		{"upstream-poll", "1s", duration(&c.upstream.poll, 0, time.Minute), "how often one process asks it for its events, for all; 0 does without, and all copies answer for --upstream-max-age", anywhere},
		{"upstream-keep", "24h", duration(&c.upstream.keep, time.Second, 8760*time.Hour), "how long the copy of a session stays here that nobody uses; longer than --upstream-max-age-proven", anywhere},
		{"upstream-permission-age", "30s", duration(&c.upstream.permissionAge, 0, time.Hour), "how long a caller whose credentials only it knows is shown a session again without it being asked; 0 asks each time", anywhere},
		{"upstream-verify-timeout", "1s", duration(&c.upstream.verifyTimeout, 20*time.Millisecond, time.Minute), "how long a verify may take where it has to be asked; a trusted gateway that says that it waits for less gets its answer by then", anywhere},
		{"upstream-probe-rate", strconv.Itoa(DefaultProbeRate), Number(&c.upstream.probeRate, 1, 100_000), "most calls to it in a second to check tokens that Cloakroom does not know, and as many at once; clients take turns", anywhere},
		{"upstream-queue", strconv.Itoa(upstream.DefaultQueue), Number(&c.upstream.Queue, 0, 1<<16), "most calls that wait for their turn, beyond which they are refused at once", anywhere},

		{"search-default-limit", "1000", Number(&c.API.DefaultLimit, 1, 100_000), "sessions per page if the search does not say", anywhere},
		{"search-max-limit", "1000", Number(&c.API.MaxLimit, 1, 100_000), "most sessions per page", anywhere},
		{"search-max-candidates", "20000", Number(&c.Store.MaxCandidates, 1, 10_000_000), "most sessions that one search may examine", anywhere},
		{"max-body-bytes", "256KiB", size(&c.API.MaxBodyBytes, 1<<10, 64<<20), "largest request body, except for import", anywhere},
		{"max-header-bytes", "64KiB", size(&c.API.MaxHeaderBytes, httpapi.LeastHeaderBytes, httpapi.MostHeaderBytes), "largest request line and headers, together, of requests to the API and to verify; the larger, the fewer connections", anywhere},
		{"max-session-bytes", "16KiB", size(&c.API.MaxSessionBytes, 1<<10, 1<<20), "largest session", anywhere},
		{"max-in-flight", "1024", Number(&c.API.MaxInFlight, 1, 1<<20), "most reads, verify among them, at work at a time, beyond which they are answered 503 at once; writes have half, searches a quarter, imports and revocations a 64th", anywhere},
		{"default-lifetime", "0", duration(&c.API.DefaultLifetime, 0, 100*365*24*time.Hour), "lifetime of a session that asks for none; 0 never expires", anywhere},
		{"max-lifetime", "0", duration(&c.API.MaxLifetime, 0, 100*365*24*time.Hour), "longest lifetime that a session may ask for; 0 has no limit", anywhere},
		{"max-sessions-per-user", "0", Number(&c.Store.MaxSessionsPerUser, 0, 1000), "most live sessions of a user; 0 has no limit", anywhere},
		{"max-sessions-policy", "evict-oldest", either(&c.Store.EvictOldest, "evict-oldest", "refuse"), "what a user's next session does at that limit: delete the oldest, or be refused", anywhere},

		{"log-level", "info", level(&c.LogLevel), "least level that is logged", anywhere},
		{"log-format", "json", oneOf(&c.LogFormat, "json", "text"), "format of the log, on standard error", anywhere},
		{"shutdown-timeout", "10s", duration(&c.ShutdownTimeout, time.Millisecond, 10*time.Minute), "when the process has ended after SIGTERM, at the latest; what is under way then is cut off", anywhere},
		{"shutdown-delay", "0", duration(&c.ShutdownDelay, 0, 10*time.Minute), "how long requests are still taken after SIGTERM, while /readyz says 503, so that load balancers notice", anywhere},
		{"shutdown-idle", "100ms", duration(&c.API.ShutdownIdle, 0, time.Minute), "how long connections without a request stay open after the listeners have closed, for requests that are on their way; 1s behind a load balancer", anywhere},
	}
}

// devDefaults are the defaults that differ for dev.
var devDefaults = map[string]string{
	"redis-url":      "embedded:",
	"auth-anonymous": "true",
	"console":        "true",
	"log-format":     "text",
}
