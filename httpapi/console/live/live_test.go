package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
)

// Redis is asked for sessions only while somebody looks, at most every five seconds, and never by who asks for an answer.
func TestLive_CountsSessionsOnlyWhileSomebodyLooks(t *testing.T) {
	p, asked := newProgram(t, false), 0
	p.expiries = func(context.Context) (*index.Expiries, error) {
		asked++
		return &index.Expiries{Never: int64(asked)}, nil
	}
	whileRunning(t, p, func(l *Live, pass func(int)) {
		pass(60)
		if asked != 0 {
			t.Fatalf("nobody looks, and Redis was asked %d times", asked)
		}
		for second := range 60 {
			for range 10 { // pages
				l.Answer(int64(60+second), true)
			}
			pass(1)
		}
		if asked < 10 || asked > 13 {
			t.Errorf("in a minute of looking Redis was asked %d times, want every five seconds", asked)
		}
		last := asked
		pass(60)
		if asked > last+1 {
			t.Errorf("nobody looks any more, and Redis was asked %d times", asked-last)
		}
		known := fmt.Sprint(asked)
		a := read(t, l.Answer(-1, true))
		drawn := a.Series["sessions"]
		if drawn[55] != nil || drawn[115] == nil || drawn[180] != nil {
			t.Errorf("sessions are drawn as %v, %v and %v, want only while they are known", value(drawn[55]), value(drawn[115]), value(drawn[180]))
		}
		if s := a.Latest.Sessions; !s.Known || s.Live != known || s.Never != s.Live {
			t.Errorf("what was known last is gone: %+v", s)
		}
	})
}

// A Redis that hangs holds up no answer and no sample. What was known stays, with its date and the reason; then it goes on by itself.
func TestLive_RedisHangs(t *testing.T) {
	p := newProgram(t, false)
	var hangs atomic.Bool
	look := func(ctx context.Context) error {
		if hangs.Load() {
			<-ctx.Done()
			return errors.New("redis says nothing: " + strings.Repeat("x", 2*mostFault))
		}
		return nil
	}
	p.expiries = func(ctx context.Context) (*index.Expiries, error) { return &index.Expiries{Never: 7}, look(ctx) }
	p.health = func(ctx context.Context) []readiness.Part {
		if err := look(ctx); err != nil {
			return []readiness.Part{{Name: "redis", State: readiness.Bad, Says: "away", Do: "mend it"}}
		}
		return []readiness.Part{{Name: "redis", State: readiness.Good, Says: "answers"}}
	}
	whileRunning(t, p, func(l *Live, pass func(int)) {
		look := func(seconds int) *answered {
			for range seconds {
				began := time.Now()
				l.Answer(-1, true)
				if took := time.Since(began); took != 0 {
					t.Fatalf("the answer took %v", took)
				}
				pass(1)
			}
			return read(t, l.Answer(-1, true))
		}
		if a := look(1); len(a.Health) != 1 || a.Health[0].State != "good" || a.Latest.Redis.Away || a.Latest.Sessions.Live != "7" {
			t.Errorf("while all is well: %+v", a.Latest)
		}
		hangs.Store(true)
		a := look(30)
		s := a.Latest.Sessions
		if !a.Latest.Redis.Away || a.Health[0].Do != "mend it" || !strings.HasPrefix(s.Error, "redis says nothing") || len(s.Error) > mostFault {
			t.Errorf("while Redis hangs: %+v, %+v", a.Health, a.Latest)
		}
		if age := a.Now.Sub(*s.At); s.Live != "7" || !s.Known || age < 25*time.Second {
			t.Errorf("what was known is %+v, %v old", s, age)
		}
		if a.Seq != 31 || a.Series["redis.trips"][20] == nil {
			t.Errorf("there are samples up to %d", a.Seq)
		}
		hangs.Store(false)
		if a := look(10); a.Latest.Redis.Away || a.Latest.Sessions.Error != "" || a.Now.Sub(*a.Latest.Sessions.At) > 10*time.Second {
			t.Errorf("when Redis is back: %+v", a.Latest)
		}
		pass(20)
		if a := read(t, l.Answer(-1, true)); len(a.Health) != 0 {
			t.Errorf("health that was seen 20 s ago is shown as that of now: %+v", a.Health)
		}
	})
}

// Run ends with its context, also while Redis is asked. (I7)
func TestI7_RunEndsWithEverythingItStarted(t *testing.T) {
	p := newProgram(t, false)
	begun := make(chan struct{})
	p.expiries = func(ctx context.Context) (*index.Expiries, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	whileRunning(t, p, func(l *Live, _ func(int)) {
		l.Answer(-1, true)
		<-begun
	})
}
