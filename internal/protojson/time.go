package protojson

import (
	"math"
	"time"
)

// Time reads an RFC 3339 timestamp: any offset, at most nine digits of
// fraction, from year 1 to year 9999 in UTC. The result is in UTC.
func (r *Reader) Time(dst *time.Time) error {
	raw, err := r.stringValue("must be an RFC 3339 timestamp")
	if raw == nil || err != nil {
		return err
	}
	t, ok := ParseTime(r.unquote(raw))
	if !ok {
		return r.failLast(raw, "must be an RFC 3339 timestamp of the years 0001 to 9999, with at most 9 digits of fraction")
	}
	*dst = t
	return nil
}

// Duration reads a duration in seconds such as "1.5s", with at most nine
// digits of fraction, within ±315,576,000,000 s. One that is longer than a
// time.Duration can hold, some 292 years, becomes the longest of its sign.
func (r *Reader) Duration(dst *time.Duration) error {
	raw, err := r.stringValue("must be a duration string")
	if raw == nil || err != nil {
		return err
	}
	d, ok := parseDuration(r.unquote(raw))
	if !ok {
		return r.failLast(raw, `must be a duration in seconds such as "1.5s", within ±315576000000s, with at most 9 digits of fraction`)
	}
	*dst = d
	return nil
}

// ParseTime parses an RFC 3339 timestamp as Time does. ok is false if text is
// none, or out of the range.
func ParseTime(text []byte) (t time.Time, ok bool) {
	const shape = "dddd-dd-ddTdd:dd:dd" // d is a digit
	if len(text) < len(shape)+1 {
		return time.Time{}, false
	}
	for i := range len(shape) {
		if c := text[i]; shape[i] == 'd' && (c < '0' || c > '9') || shape[i] != 'd' && c != shape[i] {
			return time.Time{}, false
		}
	}
	nanos, rest, ok := parseFraction(text[len(shape):])
	if !ok {
		return time.Time{}, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return time.Time{}, false
	}
	year, month, day := two(text)*100+two(text[2:]), two(text[5:]), two(text[8:])
	hour, minute, second := two(text[11:]), two(text[14:]), two(text[17:])
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if t.Day() != day { // the month has fewer days
		return time.Time{}, false
	}
	if offset != 0 {
		t = t.Add(-offset)
	}
	if y := t.Year(); y < 1 || y > 9999 {
		return time.Time{}, false
	}
	return t, true
}

// two reads the two digits that text begins with.
func two(text []byte) int { return int(text[0]-'0')*10 + int(text[1]-'0') }

// parseFraction reads a fraction of one to nine digits, if text begins with one.
func parseFraction(text []byte) (nanos int, rest []byte, ok bool) {
	if len(text) == 0 || text[0] != '.' {
		return 0, text, true
	}
	d, rest := digits(text[1:])
	if len(d) == 0 || len(d) > 9 {
		return 0, nil, false
	}
	for i := range 9 {
		nanos *= 10
		if i < len(d) {
			nanos += int(d[i] - '0')
		}
	}
	return nanos, rest, true
}

// parseOffset reads Z or ±hh:mm.
func parseOffset(text []byte) (offset time.Duration, ok bool) {
	if len(text) == 1 && text[0] == 'Z' {
		return 0, true
	}
	if len(text) != 6 || text[0] != '+' && text[0] != '-' || text[3] != ':' {
		return 0, false
	}
	for _, i := range [...]int{1, 2, 4, 5} {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	hours, minutes := two(text[1:]), two(text[4:])
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	offset = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// maxSeconds is the range of a proto Duration.
const maxSeconds = 315_576_000_000

func parseDuration(text []byte) (time.Duration, bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	whole, rest := digits(text)
	nanos, rest, ok := parseFraction(rest)
	if !ok || len(whole) == 0 || len(rest) != 1 || rest[0] != 's' {
		return 0, false
	}
	seconds := int64(0)
	for _, c := range whole {
		if seconds = seconds*10 + int64(c-'0'); seconds > maxSeconds {
			return 0, false
		}
	}
	if seconds == maxSeconds && nanos > 0 {
		return 0, false
	}
	const longest, longestNanos = math.MaxInt64 / int64(time.Second), math.MaxInt64 % int64(time.Second)
	d := time.Duration(math.MaxInt64)
	if seconds < longest || seconds == longest && int64(nanos) <= longestNanos {
		d = time.Duration(seconds)*time.Second + time.Duration(nanos)
	}
	if negative {
		d = -d
	}
	return d, true
}
