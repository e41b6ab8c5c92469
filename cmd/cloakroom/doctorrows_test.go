package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

type follow = func(t *testing.T, fix string) []string

// consultations are the advices, each with a state that it is for.
func consultations() []consultation {
	return slices.Concat(settingRows(), reachRows(), tlsRows(), accessRows(), stateRows(), kindRows(), sentinelRows(), clusterRows())
}

func soundServer(t *testing.T, conf ...string) *redistest.Server {
	return redistest.Start(t, append(slices.Clone(sound), conf...)...)
}

// to are the arguments of doctor for a URL.
func to(url string, more ...string) []string { return append([]string{"--redis-url=" + url}, more...) }

func at(s *redistest.Server, more ...string) []string { return to(s.URL(), more...) }

// changed is a sound server after some commands; then the advice itself is obeyed.
func changed(advice string, lines ...string) consultation {
	return consultation{advice, func(t *testing.T) ([]string, follow) {
		s := soundServer(t)
		for _, line := range lines {
			command(s, line)
		}
		return at(s), func(_ *testing.T, fix string) []string { obey(s, fix); return nil }
	}}
}

func settingRows() []consultation {
	return []consultation{
		changed("CONFIG SET maxmemory-policy", "CONFIG SET maxmemory-policy allkeys-lru"),
		changed("CONFIG SET maxmemory", "CONFIG SET maxmemory 1mb"),
		{"CONFIG SET appendonly", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "appendonly no")
			return at(s), func(t *testing.T, fix string) []string {
				obey(s, fix)
				awaits(t, "the first file", func() bool {
					return field(s, "aof_rewrite_in_progress") == "0" && field(s, "aof_rewrite_scheduled") == "0"
				})
				return nil
			}
		}},
		changed("CONFIG SET appendfsync", "CONFIG SET appendfsync no"),
		changed("CONFIG SET hash-max-listpack-value", "CONFIG SET hash-max-listpack-value 64"),
		changed("CONFIG SET timeout", "CONFIG SET timeout 5"),
		changed("CONFIG SET tcp-keepalive", "CONFIG SET tcp-keepalive 0"),
		changed("CONFIG SET busy-reply-threshold", "CONFIG SET busy-reply-threshold 60000"),
		{"CONFIG SET maxclients", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "maxclients 30")
			s.Do("PING")
			hold(t, s, 25)
			return at(s), func(_ *testing.T, fix string) []string { obey(s, fix); return nil }
		}},
		{"bring the replicas back, or CONFIG SET", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "min-replicas-to-write 1")
			return at(s), func(_ *testing.T, fix string) []string {
				_, line, _ := strings.Cut(fix, ", or ")
				command(s, line)
				return nil
			}
		}},
		{"or shorter lifetimes of sessions, or a Redis of its own", func(t *testing.T) ([]string, follow) {
			s, own := soundServer(t), soundServer(t)
			s.Do("CONFIG", "SET", "maxmemory", "1mb")
			return at(s), func(*testing.T, string) []string { return at(own) }
		}},
	}
}

// hold opens connections to a server, which are closed at the end of the test or by the function.
func hold(t *testing.T, s *redistest.Server, n int) (release func()) {
	t.Helper()
	var all []net.Conn
	release = func() {
		for _, c := range all {
			c.Close()
		}
	}
	t.Cleanup(release)
	for range n {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	awaits(t, "the connections", func() bool {
		return strings.Count(fmt.Sprint(s.Do("CLIENT", "LIST")), "addr=") >= n
	})
	return release
}

// full is a server that takes no more clients.
func full(t *testing.T, access redistest.Access) (s *redistest.Server, release func()) {
	s = redistest.StartWith(t, access, append(slices.Clone(sound), "maxclients 20")...)
	s.Do("PING") // a connection for who mends it
	return s, hold(t, s, 19)
}

func reachRows() []consultation {
	return []consultation{
		{"correct the host in --redis-url", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis://there-is-none.invalid"), func(*testing.T, string) []string { return at(s) }
		}},
		{"start Redis, or correct the address", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			s.Stop()
			return at(s), func(*testing.T, string) []string { s.Restart(); return nil }
		}},
		{"a Redis that runs on another machine listens there only if `bind`", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "protected-mode no")
			return to("redis://" + strings.Replace(s.Addr, "127.0.0.1", "127.0.0.2", 1)), func(*testing.T, string) []string {
				s.Do("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
				return nil
			}
		}},
		{"start Redis, with this line in redis.conf", func(t *testing.T) ([]string, follow) {
			socket := filepath.Join(filepath.Dir(soundServer(t).Socket), "other")
			return to("unix://" + socket), func(t *testing.T, fix string) []string {
				_, line, _ := strings.Cut(fix, "redis.conf: ")
				s := soundServer(t)
				s.Configure(line)
				s.Socket = socket
				s.Restart()
				return nil
			}
		}},
		{"in redis.conf: unixsocketperm 770", forbiddenSocket},
		{"correct the address in --redis-url, or the network", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis://255.255.255.255"), func(*testing.T, string) []string { return at(s) }
		}},
		{"a firewall, a security group", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			addr, open := droppedPackets(t)
			return to("redis://" + addr), func(t *testing.T, _ string) []string {
				open()
				s.Addr = addr
				s.Restart()
				return nil
			}
		}},
		{"is it a Redis, and does it hang?", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			s.Pause()
			return at(s), func(*testing.T, string) []string { s.Resume(); return nil }
		}},
		{"is it a Redis, version 7 or later?", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			web := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(web.Close)
			return to("redis://" + web.Listener.Addr().String()), func(*testing.T, string) []string { return at(s) }
		}},
		{"its log may say more; `redis-cli", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis://" + between(t, s.Addr, "", instead("+PONG\r\n", "-ERR unknown command 'PING'\r\n"))), func(*testing.T, string) []string { return at(s) }
		}},
		{"use another one at the end of --redis-url", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis://" + s.Addr + "/99"), func(*testing.T, string) []string { return to("redis://" + s.Addr + "/9") }
		}},
		{"end a client that has too many connections", func(t *testing.T) ([]string, follow) {
			s, release := full(t, redistest.Access{})
			return at(s), func(*testing.T, string) []string {
				release()
				s.Do("CONFIG", "SET", "maxclients", 100)
				return nil
			}
		}},
		{"CLIENT LIST shows who holds connections", func(t *testing.T) ([]string, follow) {
			s, _ := full(t, redistest.Access{})
			return at(s), func(*testing.T, string) []string {
				s.CutClients()
				return nil
			}
		}},
		{"run cloakroom nearer to Redis", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			far := redistest.NewProxy(t, s.Addr)
			far.Delay(40 * time.Millisecond)
			return to("redis://" + far.Addr), func(*testing.T, string) []string { return at(s) }
		}},
		{"no proxy between cloakroom and Redis may swallow", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			addr := between(t, s.Addr, "", func(reply []byte) []byte {
				if reply[0] == '>' {
					return nil
				}
				return reply
			})
			return to("redis://" + addr), func(*testing.T, string) []string { return at(s) }
		}},
		{"set both by NTP", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis://" + between(t, s.Addr, "", ahead(3600))), func(*testing.T, string) []string { return at(s) }
		}},
		{"upgrade to Redis", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis://" + between(t, s.Addr, "", instead("redis_version:7", "redis_version:6"))), func(*testing.T, string) []string { return at(s) }
		}},
	}
}

// trust are the flags of who has certificates.
func trust(c *redistest.Certificates) []string {
	return []string{"--redis-tls-ca-file=" + c.CA, "--redis-tls-cert-file=" + c.Cert, "--redis-tls-key-file=" + c.Key}
}

func tlsRows() []consultation {
	secure := func(t *testing.T) (*redistest.Certificates, *redistest.Server) {
		c := redistest.NewCertificates(t)
		return c, redistest.StartWith(t, redistest.Access{Certificates: c}, sound...)
	}
	renewed := func(end time.Duration) func(t *testing.T) ([]string, follow) {
		return func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			c.RenewUntil(t, time.Now().Add(end))
			s.Restart()
			args := append(at(s, "--redis-tls-ca-file="+c.CA), trust(c)[1:]...)
			return args, func(t *testing.T, _ string) []string {
				c.RenewUntil(t, time.Now().Add(30*24*time.Hour))
				s.Do("CONFIG", "SET", "tls-cert-file", c.Cert, "tls-key-file", c.Key, "tls-ca-cert-file", c.CA)
				return nil
			}
		}
	}
	return []consultation{
		{"renew it, or set the clock", renewed(-time.Hour)},
		{"renew it, then `CONFIG SET tls-cert-file", renewed(24 * time.Hour)},
		{"give the authority's certificate", func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			return at(s, trust(c)[1:]...), func(*testing.T, string) []string { return at(s, trust(c)...) }
		}},
		{"give one: --redis-tls-cert-file", func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			return at(s, trust(c)[0]), func(*testing.T, string) []string { return at(s, trust(c)...) }
		}},
		{"use a name in --redis-url that the certificate has", func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			return at(s, append(trust(c), "--redis-tls-server-name=another")...), func(*testing.T, string) []string {
				return at(s, append(trust(c), "--redis-tls-server-name=localhost")...)
			}
		}},
		{"use redis:// in --redis-url", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("rediss://" + s.Addr), func(*testing.T, string) []string { return to("redis://" + s.Addr) }
		}},
		{"use rediss:// in --redis-url", func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			return to("redis://" + s.Addr), func(*testing.T, string) []string { return to("rediss://"+s.Addr, trust(c)...) }
		}},
		{"is it a Redis, and does this port speak TLS", func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			s.Pause()
			return at(s, trust(c)...), func(*testing.T, string) []string { s.Resume(); return nil }
		}},
		{"the versions (tls-protocols)", func(t *testing.T) ([]string, follow) {
			c, s := secure(t)
			s.Do("CONFIG", "SET", "tls-protocols", "TLSv1.1")
			return at(s, trust(c)...), func(*testing.T, string) []string {
				s.Do("CONFIG", "SET", "tls-protocols", "TLSv1.2 TLSv1.3")
				return nil
			}
		}},
		{"its log says why; a Redis that has as many clients", func(t *testing.T) ([]string, follow) {
			c := redistest.NewCertificates(t)
			s, release := full(t, redistest.Access{Certificates: c})
			return at(s, trust(c)...), func(*testing.T, string) []string {
				release()
				s.Do("CONFIG", "SET", "maxclients", 100)
				return nil
			}
		}},
	}
}

// password is a file with one.
func password(t *testing.T, text string) string { return writeFile(t, text+"\n") }

// line runs cloakroom acl, and returns what it prints.
func line(t *testing.T, args ...string) string {
	t.Helper()
	code, text, stderr := once(t, append([]string{"acl"}, args...)...)
	if code != exitOK {
		t.Fatalf("acl %q: exit code %d: %s", args, code, stderr)
	}
	return strings.TrimSpace(text)
}

// limited is a sound server whose user app has the password pw, and these rights besides all.
func limited(t *testing.T, rights string) *redistest.Server {
	s := soundServer(t)
	command(s, "ACL SETUSER app on >pw ~* &* +@all "+rights)
	return s
}

func as(s *redistest.Server, userinfo string, more ...string) []string {
	return to("redis://"+userinfo+"@"+s.Addr, more...)
}

func accessRows() []consultation {
	lacks := func(advice, rights string, then func(t *testing.T, s *redistest.Server, fix string) []string) consultation {
		return consultation{advice, func(t *testing.T) ([]string, follow) {
			s := limited(t, rights)
			return as(s, "app:pw"), func(t *testing.T, fix string) []string { return then(t, s, fix) }
		}}
	}
	obeys := func(_ *testing.T, s *redistest.Server, fix string) []string { obey(s, fix); return nil }
	underRights := func(t *testing.T, s *redistest.Server, _ string) []string {
		_, fix := consult(t, as(s, "app:pw")).found(adviceOf(t, "ACL SETUSER %s %s"))
		command(s, fix)
		return nil
	}
	return []consultation{
		lacks("ACL SETUSER %s %s", "-zadd -zrank", func(_ *testing.T, s *redistest.Server, fix string) []string { command(s, fix); return nil }),
		lacks("ACL SETUSER %s +role +info", "-role -info", obeys),
		lacks("what this user lacks is named under rights", "-time", underRights),
		lacks("a missing right is named under rights", "-client|tracking", underRights),
		lacks("or do without: --near-cache-bytes=0", "-client|tracking", func(_ *testing.T, s *redistest.Server, _ string) []string {
			return as(s, "app:pw", "--near-cache-bytes=0")
		}),
		{"then ACL SAVE, or the same in the users file", func(t *testing.T) ([]string, follow) {
			users := writeFile(t, "user app on >pw ~* &* +@all -zadd\nuser default on nopass ~* &* +@all\n")
			s := soundServer(t, "aclfile "+users)
			return as(s, "app:pw"), func(t *testing.T, _ string) []string {
				underRights(t, s, "")
				s.Do("ACL", "SAVE")
				s.Restart()
				return nil
			}
		}},
		{"`cloakroom acl --doctor` prints an ACL", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			pw := password(t, "pw")
			command(s, line(t, "--user=app", "--password-file="+pw))
			return as(s, "app:pw"), func(t *testing.T, _ string) []string {
				command(s, line(t, "--user=app", "--password-file="+pw, "--doctor"))
				return nil
			}
		}},
		{"`cloakroom acl --user %s --password-file FILE` prints the line", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return as(s, "app:pw"), func(t *testing.T, _ string) []string {
				command(s, line(t, "--user=app", "--password-file="+password(t, "pw"), "--doctor"))
				return nil
			}
		}},
		{"look at the user as an administrator", func(t *testing.T) ([]string, follow) {
			s := limited(t, "off")
			return as(s, "app:pw"), func(t *testing.T, fix string) []string {
				_, look, _ := strings.Cut(fix, ": ")
				reply := s.Do("ACL", "GETUSER", strings.TrimPrefix(look, "ACL GETUSER "))
				if !strings.Contains(fmt.Sprint(reply), "off") {
					t.Errorf("%s: %v", look, reply)
				}
				command(s, "ACL SETUSER app on")
				return nil
			}
		}},
		{"special characters of a password", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			s.Do("ACL", "SETUSER", "app", "on", ">a%40b", "~*", "&*", "+@all")
			return as(s, "app:a%40b"), func(*testing.T, string) []string { return as(s, url.UserPassword("app", "a%40b").String()) }
		}},
		{"put it into the URL: redis://USER:PASSWORD@HOST:PORT", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "requirepass secret")
			return to("redis://" + s.Addr), func(*testing.T, string) []string {
				return []string{"CLOAKROOM_REDIS_URL=redis://default:secret@" + s.Addr}
			}
		}},
		{"take the password out of the URL", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, `rename-command HELLO ""`)
			return as(s, ":secret", "--near-cache-bytes=0"), func(*testing.T, string) []string { return at(s, "--near-cache-bytes=0") }
		}},
		{"give it a user with a password", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			outside := between(t, s.Addr, "127.0.0.2", func(b []byte) []byte { return b })
			return to("redis://" + outside), func(*testing.T, string) []string {
				s.Do("CONFIG", "SET", "requirepass", "secret")
				return to("redis://:secret@" + outside)
			}
		}},
		{"`cloakroom acl --password-file FILE` prints the line", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			host := strings.Replace(s.Addr, "127.0.0.1", "0.0.0.0", 1) // no loopback address, as far as it shows
			return to("redis://" + host), func(t *testing.T, _ string) []string {
				command(s, line(t, "--password-file="+password(t, "pw"), "--doctor"))
				command(s, "ACL SETUSER default off")
				return to("redis://cloakroom:pw@" + host)
			}
		}},
	}
}

// field is a field of INFO.
func field(s *redistest.Server, name string) string {
	for line := range strings.Lines(fmt.Sprint(s.Do("INFO"))) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// nowhere takes a server the directory that it is to save in; the function gives it back.
func nowhere(t *testing.T, s *redistest.Server) (back func()) {
	dir := filepath.Join(filepath.Dir(s.Socket), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "dir", dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s.Do("CONFIG", "SET", "dir", dir)
	}
}

// meta is a server with something under cr:meta.
func meta(advice, value string, before, after []string) consultation {
	return consultation{advice, func(t *testing.T) ([]string, follow) {
		s := soundServer(t)
		s.Do("SET", "cr:meta", value)
		return at(s, before...), func(*testing.T, string) []string { return at(s, after...) }
	}}
}

func stateRows() []consultation {
	replicaOf := func(t *testing.T, master *redistest.Server) *redistest.Server {
		return redistest.Start(t, "replicaof 127.0.0.1 "+master.Addr[strings.LastIndexByte(master.Addr, ':')+1:])
	}
	online := func(t *testing.T, master *redistest.Server, n int) {
		awaits(t, "the replicas", func() bool { return strings.Count(fmt.Sprint(master.Do("INFO", "replication")), "state=online") == n })
	}
	return []consultation{
		meta("choose another --redis-key-prefix, or another database", "hello", nil, []string{"--redis-key-prefix=other:"}),
		meta("choose another --redis-key-prefix, or run the version", "layout=1 shards=1", nil, []string{"--redis-key-prefix=other:"}),
		meta("--redis-shards=0, which takes the recorded number", "layout=2 shards=4", []string{"--redis-shards=2"}, []string{"--redis-shards=0"}),
		{"`cloakroom audit --repair` removes", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "maxmemory-policy allkeys-lru")
			s.Do("SET", "other", strings.Repeat("x", 1<<20))
			s.Do("CONFIG", "SET", "maxmemory", "1mb")
			evicts := s.Client(t)
			awaits(t, "eviction", func() bool {
				_ = evicts.Set(t.Context(), "more", "x", 0).Err() // there may be nothing left to evict
				return field(s, "evicted_keys") != "0"
			})
			s.Do("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "noeviction")
			s.Do("SET", "cr:meta", "layout=2 shards=1")
			return at(s), func(t *testing.T, _ string) []string {
				if code, text, stderr := once(t, "audit", "--repair", "--redis-url", s.URL()); code != exitOK {
					t.Errorf("audit: exit code %d: %s%s", code, text, stderr)
				}
				s.Do("CONFIG", "RESETSTAT")
				return nil
			}
		}},
		{"every `cloakroom serve` clears them", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			space, err := keys.NewSpace(keys.DefaultPrefix, 1)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1001 {
				s.Do("ZADD", space.Catalogue(0), fmt.Sprint(time.Now().UnixMicro()-5e6), fmt.Sprintf("no card %d", i))
			}
			return at(s), func(t *testing.T, _ string) []string {
				p := launch(t, append([]string{"serve", "--redis-url", s.URL(), "--auth-anonymous"}, quick()...))
				p.ready(t)
				awaits(t, "the sweep", func() bool { return fmt.Sprint(s.Do("ZCARD", space.Catalogue(0))) == "0" })
				return nil
			}
		}},
		{"mend what is named under %s", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "maxmemory 1mb")
			return at(s), func(t *testing.T, fix string) []string {
				if !strings.Contains(fix, "under memory") {
					t.Error(fix)
				}
				_, named := consult(t, at(s)).found(adviceOf(t, "CONFIG SET maxmemory"))
				obey(s, named)
				return nil
			}
		}},
		{"its log says why: a full disk, a directory that is not there", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "save 3600 1", "enable-protected-configs yes")
			back := nowhere(t, s)
			s.Do("SET", "some", "thing")
			s.Do("BGSAVE")
			awaits(t, "the failure", func() bool { return field(s, "rdb_last_bgsave_status") == "err" })
			r := consult(t, at(s)) // the other checks go on, and nobody asks whether it is a Redis
			if text := r.String(); !strings.Contains(text, "MISCONF") || !strings.Contains(text, "latency") || !strings.Contains(text, "ok login") || strings.Contains(text, "is it a Redis") {
				t.Error(text)
			}
			return at(s), func(t *testing.T, _ string) []string {
				back()
				s.Do("BGSAVE")
				awaits(t, "the snapshot", func() bool { return field(s, "rdb_last_bgsave_status") == "ok" })
				return nil
			}
		}},
		{"its log says why: mend that, then BGREWRITEAOF", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "enable-protected-configs yes", "auto-aof-rewrite-percentage 0")
			back := nowhere(t, s)
			_, _ = s.Client(t).BgRewriteAOF(t.Context()).Result() // fails
			awaits(t, "the failure", func() bool { return field(s, "aof_last_bgrewrite_status") == "err" })
			return at(s), func(t *testing.T, _ string) []string {
				back()
				s.Do("BGREWRITEAOF")
				awaits(t, "the rewrite", func() bool { return field(s, "aof_last_bgrewrite_status") == "ok" })
				return nil
			}
		}},
		{"its log says why: most likely the disk is full", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			s.Stop()
			files, err := filepath.Glob(filepath.Join(filepath.Dir(s.Socket), "appendonlydir", "*.incr.aof"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			if err := errors.Join(os.Remove(files[0]), os.Symlink("/dev/full", files[0])); err != nil {
				t.Fatal(err)
			}
			s.Restart()
			s.Do("SET", "some", "thing")
			awaits(t, "the failure", func() bool { return field(s, "aof_last_write_status") == "err" })
			if text := consult(t, at(s)).String(); !strings.Contains(text, "No space left on device") {
				t.Errorf("the reason is not told:\n%s", text)
			}
			return at(s), func(t *testing.T, _ string) []string {
				s.Do("BGREWRITEAOF")
				awaits(t, "a write", func() bool {
					return field(s, "aof_last_write_status") == "ok" && field(s, "aof_rewrite_in_progress") == "0"
				})
				return nil
			}
		}},
		{"wait; cloakroom serve waits as well", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "enable-debug-command yes", "loading-process-events-interval-bytes 1024")
			if err := s.Client(t).Do(t.Context(), "EVAL", "for i = 1, 20000 do redis.call('SET', i, i) end", 0).Err(); !errors.Is(err, redis.Nil) {
				t.Fatal(err)
			}
			s.Do("CONFIG", "SET", "key-load-delay", "1000")
			loads := s.Client(t, func(o *redis.Options) { o.ReadTimeout = time.Minute })
			done := make(chan error, 1)
			go func() { done <- loads.Do(context.Background(), "DEBUG", "RELOAD").Err() }()
			admin := s.Client(t)
			awaits(t, "LOADING", func() bool { return redis.HasErrorPrefix(admin.Ping(t.Context()).Err(), "LOADING") })
			return at(s), func(t *testing.T, _ string) []string {
				s.Do("CONFIG", "SET", "key-load-delay", "0")
				if err := <-done; err != nil {
					t.Error(err)
				}
				return nil
			}
		}},
		{"SCRIPT KILL ends it", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "busy-reply-threshold 50")
			hangs := s.Client(t, func(o *redis.Options) { o.ReadTimeout = time.Minute })
			done := make(chan error, 1)
			go func() { done <- hangs.Eval(context.Background(), "while true do end", nil).Err() }()
			admin := s.Client(t)
			awaits(t, "BUSY", func() bool { return redis.HasErrorPrefix(admin.Ping(t.Context()).Err(), "BUSY") })
			return at(s), func(t *testing.T, _ string) []string {
				s.Do("SCRIPT", "KILL")
				<-done
				return nil
			}
		}},
		{"if that lasts, its log says why; repl-backlog-size", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 3600")
			replicaOf(t, s)
			awaits(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "state=wait_bgsave") })
			return at(s), func(t *testing.T, _ string) []string {
				s.Do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
				online(t, s, 1)
				return nil
			}
		}},
		{"its machine, its disk or the network is too slow", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-timeout 3600")
			r := replicaOf(t, s)
			online(t, s, 1)
			awaits(t, "an acknowledgement", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "lag=0") })
			r.Pause()
			for range 20 {
				s.Do("SET", "other", strings.Repeat("x", 1<<20))
			}
			return at(s), func(t *testing.T, _ string) []string {
				r.Resume()
				if n := s.Do("WAIT", 1, 3000); fmt.Sprint(n) != "1" {
					t.Errorf("the replica did not catch up: %v", n)
				}
				awaits(t, "an acknowledgement", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "lag=0") })
				return nil
			}
		}},
	}
}

func kindRows() []consultation {
	return []consultation{
		{"--redis-url redis://HOST:PORT", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("memory:"), func(*testing.T, string) []string { return at(s) }
		}},
		{"--redis-url must lead to the master", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
			r := soundServer(t, "replicaof 127.0.0.1 "+s.Addr[strings.LastIndexByte(s.Addr, ':')+1:])
			awaits(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "state=online") })
			return at(r), func(t *testing.T, fix string) []string { return to("redis://" + named(t, fix, s.Addr)) }
		}},
		{"--redis-url must lead to one server alone", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 0")
			r := soundServer(t, "replicaof 127.0.0.1 "+s.Addr[strings.LastIndexByte(s.Addr, ':')+1:])
			awaits(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "state=online") })
			return to("redis://" + balance(t, s.Addr, r.Addr)), func(t *testing.T, fix string) []string { return to("redis://" + named(t, fix, s.Addr)) }
		}},
		{"use a Redis or Valkey without rename-command", func(t *testing.T) ([]string, follow) {
			s, other := soundServer(t, `rename-command ZREVRANGE ""`), soundServer(t)
			return at(s), func(*testing.T, string) []string { return at(other) }
		}},
	}
}

// named returns addr, which the advice must have.
func named(t *testing.T, fix, addr string) string {
	t.Helper()
	if !strings.Contains(fix, addr) {
		t.Errorf("%s is not named: %s", addr, fix)
	}
	return addr
}

func sentinelRows() []consultation {
	sentinels := func(t *testing.T, user, password string) *redistest.Sentinels {
		return redistest.StartSentinels(t, redistest.SentinelConfig{User: user, Password: password, Conf: sound})
	}
	return []consultation{
		{"--redis-url %s+sentinel://%s/MASTER", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			return at(s.Watchers[0]), func(_ *testing.T, fix string) []string {
				words := strings.FieldsFunc(fix, func(r rune) bool { return r == ' ' || r == ';' })
				return to(strings.Replace(words[1], "/MASTER", "/"+redistest.MasterName, 1))
			}
		}},
		{"--redis-url has the addresses of Sentinels", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			return to("redis+sentinel://" + s.Master().Addr + "/" + redistest.MasterName), func(*testing.T, string) []string { return to(s.URL()) }
		}},
		{"correct the name at the end of --redis-url", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			return to("redis+sentinel://" + s.Addrs()[0] + "/another"), func(t *testing.T, _ string) []string {
				return to("redis+sentinel://" + s.Addrs()[0] + "/" + named(t, fmt.Sprint(s.Watchers[0].Do("SENTINEL", "MASTERS")), redistest.MasterName))
			}
		}},
		{"--redis-sentinel-username and --redis-sentinel-password-file", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "w", "watch")
			return to(s.URL()), func(t *testing.T, _ string) []string {
				return to(s.URL(), "--redis-sentinel-username=w", "--redis-sentinel-password-file="+password(t, "watch"))
			}
		}},
		{"the second line of `cloakroom acl --sentinel`", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			for _, w := range s.Watchers {
				command(w, "ACL SETUSER app on >pw -@all +ping")
			}
			pw := password(t, "pw")
			return to(s.URL(), "--redis-sentinel-username=app", "--redis-sentinel-password-file="+pw), func(t *testing.T, _ string) []string {
				lines := strings.Split(line(t, "--sentinel", "--user=app", "--password-file="+pw), "\n")
				for _, w := range s.Watchers {
					command(w, lines[1])
				}
				return nil
			}
		}},
		{"does it hang? its log says", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			for _, w := range s.Watchers {
				w.Pause()
			}
			return to(s.URL()), func(*testing.T, string) []string {
				for _, w := range s.Watchers {
					w.Resume()
				}
				return nil
			}
		}},
		{"if that lasts, the Sentinels do not reach each other", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			monitor := func(addr string) {
				s.Watchers[2].Do("SENTINEL", "REMOVE", redistest.MasterName)
				_, port, _ := net.SplitHostPort(addr)
				s.Watchers[2].Do("SENTINEL", "MONITOR", redistest.MasterName, "127.0.0.1", port, 2)
			}
			master := s.Master().Addr
			alone := soundServer(t) // what it watches until the advice is followed
			monitor(alone.Addr)
			return to(s.URL()), func(*testing.T, string) []string { monitor(master); return nil }
		}},
		{"add a replica on another machine", func(t *testing.T) ([]string, follow) {
			s := sentinels(t, "", "")
			s.Servers[1].Kill()
			master := s.Master()
			awaits(t, "the end of the replica", func() bool { return field(master, "connected_slaves") == "0" })
			return to(s.URL()), func(t *testing.T, _ string) []string {
				_, port, _ := net.SplitHostPort(master.Addr)
				redistest.Start(t).Do("REPLICAOF", "127.0.0.1", port)
				awaits(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(master.Do("INFO", "replication")), "state=online") })
				return nil
			}
		}},
	}
}

func clusterRows() []consultation {
	cluster := func(t *testing.T) *redistest.Cluster {
		return redistest.StartCluster(t, redistest.ClusterConfig{Conf: sound})
	}
	broken := func(t *testing.T) ([]string, func()) {
		c := cluster(t)
		for _, n := range c.Nodes {
			n.Do("CONFIG", "SET", "cluster-replica-no-failover", "yes")
		}
		gone := c.Master(0)
		gone.Stop()
		asks := c.Nodes[1].Client(t)
		awaits(t, "the failure", func() bool { return strings.Contains(asks.ClusterInfo(t.Context()).Val(), "cluster_slots_fail:5") })
		return to(c.URL()), func() {
			gone.Restart()
			c.WaitReady()
		}
	}
	restart := func(advice string) consultation {
		return consultation{advice, func(t *testing.T) ([]string, follow) {
			args, mend := broken(t)
			return args, func(*testing.T, string) []string { mend(); return nil }
		}}
	}
	return []consultation{
		restart("bring their master back, or promote its replica"),
		restart("`redis-cli CLUSTER NODES` marks them"),
		{"--redis-url %s+cluster://%s", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			return at(c.Nodes[2].Server), func(_ *testing.T, fix string) []string {
				return to(strings.FieldsFunc(fix, func(r rune) bool { return r == ' ' || r == ';' })[1])
			}
		}},
		{"it is no Cluster: use redis://", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			return to("redis+cluster://" + s.Addr), func(*testing.T, string) []string { return at(s) }
		}},
		{"`redis-cli -c CLUSTER SHARDS` says", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "cluster-enabled yes")
			return to("redis+cluster://" + s.Addr), func(t *testing.T, _ string) []string {
				s.Do("CLUSTER", "ADDSLOTSRANGE", 0, redistest.Slots-1)
				awaits(t, "the Cluster", func() bool { return strings.Contains(fmt.Sprint(s.Do("CLUSTER", "INFO")), "cluster_state:ok") })
				return nil
			}
		}},
		{"`redis-cli --cluster check HOST:PORT` says", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "cluster-enabled yes")
			s.Do("CLUSTER", "ADDSLOTSRANGE", 0, redistest.Slots-1)
			s.Restart() // a master that starts waits two seconds before it serves
			return to("redis+cluster://" + s.Addr), func(t *testing.T, _ string) []string {
				awaits(t, "the Cluster", func() bool { return strings.Contains(fmt.Sprint(s.Do("CLUSTER", "INFO")), "cluster_state:ok") })
				return nil
			}
		}},
		{"`cloakroom acl --cluster` prints", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			for _, n := range c.Nodes {
				command(n.Server, "ACL SETUSER app on >pw ~* &* +@all -cluster")
			}
			return to(strings.Replace(c.URL(), "://", "://app:pw@", 1)), func(t *testing.T, _ string) []string {
				for _, n := range c.Nodes {
					command(n.Server, line(t, "--cluster", "--doctor", "--user=app", "--password-file="+password(t, "pw")))
				}
				return nil
			}
		}},
		{"start anew under another --redis-key-prefix", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			return to(c.URL(), "--redis-shards=2"), func(*testing.T, string) []string {
				return to(c.URL(), "--redis-shards=32", "--redis-key-prefix=new:")
			}
		}},
		{"set all machines by NTP", func(t *testing.T) ([]string, follow) {
			c := cluster(t)
			wrong := c.Master(0)
			_, own, _ := net.SplitHostPort(wrong.Addr)
			_, port, _ := net.SplitHostPort(between(t, wrong.Addr, "", ahead(3600)))
			announce := func(port string) {
				wrong.Do("CONFIG", "SET", "cluster-announce-port", port)
				asks := c.Nodes[1].Client(t)
				awaits(t, "the port", func() bool {
					return strings.Contains(asks.Do(t.Context(), "CLUSTER", "NODES").String(), "127.0.0.1:"+port+"@")
				})
			}
			announce(port)
			return to("redis+cluster://" + c.Nodes[1].Addr), func(*testing.T, string) []string { announce(own); return nil }
		}},
	}
}
