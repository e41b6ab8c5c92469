package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
)

// Copies says which copies of a ZITADEL's sessions to look at.
type Copies struct {
	// Status reads what Redis has of them.
	Status func(context.Context) (*cache.UpstreamStatus, error)
	// MaxAge, MaxAgeProven and Poll are as serve has them.
	MaxAge, MaxAgeProven, Poll time.Duration
}

// ExamineCopies says how many copies there are, and how the news of them do.
func ExamineCopies(ctx context.Context, c Copies, tell func(Finding)) {
	say := func(check string, f Finding) {
		f.Check, f.Section = check, "copies"
		tell(f)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	s, err := c.Status(ctx)
	if err == nil && s == nil {
		err = errors.New("nothing was read")
	}
	if err != nil {
		say("redis", fail("Redis does not tell: "+plain(err)))
		return
	}
	say("stored", ok("%d, of which %d have ended", s.Stored, s.Due))
	say("news", c.news(s))
	switch {
	case s.Leader != "":
		say("leader", ok("process %s searches for events, for all: the one whose cloakroom_upstream_news_leads is 1", s.Leader))
	case c.Poll == 0:
		say("leader", ok("none, as --upstream-poll is 0"))
	default:
		say("leader", warn("none: no process searches for events. No cloakroom serve runs with this --redis-key-prefix and --upstream-poll above 0, or its account may not search: see events below"))
	}
}

// news says how the news do, by their record.
func (c *Copies) news(s *cache.UpstreamStatus) Finding {
	short := "copies answer for --upstream-max-age, " + plainDuration(c.MaxAge) + ", only"
	age := s.Age.Round(time.Second)
	switch {
	case s.News == nil && c.Poll == 0:
		return ok("none, as --upstream-poll is 0: %s", short)
	case s.News == nil:
		return warn("none are recorded: no search has gone well for an hour, or ever; " + short)
	case !s.Here:
		return warn(fmt.Sprintf("known up to %v ago, for another Redis than this one: they begin anew; %s", age, short))
	case s.Age >= c.MaxAge:
		return warn(fmt.Sprintf("known up to %v ago, which is too long: %s", age, short))
	}
	return ok("known up to %v ago, for copies from %s on: these answer for --upstream-max-age-proven, %s",
		age, s.News.From.Std().UTC().Format(time.RFC3339), plainDuration(c.MaxAgeProven))
}
