package experiment

import (
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// login is a session that was created here, to be ended here.
type login struct {
	here  *scenario.Caller
	path  string
	token string
}

// logIn creates the session that body says.
func logIn(here *scenario.Caller, body string) (*login, error) {
	a, err := here.Call("POST", "/v2/sessions", body)
	if err != nil {
		return nil, err
	}
	id, token, err := scenario.CreatedSession(a.Body)
	if err != nil {
		return nil, fmt.Errorf("create: status %d: %w", a.Status, err)
	}
	return &login{here: here, path: "/v2/sessions/" + string(id), token: string(token)}, nil
}

// end deletes the session, and says when that was answered, and how long it took.
func (l *login) end() (at time.Time, took time.Duration, err error) {
	sent := time.Now()
	a, err := l.here.Call("DELETE", l.path, "{}")
	if err != nil {
		return time.Time{}, 0, err
	}
	if a.Status != 200 {
		return time.Time{}, 0, fmt.Errorf("delete: status %d: %.200s", a.Status, a.Body)
	}
	at = time.Now()
	return at, at.Sub(sent), nil
}
