package storetest

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

var endTests = []contractTest{
	{name: "a user's logins up to an instant", run: func(f *fixture) {
		l := session.Login{Session: session.EndOfSession("kc:1"), User: session.EndOfUser("kc:u"), Began: f.start, Lifetime: time.Hour}
		f.ended(l, false)
		f.end(l.User, f.start-1, f.start.Add(time.Hour))
		f.ended(l, false)
		f.end(l.User, f.start, f.start.Add(time.Hour))
		f.ended(l, true)
		l.Began++
		f.ended(l, false)
		l.Began, l.User = f.start, session.EndOfUser("kc:v")
		f.ended(l, false)
	}},
	{name: "a session, which no later login revives", run: func(f *fixture) {
		l := session.Login{Session: session.EndOfSession("kc:1"), Began: f.start.Add(time.Hour), Lifetime: time.Hour}
		f.end(l.Session, session.Never, f.start.Add(time.Hour))
		f.ended(l, true)
		f.ended(session.Login{User: session.EndOfUser("kc:1"), Began: f.start}, false)
		f.ended(session.Login{Began: f.start}, false)
	}},
	{name: "an earlier end takes nothing back", run: func(f *fixture) {
		l := session.Login{User: session.EndOfUser("kc:u"), Began: f.start, Lifetime: time.Second}
		f.end(l.User, f.start, f.start.Add(time.Hour))
		f.end(l.User, f.start-5, f.start.Add(time.Minute))
		f.ended(l, true)
		f.advance(time.Hour - time.Second)
		f.ended(l, true)
		f.advance(time.Second)
		f.ended(l, false)
		f.end(l.User, f.start, f.start.Add(time.Minute)) // its time is over
		f.ended(l, false)
	}},
	{name: "instants are compared as numbers", run: func(f *fixture) {
		l := session.Login{User: session.EndOfUser("kc:u"), Began: 999, Lifetime: time.Second}
		f.end(l.User, 1000, f.start.Add(time.Hour))
		f.end(l.User, 999, f.start.Add(time.Hour))
		l.Began = 1000
		f.ended(l, true)
		l.Began = session.Never
		f.ended(l, false)
	}},
	{name: "a token that is refused in the last tenth prolongs it", run: func(f *fixture) {
		l := session.Login{Session: session.EndOfSession("kc:1"), Began: f.start, Lifetime: 10 * time.Hour}
		f.end(l.Session, session.Never, f.start.Add(2*time.Hour))
		f.advance(30 * time.Minute)
		f.ended(l, true)
		f.advance(31 * time.Minute)
		f.ended(l, true) // 59 minutes are left, so ten hours are now
		f.advance(9*time.Hour + 59*time.Minute)
		f.ended(l, true)
		f.advance(10 * time.Hour)
		f.ended(l, false)
	}},
	{name: "a deleted session has ended", run: func(f *fixture) {
		l := session.Login{Session: session.EndOfSession("kc:1"), Began: f.start, Lifetime: endLifetime}
		f.put(New("kc:1", f.start, User("u", "o")))
		f.put(New("1", f.start, User("u", "o")))
		f.ended(l, false)
		f.delete("kc:1")
		f.delete("1")
		f.ended(l, true)
		f.advance(25 * time.Hour)
		f.ended(l, true)
		f.refused(session.ErrEnded, New("kc:1", f.start, Sequence(1<<60), Expires(session.Never)), nil)
		l.Session = session.EndOfSession("1") // which no JWT names
		f.ended(l, false)
	}},
	{name: "a session that has ended is not let in, nor changed", run: func(f *fixture) {
		old := f.put(New("kc:1", f.start))
		f.end(session.EndOfSession("kc:1"), session.Never, f.start.Add(time.Hour))
		f.end(session.EndOfSession("kc:2"), session.Never, f.start.Add(time.Hour))
		f.refused(session.ErrEnded, New("kc:1", f.start, Sequence(2)), old)
		f.refused(session.ErrEnded, New("kc:2", f.start), nil)
		f.put(New("kc:3", f.start))
		f.delete("kc:1")
	}},
}
