package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
)

// upstreamState returns what says how the ZITADEL and its news do, nil without one. It asks nobody.
func (s *sidecar) upstreamState(store *cache.Store) func() string {
	if s.upstream == nil {
		return nil
	}
	return func() string {
		return "zitadel: " + zitadelState(s.upstream.State(), time.Now()) + "\n" +
			"news: " + newsState(s.news.State(), store, s.c.Upstream.Poll, s.c.Upstream.MaxAge) + "\n"
	}
}

// zitadelState says how a ZITADEL does, by the calls until now.
func zitadelState(s upstream.State, now time.Time) string {
	served := "has not been asked yet"
	if !s.Served.IsZero() {
		served = fmt.Sprintf("answers; its last answer is to a call %s ago", plainAge(now.Sub(s.Served)))
	}
	switch {
	case s.Away && s.Served.IsZero():
		return "away: " + s.Fault + "; it has not answered yet"
	case s.Away:
		return fmt.Sprintf("away: %s; its last answer is to a call %s ago", s.Fault, plainAge(now.Sub(s.Served)))
	case s.Refused != "":
		return "our account is refused: " + s.Refused
	case s.Pause > 0:
		return fmt.Sprintf("asks for no calls of our account for %s", plainAge(s.Pause))
	}
	return served
}

// newsState says how the news of a ZITADEL do, as far as this process knows.
func newsState(s news.State, store *cache.Store, poll, maxAge time.Duration) string {
	const short = "copies answer for --upstream-max-age"
	n := store.LastNews()
	known, age := "nothing is known yet", time.Duration(0)
	if n != nil {
		age = store.Now().Sub(n.Proven)
		known = fmt.Sprintf("known up to %s ago", plainAge(age))
	}
	// A search that fails is told by the process that makes it alone; the others see that what is known gets old.
	if n == nil || age >= maxAge {
		known += ": " + short
	}
	switch fault := strings.TrimPrefix(s.Fault, upstream.ErrUnavailable.Error()+": "); {
	case poll == 0 && n == nil:
		return "off (--upstream-poll is 0): " + short
	case poll == 0:
		return known + "; another process searches, this one does not (--upstream-poll is 0)"
	case s.Forbidden:
		return "forbidden: " + fault + "; " + known
	case fault != "":
		return "the last search failed: " + fault + "; " + known
	case s.Leads:
		return known + "; this process searches, for all"
	case n != nil:
		return known + "; another process searches"
	}
	return known
}

// plainAge is a duration for people.
func plainAge(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
