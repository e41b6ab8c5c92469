package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

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
	eventually.Holds(t, "the connections", func() bool {
		return strings.Count(fmt.Sprint(s.Do("CLIENT", "LIST")), "addr=") >= n
	})
	return release
}

// full is a server that takes no more clients.
func full(t *testing.T, access redistest.Access) (s *redistest.Server, release func()) {
	s = redistest.StartWith(t, access, append(slices.Clone(sound), "maxclients 20")...)
	s.Do("PING") // a connection for the operator
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

// trust are the flags of a client that has certificates.
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
