package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// What is no success is either refused for good, or unavailable; and that says whether a deletion may have happened.
func TestDelete_AndListAsOurs(t *testing.T) {
	t.Parallel()
	problem := func(status int) exchange {
		return exchange{Status: status, Headers: [][2]string{{"Content-Type", "application/json"}}, Body: `{"code":"x","message":"No (AUTH-5mWD2)"}`}
	}
	for name, c := range map[string]struct {
		answer  exchange
		refused string
		unknown bool // whether it has happened
		wait    time.Duration
	}{
		"403":              {answer: problem(403), refused: "zitadel refuses it: it answered 403 (AUTH-5mWD2)"},
		"404":              {answer: problem(404), refused: "zitadel refuses it: it answered 404 (AUTH-5mWD2)"},
		"no ID":            {answer: exchange{Status: 400, Headers: problem(400).Headers, Body: `{"code":"invalid_argument","message":"no"}`}, refused: "zitadel refuses it: it answered 400"},
		"401":              {answer: problem(401)},
		"429":              {answer: problem(429), wait: time.Second},
		"500":              {answer: problem(500), unknown: true},
		"503":              {answer: problem(503), unknown: true},
		"a proxy's 403":    {answer: exchange{Status: 403, Body: "<html>"}, unknown: true},
		"a proxy's 200":    {answer: exchange{Status: 200, Body: "<html>"}, unknown: true},
		"a proxy's 302":    {answer: exchange{Status: 302}, unknown: true},
		"something better": {answer: exchange{Status: 204}, unknown: true},
	} {
		s := serve(t, c.answer.handler)
		for call, do := range map[string]func(*upstream.Client) error{
			"delete": func(u *upstream.Client) error { return u.Delete(t.Context(), "1") },
			"list":   func(u *upstream.Client) error { _, err := u.List(t.Context(), []byte(`{}`)); return err },
		} {
			err := do(ask(t, s.URL).Client)
			var refused *upstream.RefusedError
			var later *upstream.RetryLaterError
			switch {
			case err == nil || errors.As(err, &refused) != (c.refused != "") || errors.Is(err, upstream.ErrUnavailable) == (c.refused != ""):
				t.Errorf("%s, %s: %v", name, call, err)
			case c.refused != "" && err.Error() != c.refused:
				t.Errorf("%s, %s: %q, want %q", name, call, err, c.refused)
			case errors.As(err, &later) != (c.wait > 0) || c.wait > 0 && later.After != c.wait:
				t.Errorf("%s, %s: %v, want to wait %v", name, call, err, c.wait)
			case upstream.MayHaveHappened(err) != (c.unknown && call == "delete"): // a read changes nothing
				t.Errorf("%s, %s: it may have happened: %v", name, call, upstream.MayHaveHappened(err))
			case strings.Contains(err.Error(), "html"):
				t.Errorf("%s, %s: %v repeats the answer (I6)", name, call, err)
			}
		}
	}
	deleted := serve(t, recorded(t, "connect v2 delete").handler)
	if err := ask(t, deleted.URL).Delete(t.Context(), "1"); err != nil || deleted.requests("")[0].body != `{"sessionId":"1"}` {
		t.Errorf("%v %+v", err, deleted.requests(""))
	}
	if err := ask(t, deleted.URL).Delete(t.Context(), "a/b"); !errors.As(err, new(*session.InvalidError)) {
		t.Error(err)
	}
}

// A list has every session with its ID, whether it can be read or not.
func TestList(t *testing.T) {
	t.Parallel()
	var body atomic.Pointer[string]
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, *body.Load())
	})
	c := ask(t, s.URL)
	list := func(text string) (*upstream.Page, error) {
		body.Store(&text)
		return c.List(t.Context(), []byte(`{}`))
	}
	p, err := list(`{"details":{"totalResult":"7"},"sessions":[{"id":"1","creationDate":"2026-01-01T00:00:00Z","factors":{"user":{"id":"u"}}},{"id":"2","creationDate":5},{"id":"3","new":1}]}`)
	if err != nil || p.Total != 7 || len(p.Sessions) != 3 || p.Sessions[0].ID != "1" || p.Sessions[0].Decoded.Factors.User.ID != "u" ||
		p.Sessions[1].ID != "2" || p.Sessions[1].Decoded != nil || p.Sessions[2].Decoded == nil {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := list(`{}`); err != nil || len(p.Sessions) != 0 || p.Total != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, text := range []string{``, `[]`, `{"sessions":7}`, `{"sessions":[7]}`, `{"details":{"totalResult":"x"}}`} {
		if _, err := list(text); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
