package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

type follow = func(t *testing.T, fix string) []string

// consultations are the advices, each with a state that it is for.
func consultations() []consultation {
	return slices.Concat(settingRows(), reachRows(), tlsRows(), accessRows(), stateRows(), kindRows(), sentinelRows(), clusterRows(), issuerRows(), zitadelRows())
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

// say opens a connection that sends some commands and stays until the test ends.
func say(t *testing.T, s *redistest.Server, words string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, words); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it was taken
		t.Fatal(err)
	}
	return conn
}

func settingRows() []consultation {
	return []consultation{
		changed("CONFIG SET maxmemory-policy", "CONFIG SET maxmemory-policy allkeys-lru"),
		changed("CONFIG SET maxmemory", "CONFIG SET maxmemory 1mb"),
		{"CONFIG SET appendonly", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "appendonly no")
			return at(s), func(t *testing.T, fix string) []string {
				obey(s, fix)
				eventually.Holds(t, "the first file", func() bool {
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
		{"CONFIG SET tracking-table-max-keys", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "tracking-table-max-keys 10")
			words := "HELLO 3\r\nCLIENT TRACKING ON\r\n"
			for i := range 9 {
				words += fmt.Sprintf("GET key%d\r\n", i)
			}
			say(t, s, words)
			eventually.Holds(t, "nine keys are tracked", func() bool { return field(s, "tracking_total_keys") == "9" })
			return at(s, "--near-cache-tracking=keys"), func(_ *testing.T, fix string) []string { obey(s, fix); return nil }
		}},
		{"--near-cache-tracking=keys", func(t *testing.T) ([]string, follow) {
			s := soundServer(t)
			var all []net.Conn
			for range 20 {
				all = append(all, say(t, s, "HELLO 3\r\nCLIENT SETNAME cloakroom-invalidation\r\nCLIENT TRACKING ON BCAST\r\n"))
			}
			eventually.Holds(t, "all are told", func() bool { return field(s, "tracking_clients") == "20" })
			return at(s), func(t *testing.T, _ string) []string {
				for _, conn := range all {
					if _, err := io.WriteString(conn, "CLIENT TRACKING OFF\r\nCLIENT TRACKING ON\r\n"); err != nil {
						t.Fatal(err)
					}
				}
				eventually.Holds(t, "none is told of all", func() bool { return !strings.Contains(fmt.Sprint(s.Do("CLIENT", "LIST")), "flags=tB") })
				return nil
			}
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
