package storetest

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

// Few users and agents, so that searches hit; one of each is hard to spell.
var (
	users  = []string{"u0", "u1", "}{: ü\x00"}
	agents = []string{"a0", "a1", "0123456789abcdef0123456789abcdef"}
)

// putInitial stores sessions on several goroutines. They come from one drawn seed.
func (p *property) putInitial(t *rapid.T) {
	if p.Initial == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	sessions := make([]*session.Session, 0, p.Initial)
	for _, i := range rng.Perm(p.ids)[:p.Initial] {
		s := New(number(i), p.start, Created(p.start+session.Time(rng.IntN(200))), Creator("c"+strconv.Itoa(rng.IntN(2))))
		if rng.IntN(8) > 0 {
			User(users[rng.IntN(len(users))], "o"+strconv.Itoa(rng.IntN(2)))(s)
		}
		if rng.IntN(8) > 0 {
			Agent(agents[rng.IntN(len(agents))])(s)
		}
		if rng.IntN(2) > 0 {
			s.ExpirationDate = session.Never
		} else {
			s.ExpirationDate += session.Time(rng.IntN(300)) * 60e6
		}
		sessions = append(sessions, s)
	}
	for _, store := range []Store{p.Store, p.model} {
		if err := putAll(p.ctx, store, sessions); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *property) id(t *rapid.T) session.ID {
	return nth(rapid.IntRange(0, p.ids-1).Draw(t, "id"))
}

// nth is the ID of a session; JWTs may name one in eight.
func nth(i int) session.ID {
	if i%8 == 7 {
		return jwtPrefix + number(i)
	}
	return number(i)
}

// live reads one of the sessions that are there, if there is one.
func (p *property) live(t *rapid.T) (pair, bool) {
	from := rapid.IntRange(0, p.ids-1).Draw(t, "live")
	for i := range p.ids {
		id := nth((from + i) % p.ids)
		if _, err := p.model.Get(p.ctx, id); err == nil {
			v, err := p.read(t, id)
			return v, err == nil
		}
	}
	return pair{}, false
}

func (p *property) stale(t *rapid.T) (pair, bool) {
	id := p.id(t)
	for i := range p.ids {
		if versions := p.seen[number(i)]; number(i) >= id && len(versions) > 0 {
			return versions[rapid.IntRange(0, len(versions)-1).Draw(t, "version")], true
		}
	}
	return pair{}, false
}

// session draws a session of anybody's.
func (p *property) session(t *rapid.T, id session.ID) *session.Session {
	now := p.Clock.Now()
	s := New(id, now, Creator(rapid.SampledFrom([]string{"c0", "c1", "u0", ""}).Draw(t, "creator")))
	switch rapid.IntRange(0, 3).Draw(t, "created") {
	case 0:
		Created(p.start + session.Time(rapid.IntRange(0, 9).Draw(t, "micros")))(s)
	case 1:
		Created(p.start.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "hours")) * time.Hour))(s)
	}
	if user := rapid.SampledFrom(append(users, "")).Draw(t, "user"); user != "" {
		User(user, rapid.SampledFrom([]string{"o0", "o1", ""}).Draw(t, "org"))(s)
	}
	if agent := rapid.SampledFrom(append(agents, "")).Draw(t, "agent"); agent != "" {
		Agent(agent)(s)
	}
	p.expires(t, s)
	p.issue(t, s)
	return s
}

func (p *property) expires(t *rapid.T, s *session.Session) {
	now := p.Clock.Now()
	switch rapid.IntRange(0, 6).Draw(t, "expires") {
	case 0:
		s.ExpirationDate = session.Never
	case 1:
		s.ExpirationDate = session.MaxScore + session.Time(rapid.IntRange(-1, 2).Draw(t, "2255"))
	case 2:
		s.ExpirationDate = now + 1
	default:
		s.ExpirationDate = now.Add(time.Duration(rapid.IntRange(1, 12).Draw(t, "minutes")) * time.Minute)
	}
}

func (p *property) issue(t *rapid.T, s *session.Session) {
	s.Token, s.TokenForeign = session.TokenHash{}, false
	switch rapid.IntRange(0, 3).Draw(t, "token") {
	case 0:
		token, hash := session.NewToken(s.ID)
		p.tokens = append(p.tokens, token)
		s.Token = hash
	case 1:
		token := "foreign" + strconv.Itoa(rapid.IntRange(0, 4).Draw(t, "foreign"))
		p.tokens = append(p.tokens, token)
		ForeignToken(token)(s)
	}
	if len(p.tokens) > 30 {
		p.tokens = slices.Delete(p.tokens, 0, 10)
	}
}
