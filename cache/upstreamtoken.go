package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// GetWithToken returns the session with this ID if this is its current token, as Get does; else
// session.ErrWrongToken. With Config.Upstream that is asked about a token which is
// not known: what it confirms is learned, so that GetByToken finds the session.
func (s *Store) GetWithToken(ctx context.Context, id session.ID, token string) (*session.Stored, error) {
	if s.upstream != nil && !sealed(token) {
		return nil, session.ErrWrongToken
	}
	if s.upstream != nil {
		return s.lively(s.current(ctx, id, token))
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

// currentByToken is GetByToken with an upstream, by the tokens that were learned. Whose token another one is,
// it does not say, and nobody can tell without its session: that is session.ErrUnavailable, unless upstream makes none
// of that form. (I2)
func (s *Store) currentByToken(ctx context.Context, token string) (*session.Stored, error) {
	if !sealed(token) {
		return nil, session.ErrNotFound
	}
	stored, err := s.learned(ctx, token)
	if errors.Is(err, session.ErrNotFound) {
		return nil, fmt.Errorf("%w: whose token it is has not been learned", session.ErrUnavailable)
	}
	if err != nil {
		return nil, err
	}
	if answers, again := s.upstream.answers(stored, s.clock()); answers && !again {
		return stored, nil
	}
	return s.GetWithToken(ctx, stored.ID, token)
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
