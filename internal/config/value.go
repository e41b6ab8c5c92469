package config

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/redisconn"
)

// Value parses the value of one setting and keeps it.
type Value struct {
	// allowed says what set takes, for errors and help.
	allowed string
	// kind is the YAML tag of the value.
	kind string
	// set parses s and keeps the result if it is good. It does not say why
	// not: allowed does.
	set func(s string) bool
	// secret says that the value must not be shown as given. (I6)
	secret bool
	// file says that it is the path of a file; words are all values there are, nil if it is free.
	file  bool
	words []string
}

// Text takes a text of at most so many characters, none of them a control character.
func Text(to *string, most int) Value {
	return Value{allowed: fmt.Sprintf("text of at most %d characters", most), kind: "!!str", set: func(s string) bool {
		if utf8.RuneCountInString(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			return false
		}
		*to = s
		return true
	}}
}

// File takes the path of a file, of at most 4096 characters.
func File(to *string) Value {
	v := Text(to, 4096)
	v.file = true
	return v
}

// Input takes the path of a file, or - for the standard input. It is never shown as given: it may be the secret that
// was to be in the file. (I6)
func Input(to *string) Value {
	return Value{allowed: "- for standard input, and the path of a file", kind: "!!str", set: func(s string) bool {
		*to = s
		return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
	}, secret: true, file: true}
}

// Boolean takes true or false.
func Boolean(to *bool) Value {
	return Value{allowed: "true or false", kind: "!!bool", set: func(s string) bool {
		*to = s == "true"
		return s == "true" || s == "false"
	}}
}

// Number takes a whole number from least to most.
func Number(to *int, least, most int) Value {
	return Value{allowed: fmt.Sprintf("a whole number from %d to %d", least, most), kind: "!!int", set: func(s string) bool {
		n, err := strconv.Atoi(s)
		*to = n
		return err == nil && n >= least && n <= most
	}}
}

// rate takes a number of requests a second.
func rate(to *float64) Value {
	return Value{allowed: fmt.Sprintf("0, or a number from 0.001 to %d", caller.MaxKeyRate), kind: "!!float", set: func(s string) bool {
		n, err := strconv.ParseFloat(s, 64)
		*to = n
		return err == nil && strings.Trim(s, "0123456789.") == "" && (n == 0 || n >= 0.001 && n <= caller.MaxKeyRate)
	}}
}

func shards(to *int) Value {
	allowed := fmt.Sprintf("0, or a power of two up to %d", keys.MaxShards)
	return Value{allowed: allowed, kind: "!!int", set: func(s string) bool {
		n, err := strconv.Atoi(s)
		if err == nil && n != 0 {
			_, err = keys.NewSpace("", n)
		}
		*to = n
		return err == nil
	}}
}

func size(to *int, least, most int) Value {
	allowed := fmt.Sprintf("a number of bytes from %s to %s, plain or with B, KiB, MiB or GiB", bytesText(least), bytesText(most))
	return Value{allowed: allowed, kind: "!!str", set: func(s string) bool {
		n, ok := parseBytes(s)
		*to = n
		return ok && n >= least && n <= most
	}}
}

// parseBytes reads "16384", "256KiB", "1 MiB".
func parseBytes(s string) (int, bool) {
	unit := 1
	for _, u := range []struct {
		name  string
		bytes int
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}} {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > math.MaxInt/unit {
		return 0, false
	}
	return n * unit, true
}

func bytesText(n int) string {
	switch {
	case n == 0:
		return "0"
	case n%(1<<30) == 0:
		return strconv.Itoa(n>>30) + "GiB"
	case n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n)
}

func duration(to *time.Duration, least, most time.Duration) Value {
	allowed := fmt.Sprintf("a duration from %s to %s, such as 90s, 15m or 12h", durationText(least), durationText(most))
	return Value{allowed: allowed, kind: "!!str", set: func(s string) bool {
		d, err := time.ParseDuration(s)
		*to = d
		return err == nil && d >= least && d <= most
	}}
}

// durationText is d without the minutes and seconds that are zero.
func durationText(d time.Duration) string {
	s := d.String()
	if d%time.Minute == 0 && d > 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if d%time.Hour == 0 && d > 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func oneOf(to *string, allowed ...string) Value {
	return Value{allowed: strings.Join(allowed, " or "), kind: "!!str", set: func(s string) bool {
		*to = s
		return slices.Contains(allowed, s)
	}, words: allowed}
}

// either keeps whether the value is the first of two.
func either(isFirst *bool, first, second string) Value {
	var name string
	v := oneOf(&name, first, second)
	set := v.set
	v.set = func(s string) bool {
		*isFirst = s == first
		return set(s)
	}
	return v
}

func level(to *slog.Level) Value {
	names := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	return Value{allowed: "debug, info, warn or error", kind: "!!str", set: func(s string) bool {
		l, ok := names[s]
		*to = l
		return ok
	}, words: []string{"debug", "info", "warn", "error"}}
}

func address(to *string) Value {
	return Value{allowed: "HOST:PORT, :PORT (a number from 0 to 65535; 0 takes a free one) or unix:PATH (at most 100 bytes)", kind: "!!str", set: func(s string) bool {
		*to = s
		return listen.ValidAddress(s)
	}}
}

// optional lets a value be empty.
func optional(v Value) Value {
	set := v.set
	v.allowed += ", or empty"
	v.set = func(s string) bool { return s == "" || set(s) }
	return v
}

func redisAt(to *redisconn.URL) Value {
	return Value{allowed: redisconn.URLForms, kind: "!!str", set: func(s string) bool {
		u, ok := redisconn.ParseURL(s)
		*to = u
		return ok
	}, secret: true}
}
