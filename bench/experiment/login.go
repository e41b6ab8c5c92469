package experiment

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// login is what can be ended, and what is asked for elsewhere until it is refused.
type login struct {
	token string // that a gateway shows
	gone  int    // the status of look's answer once it has ended
	look  func(there *scenario.Caller) (*load.Answer, error)
	stop  func() (*load.Answer, error)
}

// end ends it, and says when that was answered, and how long it took.
func (l *login) end() (at time.Time, took time.Duration, err error) {
	sent := time.Now()
	a, err := l.stop()
	if err != nil {
		return time.Time{}, 0, err
	}
	if a.Status != 200 {
		return time.Time{}, 0, fmt.Errorf("the end of a login: status %d: %.200s", a.Status, a.Body)
	}
	at = time.Now()
	return at, at.Sub(sent), nil
}

// logins are of one kind.
type logins interface {
	// logIn makes login i of worker n, which is ended by here.
	logIn(here *scenario.Caller, n, i int) (*login, error)
	// copied says whether copies alone have answered a verify between two readings of a process' metrics.
	copied(before, after source.Reading) bool
}

// newLogins returns the logins that the scenario ends.
func newLogins(s *source.Source) (logins, error) {
	if !byJWT(s.Flags.Scenario) {
		return sessionLogins{}, nil
	}
	if s.Flags.Issuer == "" {
		return nil, fmt.Errorf("the scenario %s needs --issuer", s.Flags.Scenario)
	}
	i, err := issuer.Open(s.Flags.Issuer)
	if err != nil {
		return nil, err
	}
	if err := issuer.CheckAlgorithm(s.Flags.Algorithm); err != nil {
		return nil, fmt.Errorf("--jwt-alg: %w", err)
	}
	l := &jwtLogins{issuer: i, algorithm: s.Flags.Algorithm}
	l.next.Store(time.Now().Unix() % 1e6 * 1e6) // an end is kept: names of an earlier run have ended
	return l, nil
}

// sessionLogins are sessions, which are deleted.
type sessionLogins struct{}

func (sessionLogins) logIn(here *scenario.Caller, n, i int) (*login, error) {
	body := fmt.Sprintf(`{"checks":{"user":{"userId":"%s%05d%06d"}},"factors":{"user":{"loginName":"visitor@nordwind.example"},"password":{}},"lifetime":"3600s"}`, logoutUser, n, i)
	a, err := here.Call("POST", "/v2/sessions", body)
	if err != nil {
		return nil, err
	}
	id, token, err := scenario.CreatedSession(a.Body)
	if err != nil {
		return nil, fmt.Errorf("create: status %d: %w", a.Status, err)
	}
	path := scenario.SessionPath + string(id)
	return &login{
		token: string(token), gone: 404,
		look: func(there *scenario.Caller) (*load.Answer, error) { return there.Call("GET", path, "") },
		stop: func() (*load.Answer, error) { return here.Call("DELETE", path, "{}") },
	}, nil
}

func (sessionLogins) copied(before, after source.Reading) bool {
	const hits = `cloakroom_near_hits_total{kind="session"}`
	return after[hits] > before[hits]
}

// jwtLogins are JWTs, whose issuer sends a logout token for each.
type jwtLogins struct {
	issuer    *issuer.Issuer
	algorithm string
	next      atomic.Int64
}

// jwtLifetime is how long the JWTs of logins are good: longer than a logout may take.
const jwtLifetime = time.Hour

func (l *jwtLogins) logIn(here *scenario.Caller, _, _ int) (*login, error) {
	n := int(l.next.Add(1))
	token, err := l.issuer.AccessToken(l.algorithm, n, time.Now(), jwtLifetime)
	if err != nil {
		return nil, err
	}
	logout, err := l.issuer.LogoutToken(l.algorithm, n, time.Now())
	if err != nil {
		return nil, err
	}
	return &login{
		token: token, gone: 401,
		look: func(there *scenario.Caller) (*load.Answer, error) {
			there.Config.Key = token
			return there.Call("GET", scenario.VerifyPath, "")
		},
		stop: func() (*load.Answer, error) { return here.PostForm("/backchannel-logout", "logout_token="+logout) },
	}, nil
}

func (*jwtLogins) copied(before, after source.Reading) bool {
	const reads, linkReads, up = "cloakroom_batch_calls_total", `cloakroom_near_link_reads_total{answered="true"}`, "cloakroom_near_link_up"
	return before[up] == 1 && after[up] == 1 && after[reads] == before[reads] && after[linkReads] == before[linkReads]
}
