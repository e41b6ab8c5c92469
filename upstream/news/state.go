package news

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

// State is how the news do, as far as this process knows.
type State struct {
	// Leads says that this process searches for all.
	Leads bool
	// Fault is why the last search failed, "" if it did not; Forbidden, that our account may not search.
	Fault     string
	Forbidden bool
}

// State returns how the news do. It asks nobody.
func (f *Follower) State() State { return *f.state.Load() }

// SentText says to people, in one line, when ZITADEL has sent this process the last event.
func (f *Follower) SentText(now time.Time) string {
	last := f.lastSent.Load()
	if last == 0 {
		return "none has come to this process yet"
	}
	return fmt.Sprintf("last one %v ago", now.Sub(time.Unix(0, last)).Round(time.Second))
}

// Text says it to people, in one line. maxAge is how long copies answer without news.
func (f *Follower) Text(maxAge time.Duration) string {
	const short = "copies answer for --upstream-max-age"
	s, n := f.State(), f.Store.LastNews()
	known, age := "nothing is known yet", time.Duration(0)
	if n != nil {
		age = f.now().Sub(n.Proven)
		known = fmt.Sprintf("known up to %v ago", age.Round(time.Second))
	}
	// Only the process that searches knows of a search that has failed; the others see that what is known gets old.
	if n == nil || age >= maxAge {
		known += ": " + short
	}
	fault := strings.TrimPrefix(s.Fault, upstream.ErrUnavailable.Error()+": ")
	switch {
	case f.Every == 0 && n == nil:
		return "off (--upstream-poll is 0): " + short
	case f.Every == 0:
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
