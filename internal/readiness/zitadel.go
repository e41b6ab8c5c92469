package readiness

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/cloakroom-dev/cloakroom/upstream/news"
)

// ZITADEL is the one whose sessions are cached.
type ZITADEL struct {
	Client *upstream.Client
	News   *news.Follower
	// MaxAge is how long copies answer without news.
	MaxAge time.Duration
	// Events says that ZITADEL may send its events by itself.
	Events bool
}

// parts says how it and its news are. It asks nobody.
func (z *ZITADEL) parts(now time.Time) []Part {
	all := []Part{zitadelPart(z.Client.State(), now), z.newsPart()}
	if z.Events { // who has had none may be one of several processes, or have a quiet night
		all = append(all, Part{"events", Good, z.News.SentText(now), ""})
	}
	return all
}

func zitadelPart(s upstream.State, now time.Time) Part {
	p := Part{"zitadel", Good, s.Text(now), ""}
	switch {
	case s.Away:
		p.Do = "Mend ZITADEL or the way to it; `cloakroom upstream status` says more. Do not restart Cloakroom, and do not empty Redis: its copies answer, and it finds out by itself when ZITADEL is back."
	case s.Refused != "":
		p.Do = "Look at the account in ZITADEL's console: unlock it, or put a new token or key into the file of --upstream-token-file, which is read again within five seconds."
	case s.Pause > 0:
		p.Do = "Raise the limit of calls for this account at ZITADEL, or ask less: let Cloakroom follow events, and raise --upstream-max-age."
	}
	if p.Do != "" {
		p.State = Bad
	}
	return p
}

func (z *ZITADEL) newsPart() Part {
	p := Part{"news", Good, z.News.Text(z.MaxAge), ""}
	state, last := z.News.State(), z.News.Store.LastNews()
	switch {
	case state.Forbidden:
		p.Do = "Make the account an IAM_OWNER at ZITADEL. If you do not want news, set --upstream-poll=0."
	case state.Fault != "":
		p.Do = "Run `cloakroom upstream status`: it says what is wrong. Until then copies answer for --upstream-max-age only."
	case last == nil && z.News.Every == 0: // nobody wants any
	case last == nil || z.News.Store.Now().Sub(last.Proven) >= z.MaxAge:
		p.Do = "Wait a few seconds after a start. If it stays, no process searches for events: run `cloakroom upstream status`."
	}
	if p.Do != "" {
		p.State = Warn
	}
	return p
}
