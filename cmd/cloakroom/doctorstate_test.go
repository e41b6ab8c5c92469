package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

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
		eventually.Holds(t, "the replicas", func() bool { return strings.Count(fmt.Sprint(master.Do("INFO", "replication")), "state=online") == n })
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
			eventually.Holds(t, "eviction", func() bool {
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
				eventually.Holds(t, "the sweep", func() bool { return fmt.Sprint(s.Do("ZCARD", space.Catalogue(0))) == "0" })
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
			eventually.Holds(t, "the failure", func() bool { return field(s, "rdb_last_bgsave_status") == "err" })
			r := consult(t, at(s)) // the other checks go on, and nobody asks whether it is a Redis
			if text := r.String(); !strings.Contains(text, "MISCONF") || !strings.Contains(text, "latency") || !strings.Contains(text, "ok login") || strings.Contains(text, "is it a Redis") {
				t.Error(text)
			}
			return at(s), func(t *testing.T, _ string) []string {
				back()
				s.Do("BGSAVE")
				eventually.Holds(t, "the snapshot", func() bool { return field(s, "rdb_last_bgsave_status") == "ok" })
				return nil
			}
		}},
		{"its log says why: mend that, then BGREWRITEAOF", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "enable-protected-configs yes", "auto-aof-rewrite-percentage 0")
			back := nowhere(t, s)
			_, _ = s.Client(t).BgRewriteAOF(t.Context()).Result() // fails
			eventually.Holds(t, "the failure", func() bool { return field(s, "aof_last_bgrewrite_status") == "err" })
			return at(s), func(t *testing.T, _ string) []string {
				back()
				s.Do("BGREWRITEAOF")
				eventually.Holds(t, "the rewrite", func() bool { return field(s, "aof_last_bgrewrite_status") == "ok" })
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
			eventually.Holds(t, "the failure", func() bool { return field(s, "aof_last_write_status") == "err" })
			if text := consult(t, at(s)).String(); !strings.Contains(text, "No space left on device") {
				t.Errorf("the reason is not told:\n%s", text)
			}
			return at(s), func(t *testing.T, _ string) []string {
				s.Do("BGREWRITEAOF")
				eventually.Holds(t, "a write", func() bool {
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
			loads := s.Client(t)
			done := make(chan error, 1)
			go func() { done <- loads.Do(context.Background(), "DEBUG", "RELOAD").Err() }()
			admin := s.Client(t)
			eventually.Holds(t, "LOADING", func() bool { return redis.HasErrorPrefix(admin.Ping(t.Context()).Err(), "LOADING") })
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
			hangs := s.Client(t)
			done := make(chan error, 1)
			go func() { done <- hangs.Eval(context.Background(), "while true do end", nil).Err() }()
			admin := s.Client(t)
			eventually.Holds(t, "BUSY", func() bool { return redis.HasErrorPrefix(admin.Ping(t.Context()).Err(), "BUSY") })
			return at(s), func(t *testing.T, _ string) []string {
				s.Do("SCRIPT", "KILL")
				<-done
				return nil
			}
		}},
		{"if that lasts, its log says why; repl-backlog-size", func(t *testing.T) ([]string, follow) {
			s := soundServer(t, "repl-diskless-sync yes", "repl-diskless-sync-delay 3600")
			replicaOf(t, s)
			eventually.Holds(t, "the replica", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "state=wait_bgsave") })
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
			eventually.Holds(t, "an acknowledgement", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "lag=0") })
			r.Pause()
			for range 20 {
				s.Do("SET", "other", strings.Repeat("x", 1<<20))
			}
			return at(s), func(t *testing.T, _ string) []string {
				r.Resume()
				if n := s.Do("WAIT", 1, 3000); fmt.Sprint(n) != "1" {
					t.Errorf("the replica did not catch up: %v", n)
				}
				eventually.Holds(t, "an acknowledgement", func() bool { return strings.Contains(fmt.Sprint(s.Do("INFO", "replication")), "lag=0") })
				return nil
			}
		}},
	}
}
