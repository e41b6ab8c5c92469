package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/fairrate"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/singleflight"
)

// GetWithToken returns the session with this ID if this is its current token, as Get does; else
// session.ErrWrongToken. With Config.Upstream that is asked about a token which is
// not known, on account of the context's client (WithClient): what it confirms is learned, so that GetByToken finds the session.
func (s *Store) GetWithToken(ctx context.Context, id session.ID, token string) (*session.Stored, error) {
	if s.upstream != nil && !sealed(token) {
		return nil, session.ErrWrongToken
	}
	if s.upstream != nil {
		return s.lively(s.current(ctx, id, token, false))
	}
	stored, err := s.Get(ctx, id)
	if err == nil && !stored.Token.Matches(token) { // a copy may have the token before this one
		stored, err = s.GetFresh(ctx, id)
	}
	if err == nil && !stored.Token.Matches(token) {
		err = session.ErrWrongToken
	}
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// Learn is GetWithToken, with an upstream, for a caller that vouches for the token: upstream has just made it, or the caller has proven who
// it is. It does not wait for its turn among tokens that may be made up.
func (s *Store) Learn(ctx context.Context, id session.ID, token string) (*session.Stored, error) {
	if !sealed(token) {
		return nil, session.ErrWrongToken
	}
	return s.lively(s.current(ctx, id, token, true))
}

// PairCopy returns the session with this ID from a copy, as GetWithToken would, without asking anybody. ok is
// false if no copy may be used, or it has another token: then GetWithToken knows more.
func (s *Store) PairCopy(id session.ID, token string) (stored *session.Stored, ok bool) {
	if s.near == nil {
		return nil, false
	}
	if stored, ok = s.near.Copy(id, token); ok && s.upstream != nil {
		var again bool
		if ok, again = s.upstream.answers(stored, s.clock()); again {
			s.askAhead(id)
		}
	}
	return stored, ok
}

// currentByToken is GetByToken with an upstream: by the tokens that were learned, and else by asking whose the token is.
func (s *Store) currentByToken(ctx context.Context, token string) (*session.Stored, error) {
	if !sealed(token) {
		return nil, session.ErrNotFound
	}
	for {
		stored, err := s.learned(ctx, token)
		switch {
		case err == nil:
			if answers, again := s.upstream.answers(stored, s.clock()); answers && !again {
				return stored, nil
			}
			return s.GetWithToken(ctx, stored.ID, token)
		case !errors.Is(err, session.ErrNotFound):
			return nil, err
		case s.upstream.UserOf == nil:
			return nil, fmt.Errorf("%w: whose token it is has not been learned", session.ErrUnavailable)
		}
		stored, joined, err := s.probeToken(ctx, token)
		if err != errKnown && (err != nil || !joined) {
			return s.lively(stored, err)
		}
		// What others have found is no newer than their question: look at what they have stored. (I4)
	}
}

// wrongToken is why a token was refused, and until when that counts.
type wrongToken struct {
	err   error
	until session.Time
}

// refused says why a question about a token was refused, a moment before now; nil if it was not.
func (u *upstream) refused(name string, now session.Time) error {
	if known, ok := u.wrong.GetIfPresent(name); ok && now < known.until {
		return known.err
	}
	return nil
}

// refuse remembers that a question that was sent then was refused for good.
func (u *upstream) refuse(name string, sent session.Time, err error) {
	u.wrong.Set(name, wrongToken{err, sent.Add(wrongFor)})
}

// questionName names a question about a session, and its token if that is not "". (I6)
func questionName(id session.ID, token string) string {
	if token == "" {
		return string(id)
	}
	hash := session.HashToken(token)
	return string(id) + " " + string(hash[:])
}

// ErrProbes is session.ErrUnavailable because more tokens that nothing here proves come than upstream may be asked about.
var ErrProbes = fmt.Errorf("%w: too many tokens come that are not known here", session.ErrUnavailable)

// probesWaiting is Upstream.ProbesWaiting if that is 0.
const probesWaiting = 256

// probes are the calls about tokens that nothing here proves.
type probes struct {
	limit  *fairrate.Limiter // nil has none
	mu     sync.Mutex
	paying map[string]*probe // by what is asked
}

// probe is a question about a token that nothing here proves, under way or waiting for its turn.
type probe struct {
	done chan struct{}
	// paid says that it was asked, with this result. Else who began it got no permit.
	paid bool
	singleflight.Result
}

func newProbes(u *Upstream, clock func() session.Time) *probes {
	p := &probes{paying: map[string]*probe{}}
	if u.ProbesPerSecond > 0 {
		waiting := cmp.Or(u.ProbesWaiting, probesWaiting)
		p.limit = fairrate.New(fairrate.Config{
			PerSecond: u.ProbesPerSecond, Burst: u.ProbesPerSecond, Waiting: waiting, WaitingOfOne: max(waiting/4, 1), Now: func() time.Time { return clock().Std() },
		})
	}
	return p
}

func (p *probes) close() {
	if p.limit != nil {
		p.limit.Close()
	}
}

// permit waits for the context's client's turn to make one call.
func (p *probes) permit(ctx context.Context) error {
	if p.limit == nil || p.limit.Take(ctx, clientOf(ctx)) == nil {
		return nil
	}
	return ErrProbes
}

// errKnown says that a question need not be asked any more: its answer is stored.
var errKnown = errors.New("it is known by now")

// probe asks a question, with a permit for its first call. All who ask the same meanwhile share it, and its permit; joined says
// that somebody else has begun it. If the one who waits for the permit leaves, another one waits in its place. Its error is errKnown if
// known says so once nobody else asks the same.
func (s *Store) probe(ctx context.Context, name string, known func() bool, begin func() <-chan singleflight.Result) (result any, joined bool, err error) {
	u := s.upstream
	for {
		u.mu.Lock()
		p := u.paying[name]
		joined = p != nil
		if !joined {
			p = &probe{done: make(chan struct{})}
			u.paying[name] = p
		}
		u.mu.Unlock()
		end := func() {
			u.mu.Lock()
			delete(u.paying, name)
			u.mu.Unlock()
			close(p.done)
		}
		if !joined {
			err := errKnown
			if !known() {
				err = u.permit(ctx)
			}
			if err != nil {
				end()
				return nil, false, err
			}
			p.paid = true
			flight := begin()
			u.running.Go(func() {
				p.Result = <-flight
				end()
			})
		}
		select {
		case <-p.done:
			if p.paid {
				return p.Val, joined, p.Err
			}
		case <-ctx.Done():
			return nil, joined, unavailable(ctx.Err())
		}
	}
}

// terminated says whether a session was terminated, by any process, which it remembers then.
func (s *Store) terminated(ctx context.Context, id session.ID) (bool, error) {
	if last, deleted := s.remembered.Last(id, s.clock()); deleted && last == math.MaxUint64 {
		return true, nil
	}
	call := batch.NewCall()
	defer call.Release()
	call.Add("get", s.keys.Tombstone(id))
	if err := s.gets.Do(ctx, call); err != nil {
		return false, unavailable(err)
	}
	replies := call.Replies()
	tombstone, _, err := replies.Text()
	if err != nil {
		return false, unavailable(err)
	}
	if deletions.SequenceOf(string(tombstone)) != math.MaxUint64 {
		return false, nil
	}
	s.remembered.AddTombstone(id, string(tombstone), s.clock())
	return true, nil
}

// probeUpstream is askUpstream for a token that nothing here proves.
func (s *Store) probeUpstream(ctx context.Context, id session.ID, token string) (*answer, error) {
	known := func() bool {
		stored, err := s.get(ctx, id)
		if err != nil || stored == nil || stored.Due(s.clock()) || !stored.Token.Matches(token) {
			return false
		}
		answers, _ := s.upstream.answers(stored, s.clock())
		return answers
	}
	got, _, err := s.probe(ctx, questionName(id, token), known, func() <-chan singleflight.Result { return s.fly(id, token) })
	if err != nil {
		return nil, err
	}
	return got.(*answer), nil
}

type clientKey struct{}

// WithClient says which client a token comes from: the network that counts as one. All for whom nobody says it are one client.
func WithClient(ctx context.Context, client netip.Prefix) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

func clientOf(ctx context.Context) netip.Prefix {
	client, _ := ctx.Value(clientKey{}).(netip.Prefix)
	return client
}

const (
	// lookedAt is how many sessions of a user are asked whether they have a token, in a list.
	lookedAt = 5
	// listedAgain is how long after a list without the session of a token the next one is asked for: lists lag by less.
	listedAgain = 100 * time.Millisecond
)

// probeToken looks for the session of a token that was not learned, together with all others that look for it now; joined says
// that others have begun. It goes on when all have left, so that who asks again finds it.
func (s *Store) probeToken(ctx context.Context, token string) (stored *session.Stored, joined bool, err error) {
	u := s.upstream
	name := questionName("", token)
	if err := u.refused(name, s.clock()); err != nil {
		return nil, false, err
	}
	client := clientOf(ctx)
	known := func() bool { _, err := s.learned(ctx, token); return err == nil }
	found, joined, err := s.probe(ctx, name, known, func() <-chan singleflight.Result {
		result := make(chan singleflight.Result, 1)
		u.running.Go(func() {
			ctx, cancel := context.WithTimeout(WithClient(u.base, client), u.Timeout+2*tripTimeout)
			defer cancel()
			stored, err := s.search(ctx, name, token)
			result <- singleflight.Result{Val: stored, Err: err}
		})
		return result
	})
	if err != nil {
		return nil, joined, err
	}
	return found.(*session.Stored), joined, nil
}

// search asks upstream whose a token is, for which there is a permit, and then the user's sessions which of them has it. What it does
// not find there may be there all the same: that is session.ErrUnavailable, and not remembered. (I2)
func (s *Store) search(ctx context.Context, name, token string) (*session.Stored, error) {
	u := s.upstream
	sent := s.clock()
	user, err := u.UserOf(ctx, token)
	switch {
	case errors.Is(err, session.ErrNoToken), errors.Is(err, session.ErrExpired), errors.Is(err, session.ErrWrongToken):
		u.refuse(name, sent, err)
		return nil, err
	case errors.Is(err, session.ErrNotFound):
		return nil, session.ErrNotFound
	case err != nil:
		return nil, unavailable(err)
	}
	for again := false; ; again = true {
		stored, err := s.searchUser(ctx, user, token)
		if !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrExpired) {
			return stored, err
		}
		if again {
			return nil, fmt.Errorf("%w: none of the last changed sessions of its user has this token", session.ErrUnavailable)
		}
		if err := pause(ctx, listedAgain); err != nil {
			return nil, err
		}
	}
}

// searchUser asks those of a user's sessions that have changed last whether they have a token. It answers session.ErrNotFound if none
// of these has. Which of them were refused with it just now it passes over, so that who asks again gets on.
func (s *Store) searchUser(ctx context.Context, user, token string) (*session.Stored, error) {
	u := s.upstream
	if err := u.permit(ctx); err != nil {
		return nil, err
	}
	ids, err := u.SessionsOf(ctx, user)
	if err != nil {
		return nil, unavailable(err)
	}
	asked := 0
	for _, id := range ids {
		if errors.Is(u.refused(questionName(id, token), s.clock()), session.ErrWrongToken) {
			continue
		}
		stored, err := s.current(ctx, id, token, false)
		if !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrExpired) { // that is said of the session's own token only
			return stored, err
		}
		if asked++; asked == lookedAt {
			break
		}
	}
	return nil, session.ErrNotFound
}

// pause waits; its error says that ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// sealed says whether a token may be one of ZITADEL's: five parts of base64url, as an encrypted JWT has (RFC 7516).
func sealed(token string) bool {
	dots := 0
	for i := range len(token) {
		switch c := token[i]; {
		case c == '.':
			dots++
		case c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'):
			return false
		}
	}
	return dots == 4 && len(token) >= leastSealed && len(token) <= mostSealed
}

// leastSealed and mostSealed bound the length of ZITADEL's session tokens, which have about 283 characters, and 500 at most.
const leastSealed, mostSealed = 100, 500

// learned returns the copy of the session that has a token, however old.
func (s *Store) learned(ctx context.Context, token string) (*session.Stored, error) {
	if s.near == nil {
		return s.getByForeignToken(ctx, nil, token)
	}
	stored, err := s.near.ByToken(ctx, token)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return nil, unavailable(err)
	}
	return stored, err
}

// lively answers session.ErrExpired in place of a session that has ended, by our clock. (I1)
func (s *Store) lively(stored *session.Stored, err error) (*session.Stored, error) {
	if err == nil && stored.Due(s.clock()) {
		return nil, session.ErrExpired
	}
	return stored, err
}
