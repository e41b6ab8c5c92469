package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/internal/usage"

	"github.com/spf13/pflag"
)

// loadWith loads the configuration of serve.
func loadWith(t *testing.T, args, env []string) (*Config, error) {
	t.Helper()
	return Load(t.Context(), Source{Subcommand: "serve", Args: args, Env: env})
}

// enough is the least that serve needs.
var enough = []string{"--redis-url", "memory:", "--auth-anonymous"}

func with(more ...string) []string { return append(slices.Clone(enough), more...) }

// faultsOf returns the faults of a refused configuration.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var wrong *usage.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("got error %v, want a usage error", err)
	}
	return wrong.Faults
}

func TestDefaultsAreGood(t *testing.T) {
	for _, s := range settings(&Config{}) {
		if !s.value.set(s.def) {
			t.Errorf("the default %q of --%s is not %s", s.def, s.Name, s.value.allowed)
		}
		if s.help == "" || s.Name != strings.ToLower(s.Name) {
			t.Errorf("--%s: name or help is odd", s.Name)
		}
		// Of a service called cloakroom-reuse Kubernetes would set this one, which is no boolean and so is refused.
		if s.from != flagOnly && s.Name != "reuse-port" && kubernetes(EnvName(s.Name)) {
			t.Errorf("%s looks as if Kubernetes had set it", EnvName(s.Name))
		}
	}
	for name := range devDefaults {
		if !slices.ContainsFunc(settings(&Config{}), func(s Setting) bool { return s.Name == name }) {
			t.Errorf("the default of dev for %s belongs to no setting", name)
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := testfile.Write(t, "search-max-limit: 300\nsearch-default-limit: 1\n")
	f := func(args, env []string, want int) {
		t.Helper()
		c, err := loadWith(t, with(args...), env)
		if err != nil {
			t.Fatal(err)
		}
		if c.API.MaxLimit != want {
			t.Errorf("flags %q, environment %q: got %d, want %d", args, env, c.API.MaxLimit, want)
		}
	}
	flag, env, yaml := "--search-max-limit=500", "CLOAKROOM_SEARCH_MAX_LIMIT=400", "--config="+file
	low := "--search-default-limit=1"
	f([]string{low}, nil, 1000)
	f([]string{low, yaml}, nil, 300)
	f([]string{low}, []string{env}, 400)
	f([]string{low, yaml}, []string{env}, 400)
	f([]string{low, flag}, nil, 500)
	f([]string{low, flag, yaml}, nil, 500)
	f([]string{low, flag}, []string{env}, 500)
	f([]string{low, flag, yaml}, []string{env}, 500)
	f([]string{low, flag, "--search-max-limit", "600"}, nil, 600)
	f([]string{low}, []string{env, "CLOAKROOM_CONFIG=" + file}, 400)
	f([]string{low}, []string{"CLOAKROOM_CONFIG=" + file}, 300)
	f([]string{low, yaml}, []string{"CLOAKROOM_SEARCH_MAX_LIMIT="}, 300) // empty is not set
}

func TestEverySettingFromEverySource(t *testing.T) {
	keysFile := testfile.Write(t, testfile.OneKey)
	issuersFile := testfile.Write(t, "issuers: [{issuer: 'https://id.example', audience: [a]}]")
	authority := tlstest.NewAuthority(t)
	tls := authority.Mounted(t.TempDir(), tlstest.Pair(authority.Issue(time.Hour)))
	password := testfile.Write(t, "password of a test\n")
	token := testfile.Write(t, "token-of-a-test\n")
	assertionKey := testfile.Write(t, testfile.SigningKey(t))
	certificates := redistest.NewCertificates(t)
	other := map[string]string{
		"http-addr": "unix:/tmp/a", "admin-addr": "localhost:1", "pprof": "true", "console": "true", "redis-url": "redis://h/1",
		"redis-key-prefix": "x:", "redis-shards": "4", "instance-id": "i", "auth-keys-file": keysFile, "auth-issuers-file": issuersFile, "auth-anonymous": "true",
		"search-default-limit": "7", "search-max-limit": "1001", "search-max-candidates": "9", "max-body-bytes": "64KiB", "max-header-bytes": "32KiB", "cors-origins": "https://a.example;http://b.example:8080",
		"max-session-bytes": "4096", "default-lifetime": "1h", "max-lifetime": "2h", "log-level": "warn", "log-format": "text",
		"shutdown-timeout": "3s", "near-cache-bytes": "1GiB", "near-cache-staleness": "500ms", "near-cache-tracking": "keys",
		"verify-addr": "unix:/tmp/v", "grpc-addr": "unix:/tmp/g", "grpc-services": "check", "verify-credentials": "cookie:s,bearer", "verify-policy": "strict=max_age:1h;lax=factors:totp",
		"verify-default-policy": "p", "verify-allow-unproven": "true", "verify-reasons": "false", "verify-metadata": "a,b", "verify-accept": "session,jwt", "verify-claims": "email,roles=realm_access.roles", "stale-if-error": "30s",
		"assertion-key-file": assertionKey, "assertion-audience": "shop,intranet", "assertion-issuer": "https://gateway.example", "assertion-lifetime": "1m",
		"max-sessions-per-user": "5", "max-sessions-policy": "refuse", "key-rate-limit": "0.5", "key-rate-burst": "7", "shutdown-delay": "2s", "shutdown-idle": "3s", "reuse-port": "true",
		"revoke-wait-replicas": "1", "revoke-wait-timeout": "50ms", "remember-deletions": "7", "audit-interval": "1h", "max-in-flight": "9",
		"http-tls-cert-file": tls.Cert, "http-tls-key-file": tls.Key, "http-tls-client-ca-file": tls.Cert, "verify-tls-cert-file": tls.Cert, "verify-tls-key-file": tls.Key, "grpc-tls-cert-file": tls.Cert, "grpc-tls-key-file": tls.Key,
		"redis-username": "u", "redis-password-file": password, "redis-sentinel-username": "s", "redis-sentinel-password-file": password,
		"redis-tls-ca-file": certificates.CA, "redis-tls-cert-file": certificates.Cert, "redis-tls-key-file": certificates.Key,
		"upstream-url": "https://id.example.com/zitadel", "upstream-host": "login.example.com:8443", "upstream-allow-http": "true", "upstream-token-file": token, "upstream-event-key-file": testfile.Write(t, "signing-key-of-a-test\n"), "upstream-ca-file": certificates.CA,
		"upstream-timeout": "2s", "upstream-concurrency": "8", "upstream-queue": "0",
		"upstream-max-age": "10s", "upstream-max-age-proven": "5m", "upstream-poll": "2s", "upstream-keep": "15m", "upstream-permission-age": "0s", "upstream-verify-timeout": "500ms", "upstream-probe-rate": "9",
		"redis-tls-server-name": "redis.example.com", "redis-replica-reads": "true", "trusted-proxies": "unix,10.0.0.0/8,fd00::/8",
	}
	// What else a setting needs.
	with := map[string][2]string{
		"reuse-port":         {"redis-url", "redis://h/1"},
		"assertion-key-file": {"assertion-audience", "shop"}, "assertion-audience": {"assertion-key-file", assertionKey},
		"redis-username": {"redis-password-file", password}, "redis-sentinel-username": {"redis-sentinel-password-file", password},
		"redis-tls-cert-file": {"redis-tls-key-file", certificates.Key}, "redis-tls-key-file": {"redis-tls-cert-file", certificates.Cert},
	}
	base := map[string]string{"redis-url": "memory:", "auth-anonymous": "true"}
	for _, s := range settings(&Config{}) {
		if s.from != anywhere {
			continue
		}
		v, ok := other[s.Name]
		if !ok {
			t.Errorf("no value to try for --%s", s.Name)
			continue
		}
		values := map[string]string{s.Name: v}
		if s.Name == "max-lifetime" {
			values["default-lifetime"] = "1h"
		}
		if s.Name == "verify-default-policy" {
			values["verify-policy"] = "p=max_age:1h"
		}
		if s.Name == "cors-origins" {
			values["auth-anonymous"], values["auth-keys-file"] = "false", keysFile
		}
		if s.Name == "key-rate-burst" {
			values["key-rate-limit"] = "1"
		}
		if strings.HasPrefix(s.Name, "http-tls-") {
			values["http-tls-cert-file"], values["http-tls-key-file"] = tls.Cert, tls.Key
		}
		if strings.HasPrefix(s.Name, "grpc-tls-") {
			values["grpc-tls-cert-file"], values["grpc-tls-key-file"], values["grpc-addr"] = tls.Cert, tls.Key, "unix:/tmp/g"
		}
		if strings.HasPrefix(s.Name, "verify-tls-") {
			values["verify-tls-cert-file"], values["verify-tls-key-file"], values["verify-addr"] = tls.Cert, tls.Key, "unix:/tmp/v"
		}
		if strings.HasPrefix(s.Name, "upstream-") {
			values["upstream-url"], values["upstream-token-file"] = other["upstream-url"], token
		}
		if s.Name == "redis-shards" {
			values["redis-url"] = "embedded:"
		}
		if strings.HasPrefix(s.Name, "redis-") && values["redis-url"] == "" && s.Name != "redis-key-prefix" {
			values["redis-url"] = "rediss+sentinel://h/m"
		}
		if more, ok := with[s.Name]; ok {
			values[more[0]] = more[1]
		}
		for k, v := range base {
			if _, ok := values[k]; !ok {
				values[k] = v
			}
		}
		var flags, env, yaml []string
		for k, v := range values {
			flags = append(flags, "--"+k+"="+v)
			env = append(env, EnvName(k)+"="+v)
			yaml = append(yaml, k+": '"+v+"'")
		}
		file := testfile.Write(t, strings.Join(yaml, "\n"))
		for _, src := range []struct {
			name      string
			args, env []string
		}{{"flags", flags, nil}, {"environment", nil, env}, {"file", []string{"--config", file}, nil}} {
			c, err := loadWith(t, src.args, src.env)
			if err != nil {
				t.Errorf("%s from %s: %v", s.Name, src.name, err)
				continue
			}
			if got := c.values[s.Name]; got != v {
				t.Errorf("%s from %s: got %q, want %q", s.Name, src.name, got, v)
			}
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	file := testfile.Write(t, "http-adr: 127.0.0.1:1\nlog_level: debug\nredis-shards: 3\nadmin-addr: [1]\nmax-body-bytes: lots\nconfig: x\n")
	_, err := loadWith(t, []string{
		"--config", file, "--no-such", "value", "-x", "--pprof=maybe", "--http-addr", "nowhere", "--max-body-bytes=1MiB", "stray",
		"--search-default-limit=5", "--search-max-limit=4", "--shutdown-timeout",
	}, []string{"CLOAKROOM_LOG_FORMAT=xml", "CLOAKROOM_DEFAULT_LIFETIME=-1s"})
	got := faultsOf(t, err)
	for _, want := range []string{
		`unknown flag "--no-such"`,
		`unknown flag "-x"`,
		`flag: --pprof: "maybe" is not true or false`,
		`flag: --http-addr: "nowhere" is not HOST:PORT`,
		`flag: --shutdown-timeout needs a value`,
		`argument 10 is no flag, and nothing else is taken`,
		`file: unknown setting "http-adr"`,
		`file: unknown setting "log_level"; did you mean log-level?`,
		`file: unknown setting "config"`,
		`file: redis-shards: "3" is not 0, or a power of two up to 128`,
		`file: admin-addr must be a single value`,
		`file: max-body-bytes: "lots" is not a number of bytes from 1KiB to 64MiB`,
		`environment: CLOAKROOM_LOG_FORMAT: "xml" is not json or text`,
		`environment: CLOAKROOM_DEFAULT_LIFETIME: "-1s" is not a duration`,
		`--search-default-limit (5) must not be above --search-max-limit (4)`,
	} {
		i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, want) })
		if i < 0 {
			t.Errorf("no fault begins with %s", want)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	for _, f := range got {
		t.Errorf("unexpected fault: %s", f)
	}
}

func TestBadValues(t *testing.T) {
	f := func(name string, values ...string) {
		t.Helper()
		for _, v := range values {
			_, err := loadWith(t, with("--"+name+"="+v), nil)
			got := faultsOf(t, err)
			if !strings.HasPrefix(got[0], "flag: --"+name) {
				t.Errorf("--%s=%s: got %q", name, v, got)
			}
		}
	}
	f("http-addr", "", "8080", "host", "host:http", "host:65536", "host:99999", "host:-1", "host:080", "unix:", "unix:"+strings.Repeat("x", 101))
	f("admin-addr", "host:99999", ":65536")
	f("redis-shards", "-1", "3", "256", "x")
	f("search-max-limit", "0", "-1", "100001", "1e3", "")
	f("max-header-bytes", "8191", "257KiB", "-1", "64KB", "0")
	f("max-body-bytes", "1023", "65MiB", "-1", "1KB", "KiB", "9223372036854775807GiB")
	f("max-session-bytes", "2MiB")
	f("default-lifetime", "5", "-1s", "forever", "900001h")
	f("shutdown-timeout", "0", "11m")
	f("log-level", "INFO", "trace")
	f("auth-anonymous", "yes", "1")
	f("instance-id", strings.Repeat("ü", 201), "a\nb")
	f("redis-url", "localhost:6379", "http://h", "redis//h", "embedded", "embedded://x", "memory",
		"redis://h:99999", "rediss://u:p@[::1]:65536/1", "redis://h:0", "redis://h:-1")
}

func TestGoodValues(t *testing.T) {
	c, err := loadWith(t, with("--max-body-bytes=1 MiB", "--max-session-bytes=2048B", "--default-lifetime=1h30m",
		"--http-addr=[::1]:0", "--admin-addr=unix:/tmp/a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.API.MaxBodyBytes != 1<<20 || c.API.MaxSessionBytes != 2048 || c.API.DefaultLifetime != 90*time.Minute {
		t.Errorf("got %d, %d, %v", c.API.MaxBodyBytes, c.API.MaxSessionBytes, c.API.DefaultLifetime)
	}
	for _, url := range []string{"redis://h:65535", "redis://h:1/1", "redis://h", "redis://h:", "rediss://[::1]:6380"} {
		if _, err := loadWith(t, []string{"--auth-anonymous", "--redis-url=" + url}, nil); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A misspelt flag may be the one that seems missing: it alone is told of. A fault of
// another flag stays.
func TestMisspeltFlagHidesWhatIsRequired(t *testing.T) {
	_, err := loadWith(t, []string{"--redis-ulr", "x", "--http-addr=nowhere"}, nil)
	got := faultsOf(t, err)
	if len(got) != 2 || got[0] != `unknown flag "--redis-ulr"; did you mean --redis-url?` || !strings.Contains(got[1], "--http-addr") {
		t.Errorf("got %q", got)
	}
	_, err = loadWith(t, []string{"extra"}, nil)
	got = faultsOf(t, err)
	if len(got) != 3 || got[0] != "argument 1 is no flag, and nothing else is taken" || got[1] != "--redis-url is required; `cloakroom serve --help` says what it takes" {
		t.Errorf("got %q", got)
	}
}

func TestCrossChecks(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		_, err := loadWith(t, args, nil)
		got := faultsOf(t, err)
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
	f("--redis-url is required", "--auth-anonymous")
	f("nobody could call", "--redis-url=memory:")
	f("must not contain braces", with("--redis-key-prefix={x}")...)
	f("--max-session-bytes (16KiB) must not be above --max-body-bytes (8KiB)", with("--max-body-bytes=8KiB")...)
	f("--default-lifetime (2h0m0s) must not be above --max-lifetime (1h0m0s)", with("--default-lifetime=2h", "--max-lifetime=1h")...)
	f("--default-lifetime must be set", with("--max-lifetime=1h")...)
	f("--redis-shards must be 0 or 1 with", with("--redis-shards=4")...)
	f("must differ", with("--http-addr=127.0.0.1:9090")...)
	f("no such file", with("--auth-keys-file=/nonexistent/keys.yaml")...)
	f("no such file", with("--config=/nonexistent/c.yaml")...)
	for _, empty := range []string{"", "# nothing yet\n", "keys:\n", "keys: []\n"} {
		file := testfile.Write(t, empty)
		f("--auth-keys-file: "+file+": the keys file has no keys", "--redis-url=memory:", "--auth-keys-file="+file)
	}
	f("keys[0]", with("--auth-keys-file="+testfile.Write(t, "keys:\n- name: x\n"))...)
	f("not a number of bytes", with("--max-session-bytes=x", "--max-body-bytes=1KiB")...) // no second fault from the first
}

func TestAnonymousNeedsLoopback(t *testing.T) {
	f := func(flag, addr string, good bool) {
		t.Helper()
		_, err := loadWith(t, with("--"+flag+"="+addr), nil)
		if good && err != nil {
			t.Errorf("--%s=%s: %v", flag, addr, err)
		}
		if !good && !strings.Contains(faultsOf(t, err)[0], "--auth-anonymous is refused because --"+flag) {
			t.Errorf("--%s=%s: %v", flag, addr, err)
		}
	}
	for _, flag := range []string{"http-addr", "admin-addr"} {
		for _, addr := range []string{"127.0.0.1:1", "127.9.8.7:1", "[::1]:1", "localhost:1", "unix:/tmp/x", "[::ffff:127.0.0.1]:1"} {
			f(flag, addr, true)
		}
		for _, addr := range []string{"0.0.0.0:1", ":1", "[::]:1", "10.0.0.1:1", "example.com:1", "localhost.example.com:1", "127.0.0.1.example.com:1"} {
			f(flag, addr, false)
		}
	}
	keysFile := testfile.Write(t, testfile.OneKey)
	if _, err := loadWith(t, []string{"--redis-url=memory:", "--http-addr=:1", "--admin-addr=:2", "--auth-keys-file", keysFile}, nil); err != nil {
		t.Errorf("with keys instead: %v", err)
	}
}

func TestEnvironmentWarnings(t *testing.T) {
	c, err := loadWith(t, enough, []string{
		"CLOAKROOM_HTTP_ADRR=x", "CLOAKROOM_PRINT_CONFIG=true", "CLOAKROOM_=", "cloakroom_log_level=debug", "OTHER=1", "CLOAKROOM=1",
		"CLOAKROOM_PORT=tcp://10.0.0.1:8080", "CLOAKROOM_PORT_8080_TCP=tcp://10.0.0.1:8080", "CLOAKROOM_PORT_8080_TCP_ADDR=10.0.0.1",
		"CLOAKROOM_SERVICE_HOST=10.0.0.1", "CLOAKROOM_SERVICE_PORT_HTTP=8080", "CLOAKROOM_API_PORT=tcp://10.0.0.2:1",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"unknown environment variable CLOAKROOM_ is ignored",
		"unknown environment variable CLOAKROOM_HTTP_ADRR is ignored",
		"unknown environment variable CLOAKROOM_PRINT_CONFIG is ignored",
	}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("got %q, want %q", c.Warnings, want)
	}
}

func TestHelpFlag(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--no-such", "--help"}} {
		if _, err := loadWith(t, args, nil); !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

func TestI6_FaultsDoNotShowSecrets(t *testing.T) {
	const secret = "hunter2"
	f := func(args, env []string) {
		t.Helper()
		_, err := loadWith(t, args, env)
		if err == nil {
			t.Errorf("%q, %q: accepted", args, env)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("%q, %q: the error shows the secret: %v", args, env, err)
		}
	}
	for _, url := range []string{
		"redis://:" + secret + "@host:port", "redis://:" + secret + "/x@host", "redis://:" + secret + "#x@host", "redis://:12#" + secret + "@host",
		"redis://" + secret + "@host", "redis://:" + secret + "@host/db", "redis://host?password=" + secret, "postgres://u:" + secret + "@host",
		"redis://:%zz" + secret + "@host", secret,
	} {
		f([]string{"--auth-anonymous", "--redis-url", url}, nil)
		f([]string{"--auth-anonymous"}, []string{"CLOAKROOM_REDIS_URL=" + url})
		f([]string{"--auth-anonymous", "--config", testfile.Write(t, "redis-url: '"+url+"'\n")}, nil)
	}
	f(with("--redis-password="+secret), nil)
	f(with("--redis-password", secret), nil)
	f(with(secret), nil)
	f(with("--config", testfile.Write(t, secret)), nil)
	f(with("--config", testfile.Write(t, "- "+secret)), nil)
	f(with("--config", testfile.Write(t, "redis-pasword: "+secret)), nil)
}

func TestYAMLFaults(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := loadWith(t, with("--config", testfile.Write(t, text)), nil)
		if got := faultsOf(t, err); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	f("redis-url: embedded:", `not YAML: mapping values are not allowed in this context (a value that ends in a colon needs quotes: "embedded:")`)
	f("just text", "the file: line 1: must have fields")
	f("pprof: true\npprof: false", "the file: line 2: a field is given twice")
	f("http:\n  addr: 127.0.0.1:1", `unknown setting "http/addr"; did you mean http-addr?`)
	f("search-max-limit: 1e3", `file: search-max-limit: "1e3" is not a whole number`)
	f("a: &a {b: *a}", "a: line 1: merges, and aliases of what has fields, are not read")
	f("instance-id: &a {b: *a}", "instance-id: line 1: merges, and aliases")
	f("instance-id: x\nredis-key-prefix: *swordfish", "not YAML: an alias has no anchor")
	f("instance-id: {}", "file: instance-id must be a single value")
	f("pprof: ~", "file: pprof must be a single value: true or false")
	f("pprof:", "file: pprof must be a single value: true or false")
	f("print-config: true", `unknown setting "print-config"`)
	if _, err := loadWith(t, with("--config", testfile.Write(t, "# nothing\n")), nil); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestYAMLScalarsAreReadAsWritten(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		c, err := loadWith(t, with("--config", testfile.Write(t, text)), nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		if c.API.InstanceID != want {
			t.Errorf("%q: got %q, want %q", text, c.API.InstanceID, want)
		}
	}
	for _, v := range []string{"0123", "0o17", "0x1F", "1e3", "1_000", "1.50", ".5", "2026-01-02", "2026-01-02T03:04:05Z", "True", "yes", "1:30", ".inf"} {
		f("instance-id: "+v, v)
		f("instance-id: '"+v+"'", v)
		f("instance-id: "+v+" # a comment", v)
	}
	f("instance-id: ''", "")
	f("instance-id: \"a\\x62\"", "ab")
	f("instance-id: !!str 017", "017")
	f("redis-key-prefix: &x 1e3\ninstance-id: *x", "1e3")
	c, err := loadWith(t, with("--config", testfile.Write(t, "redis-key-prefix: 1e3\nsearch-max-limit: 2000\npprof: true\ndefault-lifetime: 0")), nil)
	if err != nil || c.Store.Prefix != "1e3" || c.API.MaxLimit != 2000 || !c.Pprof {
		t.Errorf("got %+v, %v", c, err)
	}
}
