// Package logs makes the log of the program, which leaves out most of many lines that say
// the same.
package logs

import (
	"io"
	"log/slog"
)

// New returns the program's log, to w, and what leaves lines out of it.
// level and format are valid settings.
func New(w io.Writer, level slog.Level, format string) (*slog.Logger, *Sampler) {
	s := newSampler(newLogHandler(w, level, format))
	return slog.New(s), s
}

func newLogHandler(w io.Writer, level slog.Level, format string) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == "text" {
		return slog.NewTextHandler(w, o)
	}
	return slog.NewJSONHandler(w, o)
}
