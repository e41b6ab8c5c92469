package redisconn

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// serverLog takes the output of the embedded server to our log, line by line,
// and remembers the last lines. What the server says while it starts and stops
// is debug information; in between it is a warning.
type serverLog struct {
	log *slog.Logger

	mu   sync.Mutex
	loud bool   // started, and not stopping
	part []byte // of a line
	last []string
}

const (
	keptLines = 5
	maxLine   = 1000
)

// Write takes a piece of output. It never fails.
func (s *serverLog) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.part = append(s.part, p...)
	for {
		end := bytes.IndexByte(s.part, '\n')
		if end < 0 && len(s.part) < maxLine {
			return len(p), nil
		}
		line := s.part
		if end >= 0 {
			line = s.part[:end]
		}
		s.line(strings.TrimSpace(string(line)))
		s.part = s.part[min(len(line)+1, len(s.part)):]
	}
}

func (s *serverLog) line(line string) {
	if line == "" {
		return
	}
	level := slog.LevelDebug
	if s.loud {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "embedded redis says", "line", line)
	s.last = append(s.last, line)
	if len(s.last) > keptLines {
		s.last = s.last[1:]
	}
}

// warn says whether what the server says from now on is a warning.
func (s *serverLog) warn(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loud = on
}

// tail returns the last lines for an error, or "".
func (s *serverLog) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.last) == 0 {
		return ""
	}
	return "; it said: " + strings.Join(s.last, " / ")
}
