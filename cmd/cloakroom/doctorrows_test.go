package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
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
