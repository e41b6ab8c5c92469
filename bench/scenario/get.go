package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// getter asks for sessions by ID.
type getter struct {
	data    Dataset
	pick    func() int
	request pattern
	id      pattern // "id":"…", as the answer must have it
	at      place   // of id
	current int
}

func newGetter(c Config, pick func() int) *getter {
	id := sessionPrefix + places(sessionDigits)
	return &getter{
		data:    c.Data,
		pick:    pick,
		request: newPattern(c.Get(SessionPath + id)),
		id:      newPattern([]byte(`"id":"` + id + `"`)),
	}
}

func (g *getter) Next(b []byte) ([]byte, int) {
	g.current = g.pick()
	g.request.put(g.current)
	return append(b, g.request.bytes...), 200
}

func (g *getter) Check(a *load.Answer) error {
	g.id.put(g.current)
	if g.at.find(a.Body, g.id.bytes) < 0 {
		return fmt.Errorf("session %s is not in the answer: %.200s", SessionID(g.current), a.Body)
	}
	return nil
}

func (g *getter) Deep() func([]byte) error {
	d, i := g.data, g.current
	return func(body []byte) error {
		var got struct{ Session SessionJSON }
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		return got.Session.isSession(d, i)
	}
}

func (g *getter) Lost() {}

// SessionJSON is what is checked of a session in an answer.
type SessionJSON struct {
	ID             string
	CreationDate   string
	ExpirationDate string
	Sequence       string
	Factors        struct {
		User     struct{ ID, OrganizationID string }
		Password struct{ VerifiedAt string }
	}
	UserAgent struct{ FingerprintID string }
}

// isSession says how s differs from session i of the dataset.
func (s *SessionJSON) isSession(d Dataset, i int) error {
	user := d.userOf(i)
	switch {
	case s.ID != SessionID(i):
		return fmt.Errorf("session %s instead of %s", s.ID, SessionID(i))
	case s.Factors.User.ID != UserID(user):
		return fmt.Errorf("session %s of user %s, not %s", s.ID, s.Factors.User.ID, UserID(user))
	case s.UserAgent.FingerprintID != d.fingerprint(user, d.device(i)):
		return fmt.Errorf("session %s on another device", s.ID)
	case s.Sequence != "4" || s.Factors.Password.VerifiedAt == "":
		return fmt.Errorf("session %s has another sequence, or no password factor", s.ID)
	}
	return errors.Join(sameDate(s.ID, "creationDate", s.CreationDate, d.Created(i)), sameDate(s.ID, "expirationDate", s.ExpirationDate, d.expires(i)))
}

type getHot struct{ Config }

// newGetHot gets sessions, some of them much more often than others.
func newGetHot(c Config) load.Scenario { return getHot{c} }

func (s getHot) Client(_ int, r *rand.Rand) load.Client {
	z := newZipf(s.Data.Sessions, s.Zipf, r)
	return newGetter(s.Config, func() int { return spread(z.next(), s.Data.Sessions) })
}

type coldStart struct {
	Config
	asked *atomic.Int64
}

// newColdStart gets each session once, so that no near cache can have it.
func newColdStart(c Config) load.Scenario { return coldStart{c, new(atomic.Int64)} }

func (s coldStart) Client(int, *rand.Rand) load.Client {
	return newGetter(s.Config, func() int {
		return spread(int(s.asked.Add(1)-1)%s.Data.Sessions, s.Data.Sessions)
	})
}

// Invalid says whether sessions were asked for twice.
func (s coldStart) Invalid() string {
	if n := s.asked.Load(); n > int64(s.Data.Sessions) {
		return fmt.Sprintf("%d gets of %d sessions: the near cache may have had some", n, s.Data.Sessions)
	}
	return ""
}
