package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// askTimeout bounds a question to a server that may be paused or down.
const askTimeout = 5 * time.Second

// away says that the server is down or paused.
func (s *Server) away() bool { return s.proc == nil || s.paused }

// admin returns a client of the server over its unix socket, which needs no TLS, for the fixture's own questions.
func (s *Server) admin() *redis.Client {
	if s.asks == nil {
		s.asks = s.Client(s.t, func(o *redis.Options) {
			o.Network, o.Addr, o.TLSConfig = "unix", s.Socket, nil
			o.Protocol = 2 // whose replies have the same form for every version
			o.ReadTimeout = askTimeout
		})
	}
	return s.asks
}

// ask has the server do a command.
func (s *Server) ask(words ...any) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	return s.admin().Do(ctx, words...).Result()
}

// Do has the server do a command, as its administrator, and returns the reply; the test fails if it is an error.
func (s *Server) Do(words ...any) any {
	s.t.Helper()
	reply, err := s.ask(words...)
	if err != nil {
		s.t.Fatalf("redistest: %v: %v", words, err)
	}
	return reply
}

// info returns a section of INFO, or what CLUSTER INFO says: its lines by name.
func (s *Server) info(words ...any) (map[string]string, error) {
	reply, err := s.ask(words...)
	if err != nil {
		return nil, err
	}
	text, _ := reply.(string)
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields, nil
}

// wait polls until f has no fault to tell. After timeout the test fails with the last one.
func wait(t testing.TB, what string, timeout time.Duration, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("redistest: %s: not within %v: %v", what, timeout, err)
		}
		<-tick.C
	}
}

// CutClients closes the connections of all clients but the fixture's own, as the server.
func (s *Server) CutClients() {
	s.t.Helper()
	s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
}

// Calls returns how often the server has run a command since it started, or since CONFIG RESETSTAT.
func (s *Server) Calls(command string) (n int) {
	s.t.Helper()
	stats, err := s.info("INFO", "commandstats")
	if err != nil {
		s.t.Fatal(err)
	}
	if line, ok := stats["cmdstat_"+command]; ok {
		if _, err := fmt.Sscanf(line, "calls=%d,", &n); err != nil {
			s.t.Fatalf("redistest: %q: %v", line, err)
		}
	}
	return n
}
