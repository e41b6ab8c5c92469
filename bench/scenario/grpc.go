package scenario

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"google.golang.org/protobuf/encoding/protowire"
)

// ByGRPC says whether a scenario calls by gRPC.
func ByGRPC(name string) bool {
	return name == "get-grpc" || name == "list-grpc" || name == "verify-grpc"
}

const sessionService = "/zitadel.session.v2.SessionService/"

type getGRPC struct{ Config }

// newGetGRPC gets sessions by gRPC, some of them much more often than others.
func newGetGRPC(c Config) load.Scenario { return getGRPC{c} }

func (s getGRPC) Client(_ int, r *rand.Rand) load.Client {
	id := sessionPrefix + places(sessionDigits)
	z := newZipf(s.Data.Sessions, s.Zipf, r)
	return &grpcGetter{
		grpcCaller: newGRPCCaller(s.Config, sessionService+"GetSession", text(nil, 1, id)),
		data:       s.Data, pick: func() int { return spread(z.next(), s.Data.Sessions) }, id: newPattern([]byte(id)),
	}
}

// grpcGetter asks for sessions by ID.
type grpcGetter struct {
	*grpcCaller
	data    Dataset
	pick    func() int
	id      pattern
	at      place // of id
	current int
}

func (g *grpcGetter) Next(b []byte) ([]byte, int) {
	g.current = g.pick()
	g.message.put(g.current)
	return g.next(b), 200
}

func (g *grpcGetter) Check(a *load.Answer) error {
	if g.id.put(g.current); g.at.find(a.Body, g.id.bytes) < 0 {
		return fmt.Errorf("session %s is not in the answer: %.200q", SessionID(g.current), a.Body)
	}
	return nil
}

func (g *grpcGetter) Deep() func([]byte) error {
	d, i := g.data, g.current
	return func(body []byte) error {
		session, _, err := at(body, 1)
		if err != nil {
			return err
		}
		return isSession(session, d, i)
	}
}

func (g *grpcGetter) Lost() {}

// isSession says how a message differs from session i of the dataset.
func isSession(message []byte, d Dataset, i int) error {
	got, err := sessionOf(message)
	if err != nil {
		return err
	}
	return got.isSession(d, i)
}

type listGRPC struct{ Config }

// newListGRPC asks by gRPC for a user's sessions since a date: all five of them.
func newListGRPC(c Config) load.Scenario { return listGRPC{c} }

func (s listGRPC) Client(_ int, r *rand.Rand) load.Client {
	const creationDate, greaterOrEquals = 1, 2
	since := text(nil, 1, instant(s.Data.Created(0).Add(-time.Hour)))
	request := text(nil, 2, string(text(nil, 2, string(text(nil, 1, userPrefix+places(userDigits))))))
	request = text(request, 2, string(text(nil, 3, string(whole(since, 2, greaterOrEquals)))))
	request = whole(request, 3, creationDate)
	return &grpcLister{
		grpcCaller: newGRPCCaller(s.Config, sessionService+"ListSessions", request),
		data:       s.Data, users: newZipf(s.Data.Users(), s.Zipf, r), id: newPattern([]byte(sessionPrefix + places(sessionDigits))),
	}
}

// grpcLister asks for the sessions of users.
type grpcLister struct {
	*grpcCaller
	data  Dataset
	users *zipf
	user  int
	id    pattern
	at    [PerUser]place // of each session's ID, behind the one before
}

func (l *grpcLister) Next(b []byte) ([]byte, int) {
	l.user = spread(l.users.next(), l.users.n)
	l.message.put(l.user)
	return l.next(b), 200
}

func (l *grpcLister) Check(a *load.Answer) error {
	rest := a.Body
	for k := range PerUser {
		l.id.put(l.data.OfUser(l.user, PerUser-1-k)) // the newest first
		i := l.at[k].find(rest, l.id.bytes)
		if i < 0 {
			return fmt.Errorf("session %s is not in its place", l.id.bytes)
		}
		rest = rest[i+len(l.id.bytes):]
	}
	return nil
}

func (l *grpcLister) Deep() func([]byte) error {
	d, user := l.data, l.user
	return func(body []byte) error {
		all, err := fieldsOf(body)
		if err != nil {
			return err
		}
		_, total, err := at(body, 1, 1)
		sessions := slices.DeleteFunc(all, func(f field) bool { return f.number != 2 })
		if err != nil || total != PerUser || len(sessions) != PerUser {
			return fmt.Errorf("%d sessions of %d, not %d: %w", len(sessions), total, PerUser, err)
		}
		for k, s := range sessions {
			if err := isSession(s.text, d, d.OfUser(user, PerUser-1-k)); err != nil {
				return err
			}
		}
		return nil
	}
}

func (l *grpcLister) Lost() {}

type verifyGRPC struct{ Config }

// newVerifyGRPC asks by gRPC, as Envoy does, whether the tokens of sessions are good, of
// some of them much more often than of others.
func newVerifyGRPC(c Config) load.Scenario { return verifyGRPC{c} }

func (s verifyGRPC) Client(_ int, r *rand.Rand) load.Client {
	id := verifyPrefix + places(sessionDigits)
	headers := map[string]string{ // of a browser's request, as Envoy hands them over
		":authority": "app.example", ":method": "GET", ":path": "/orders?page=2", ":scheme": "https",
		"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "accept-encoding": "gzip, deflate, br", "accept-language": "sv-SE,sv;q=0.9,en;q=0.8",
		"authorization": "Bearer " + id + "." + places(tokenDigits), "user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0",
		"x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https", "x-request-id": "5c3d4d9e-6c0b-4b0e-8a7e-1f3a5d2c9b10",
	}
	var request []byte
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		request = text(request, 3, string(text(text(nil, 1, name), 2, headers[name])))
	}
	for _, number := range []protowire.Number{2, 4, 1} { // in http, request, attributes
		request = text(nil, number, string(request))
	}
	c := s.Config
	c.Key = ""
	caller := newGRPCCaller(c, "/envoy.service.auth.v3.Authorization/Check", request, "grpc-timeout", "200m") // Envoy's default
	return &grpcVerifier{
		grpcCaller: caller, sessions: newZipf(s.VerifySessions, s.Zipf, r), secret: caller.message.at + sessionDigits + len("."),
		id: newPattern([]byte(id)), user: newPattern([]byte(verifyUserPrefix + places(userDigits))),
	}
}

// grpcVerifier asks for verification.
type grpcVerifier struct {
	*grpcCaller
	sessions     *zipf
	secret       int     // where the token's secret begins in the message
	id, user     pattern // as the answer must have them
	idAt, userAt place
	current      int
}

func (v *grpcVerifier) Next(b []byte) ([]byte, int) {
	v.current = spread(v.sessions.next(), v.sessions.n)
	v.message.put(v.current)
	putDigits(v.message.bytes[v.secret:], v.current, tokenDigits)
	return v.next(b), 200
}

func (v *grpcVerifier) Check(a *load.Answer) error {
	v.id.put(v.current)
	v.user.put(v.current)
	if v.idAt.find(a.Body, v.id.bytes) < 0 || v.userAt.find(a.Body, v.user.bytes) < 0 {
		return fmt.Errorf("session %s is not what is good: %.200q", verifySession(v.current), a.Body)
	}
	return nil
}

func (v *grpcVerifier) Deep() func([]byte) error {
	i := v.current
	return func(body []byte) error {
		_, code, err := at(body, 1, 1)
		ok, _, err2 := at(body, 3)
		all, err3 := fieldsOf(ok)
		if err := errors.Join(err, err2, err3); err != nil {
			return err
		}
		headers := map[string]string{}
		for _, f := range all {
			if f.number == 2 {
				name, _, err := at(f.text, 1, 1)
				value, _, err2 := at(f.text, 1, 2)
				if err := errors.Join(err, err2); err != nil {
					return err
				}
				headers[string(name)] = string(value)
			}
		}
		if code != 0 || headers["x-session-id"] != verifySession(i) || headers["x-session-user"] != verifyUser(i) {
			return fmt.Errorf("session %s is not what is good: status %d, %v", verifySession(i), code, headers)
		}
		return nil
	}
}

func (v *grpcVerifier) Lost() {}
