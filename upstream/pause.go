package upstream

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// maxPause bounds how long calls are not made because ZITADEL has asked for that.
	maxPause = time.Minute
	// shortPause is how long they are not where it has said 429 and not for how long.
	shortPause = time.Second
)

// pauses are times in which calls are not made, because ZITADEL has said so with 429 or 503.
//
// 429 is said to one caller: if it is us, no call is made with our credentials, and if it is a caller,
// that caller is told, and nobody else waits for it. 503 with Retry-After is said to all: no call is
// made.
type pauses struct{ ours, all atomic.Int64 } // Unix time in nanoseconds when they end

// note takes an answer to a call with our credentials, or with others.
func (p *pauses) note(a *Answer, ours bool, now time.Time) {
	pause := a.pause(now)
	switch {
	case pause == 0:
	case a.Status == http.StatusServiceUnavailable:
		extend(&p.all, now.Add(pause))
	case ours:
		extend(&p.ours, now.Add(pause))
	}
}

// pause is for how long an answer asks for no calls, 0 if it does not.
func (a *Answer) pause(now time.Time) time.Duration {
	asked, given := retryAfter(a.Header, now)
	switch {
	case a.Status == http.StatusTooManyRequests && !given:
		return shortPause
	case a.Status == http.StatusTooManyRequests, a.Status == http.StatusServiceUnavailable:
		return asked
	}
	return 0
}

// left is how long a call with our credentials, or with others, must wait.
func (p *pauses) left(ours bool, now time.Time) time.Duration {
	until := p.all.Load()
	if ours {
		until = max(until, p.ours.Load())
	}
	return max(time.Duration(until-now.UnixNano()), 0)
}

// extend makes a pause end no earlier than at an instant.
func extend(to *atomic.Int64, at time.Time) {
	until := at.UnixNano()
	for {
		old := to.Load()
		if old >= until || to.CompareAndSwap(old, until) {
			return
		}
	}
}

// retryAfter reads Retry-After (RFC 9110, 10.2.3): seconds, or a date. It is from 0 to maxPause.
func retryAfter(h http.Header, now time.Time) (d time.Duration, given bool) {
	text := h.Get("Retry-After")
	if text == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxPause/time.Second))) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxPause), true
}
