package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// Every form of the URL refuses parameters that cannot work.
func TestParseRedisURL_RefusesWhatCannotWork(t *testing.T) {
	for _, url := range []string{
		"redis://h/-1", "redis://h/+1", "redis://h/01", "redis://h/65536", "redis://h/1/2", "redis://h//1", "redis://h/1/", "redis://h/x", "redis://h/1?db=1", "redis://h/1?db=2",
		"redis://h:1:2", "redis://h:1:2/3", "redis://::1", "redis://::1:6379", "redis://[h]", "redis://[::1", "redis://h1,h2", "redis://h1:1,h2:2", "redis://a%20b",
		"rediss://h/-1", "rediss://h:1:2", "unix://h/tmp/s", "unix://tmp/s", "unix:///tmp/s?db=-1", "unix:///tmp/s?db=1&db=2",
		"redis+sentinel://h/m/-1", "redis+sentinel://h:1:2/m", "redis+sentinel://h/m?db=-1", "redis+cluster://h:1:2", "redis+cluster://h1,h2:1:2", "redis+cluster://h/-1", "redis+cluster://h?db=-1",
	} {
		if u, ok := redisconn.ParseURL(url); ok {
			t.Errorf("%s was taken: %+v", url, u.Options)
		}
	}
	bad := []string{
		"pool_size=0", "pool_size=-1", "pool_size=70000", "pool_size=4294967296", "pool_size=1.5", "pool_size=", "pool_size=1&pool_size=2", "pool_size=016",
		"min_idle_conns=2", "max_idle_conns=-1", "max_active_conns=-1", "max_active_conns=0",
		"pool_size=20&max_active_conns=19", "max_active_conns=1", "max_concurrent_dials=-1", "pipeline_pool_size=-2", "pipeline_read_buffer_size=-1", "pipeline_write_buffer_size=99999999999",
		"dial_timeout=0", "dial_timeout=-1", "read_timeout=0s", "read_timeout=-1s", "read_timeout=1ns", "read_timeout=99999999999999", "write_timeout=2h", "write_timeout=x", "pool_timeout=-5s",
		"conn_max_idle_time=-2", "conn_max_idle_time=-30m", "conn_max_idle_time=1m&idle_timeout=1m", "conn_max_lifetime=1h&max_conn_age=2h", "conn_max_lifetime=9223372036854775807",
		"conn_max_lifetime_jitter=1m", "protocol=2", "protocol=-1", "protocol=4", "max_retries=3", "max_retries=-2", "min_retry_backoff=1s", "max_retry_backoff=1s",
		"client_name=", "client_name=a%20b", "client_name=a%0ab", "pool_fifo=maybe", "unknown=1", "password=x",
	}
	good := []string{
		"", "pool_size=1", "pool_size=20&max_active_conns=20&max_idle_conns=5", "pool_size=8&max_active_conns=16", "pipeline_pool_size=-1", "dial_timeout=2", "read_timeout=500ms&write_timeout=1s&pool_timeout=3s",
		"conn_max_idle_time=-1", "idle_timeout=0", "conn_max_lifetime=30m&conn_max_lifetime_jitter=1m", "protocol=3", "max_retries=-1", "client_name=mine", "pool_fifo=true",
	}
	for _, form := range []string{"redis://h/1", "rediss://h", "unix:///tmp/s", "redis+sentinel://h/m/1", "redis+cluster://h1,h2"} {
		for _, query := range bad {
			if u, ok := redisconn.ParseURL(form + "?" + query); ok {
				t.Errorf("%s?%s was taken: %+v", form, query, u.Options)
			}
		}
		for _, query := range good {
			if _, ok := redisconn.ParseURL(form + "?" + query); !ok {
				t.Errorf("%s?%s was refused", form, query)
			}
		}
	}
	for url, db := range map[string]int{"redis://h?db=3": 3, "redis://h/": 0, "redis://h/65535": 65535, "unix:///tmp/s?db=2": 2, "rediss://[::1]/4?skip_verify=true": 4, "redis://[fe80::1%25eth0]:1/5": 5} {
		if u, ok := redisconn.ParseURL(url); !ok || u.Options.DB != db {
			t.Errorf("%s: database %+v, want %d", url, u.Options, db)
		}
	}
	if _, ok := redisconn.ParseURL("redis://h?skip_verify=true"); ok {
		t.Error("skip_verify was taken without TLS")
	}
	for _, url := range []string{"redis://h/-1", "redis://h?db=-3", "redis://h:1:2", "redis://h/abc"} {
		if code, _, stderr := once(t, "serve", "--auth-anonymous", "--redis-url", url); code != exitUsage || !strings.Contains(stderr, "--redis-url") {
			t.Errorf("%s: exit code %d: %s", url, code, stderr)
		}
	}
}

// A URL of another kind than the server ends serve and audit at once, and the
// message has the URL that is right.
func TestServe_URLOfAnotherKind(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{Access: redistest.Access{Password: "hunter2"}})
	single := redistest.Start(t)
	f := func(url, want string) {
		t.Helper()
		for _, command := range []string{"serve", "audit"} {
			args := []string{command, "--redis-url", url}
			if command == "serve" {
				args = append(args, quick("--auth-anonymous")...)
			}
			p := launch(t, args)
			select {
			case <-p.ended:
			case <-time.After(time.Minute):
				t.Fatalf("%s %s goes on: %s", command, url, p.stderr)
			}
			if said := p.stderr.String(); p.code != exitUsage || !strings.Contains(said, want) || strings.Contains(said, "hunter2") || strings.Contains(said, "trying again") {
				t.Errorf("%s %s: exit code %d: %s", command, url, p.code, said)
			}
		}
	}
	for _, n := range cluster.Nodes {
		f(n.URL(), "this is a node of a Redis Cluster; use redis+cluster://"+n.Addr)
	}
	f("unix://:hunter2@"+cluster.Nodes[0].Socket, "use redis+cluster://HOST:PORT")
	f("redis://:hunter2@"+cluster.Nodes[0].Addr+"/3", "use redis+cluster://"+cluster.Nodes[0].Addr)
	f("redis+cluster://"+single.Addr, "this is a single Redis and no Cluster; use redis://"+single.Addr)
}

// Whatever is wrong with a URL, no message shows its password.
func TestI6_URLsOfManyHostsHideTheirPassword(t *testing.T) {
	const secret = "hunter2"
	for _, form := range []string{"redis+sentinel://u:%s@h1,h2/m/1?pool_size=3", "rediss+cluster://:%s@h1:1,h2", "redis+cluster://u:%s@h1,@h2", "redis+sentinel://u:%s@h1/%s/x", "redis+cluster://h1,u:%s@h2", "redis+cluster://h1?password=%s"} {
		url := strings.ReplaceAll(form, "%s", secret)
		if u, ok := redisconn.ParseURL(url); ok && strings.Contains(u.Masked, secret) {
			t.Errorf("%s is shown as %s", url, u.Masked)
		}
		_, err := loadWith(t, []string{"--auth-anonymous", "--redis-url", url}, nil)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the password: %v", url, err)
		}
	}
}

func TestCheckRedis(t *testing.T) {
	password, empty, two := testfile.Write(t, "secret\n"), testfile.Write(t, "\n"), testfile.Write(t, "a\nb\n")
	f := func(want string, args ...string) {
		t.Helper()
		_, err := loadWith(t, append([]string{"--auth-anonymous"}, args...), nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", args, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %v, want %q", args, err, want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%q: the error shows the password", args)
		}
	}
	const cluster, sentinel = "--redis-url=redis+cluster://h1,h2", "--redis-url=redis+sentinel://h1/m"
	f("", cluster, "--redis-username=u", "--redis-password-file="+password, "--redis-replica-reads")
	f("", sentinel, "--redis-password-file="+password, "--redis-sentinel-username=u", "--redis-sentinel-password-file="+password, "--redis-replica-reads=true")
	f("", "--redis-url=redis://h", "--redis-password-file="+password)
	f("", "--redis-url=rediss://h", "--redis-tls-server-name=x")
	f("--redis-username needs --redis-password-file", cluster, "--redis-username=u")
	f("--redis-sentinel-username needs --redis-sentinel-password-file", sentinel, "--redis-sentinel-username=u")
	f("has a password already", "--redis-url=redis://:secret@h", "--redis-password-file="+password)
	f("has a password already", "--redis-url=redis+cluster://u:secret@h", "--redis-username=v")
	f("--redis-password-file needs a Redis of yours", "--redis-url=memory:", "--redis-password-file="+password)
	f("--redis-sentinel-password-file needs Sentinels", cluster, "--redis-sentinel-password-file="+password)
	f("--redis-replica-reads needs Sentinels or a Cluster", "--redis-url=redis://h", "--redis-replica-reads")
	f("--redis-tls-ca-file needs TLS", cluster, "--redis-tls-ca-file="+password)
	f("--redis-tls-server-name needs TLS", "--redis-url=redis://h", "--redis-tls-server-name=x")
	f("the file is empty", cluster, "--redis-password-file="+empty)
	f("in one line", cluster, "--redis-password-file="+two)
	f("no such file", cluster, "--redis-password-file="+password+".not")
	f("has no certificate in PEM", "--redis-url=rediss+cluster://h", "--redis-tls-ca-file="+password)
	f("need each other", "--redis-url=rediss+cluster://h", "--redis-tls-cert-file="+password)
	f("failed to find any PEM data", "--redis-url=rediss+cluster://h", "--redis-tls-cert-file="+password, "--redis-tls-key-file="+password)
}
