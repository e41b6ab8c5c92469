package session

import (
	"math"
	"strconv"
	"time"
)

// Time is an instant in microseconds since the Unix epoch. Microseconds are
// what a sorted set's score holds exactly until the year 2255. Finer input is
// truncated towards the past.
type Time int64

const (
	// Never is the expiration date of a session that does not expire. It is
	// later than every date, so that comparisons need no special case.
	Never Time = math.MaxInt64
	// MaxScore is the first instant that a score cannot hold exactly: the
	// start of 2255. Dates from there on are refused, except for an expirationDate,
	// which is kept in the document and indexed as Never.
	MaxScore Time = 8993721600000000
)

// TimeOf truncates t to the microsecond.
func TimeOf(t time.Time) Time {
	return Time(t.Unix())*1e6 + Time(t.Nanosecond()/1e3)
}

// Std returns t as a time.Time in UTC. Never must not be asked.
func (t Time) Std() time.Time { return time.UnixMicro(int64(t)).UTC() }

// Add returns the instant d after t, truncated to the microsecond. Never stays Never.
func (t Time) Add(d time.Duration) Time {
	if t == Never {
		return Never
	}
	return t + Time(d/time.Microsecond)
}

// Sub returns the time from u to t. Neither may be Never.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t-u) * time.Microsecond }

// Score returns t as a sorted set's score: itself, or +inf from 2255 on.
func Score(t Time) string {
	switch {
	case t >= MaxScore:
		return "+inf"
	case t <= -MaxScore:
		return "-inf"
	}
	return strconv.FormatInt(int64(t), 10)
}

// TimeOfScore returns the instant that a sorted set's score stands for: Never from 2255 on.
func TimeOfScore(score float64) Time {
	if score >= float64(MaxScore) {
		return Never
	}
	return Time(score)
}
