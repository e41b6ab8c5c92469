package main

import (
	"io"
	"log/slog"
)

// newLogger returns the program's log, to w, and what leaves lines out of it.
// level and format are valid settings.
func newLogger(w io.Writer, level slog.Level, format string) (*slog.Logger, *sampler) {
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
