package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache/near"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
)

// A key that may not see all sessions is not told how many there are, where Redis is, nor the texts of errors; all else is the same.
func TestAnswer_OfTheWholeInstanceOnlyForThoseWhoSeeIt(t *testing.T) {
	p := newProgram(t, false)
	p.near = near.Stats{On: true, State: "on", Masters: []near.MasterStats{{Address: "10.9.8.7:6379", Linked: true}, {Address: "10.9.8.6:6379"}}}
	p.near.Sessions.Entries = 54321
	p.health = func(context.Context) []readiness.Part {
		return []readiness.Part{
			{Name: "redis", State: readiness.Bad, Says: "dial tcp 10.9.8.7:6379: refused", Do: "Mend Redis."},
			{Name: "sweep backlog", State: readiness.Warn, Says: "98765 ended sessions wait"},
			{Name: "master", State: readiness.Good, Says: "10.9.8.7:6379 is the master"},
		}
	}
	counted := false
	p.expiries = func(context.Context) (*index.Expiries, error) {
		if counted {
			return nil, errors.New("dial tcp 10.9.8.7:6379: timeout")
		}
		counted = true
		return &index.Expiries{Never: 77777}, nil
	}
	whileRunning(t, p, func(l *Live, pass func(int)) {
		for range 3 {
			l.Answer(-1, true)
			pass(6)
		}
		whole, limited := l.Answer(-1, true), l.Answer(-1, false)
		for _, secret := range []string{"10.9.8.7", "10.9.8.6", "54321", "98765", "77777", "dial tcp", `"sessions":[`, `"ended":[`, `"near.bytes":[`} {
			if !bytes.Contains(whole, []byte(secret)) {
				t.Errorf("no %s in %s", secret, whole)
			}
			if bytes.Contains(limited, []byte(secret)) {
				t.Errorf("%s in %s", secret, limited)
			}
		}
		for _, want := range []string{`"sessions":null`, `"address":"master 2"`, `"part":"redis","state":"bad","says":"requests are refused; only`, `"do":"Mend Redis."`, `"says":"works"`, `"requests.2xx":[`, `"near.hit_rate":[`} {
			if !bytes.Contains(limited, []byte(want)) {
				t.Errorf("no %s in %s", want, limited)
			}
		}
		if !json.Valid(limited) || bytes.Equal(l.AnswerGzip(-1, true), l.AnswerGzip(-1, false)) {
			t.Errorf("got %s", limited)
		}
	})
}
