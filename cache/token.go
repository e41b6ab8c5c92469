package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// tokenHolders is how many sessions with one foreign token are looked at in
	// one round trip, maxTokenHolders in all. There should be one, and any
	// number that have ended but are not swept away.
	tokenHolders    = 16
	maxTokenHolders = 256
)

// GetByToken returns the session whose current token is token, made here or
// elsewhere, or session.ErrNotFound: session.ErrRevoked, session.ErrExpired or
// session.ErrWrongToken where that is still known, which of a token that somebody
// else made it never is. Of several sessions with one foreign token it is the one
// that was created last. Like Get it is for reading only.
func (s *Store) GetByToken(ctx context.Context, token string) (*session.Stored, error) {
	if id, own := session.SplitToken(token); own {
		stored, err := s.Get(ctx, id)
		if found, err := holder(stored, err, token); found != nil || err != nil {
			return found, err
		}
		return s.verifyFresh(ctx, id, token)
	}
	if s.near == nil {
		return s.getByForeignToken(ctx, nil, token)
	}
	stored, err := s.near.ByToken(ctx, token)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return nil, unavailable(err)
	}
	return stored, err
}

// GetByTokenFresh is GetByToken by what Redis has now: for callers that let a
// token decide over a write. What it returns has no Version. Of what GetByToken
// knows about a token that is refused, it knows only session.ErrWrongToken.
func (s *Store) GetByTokenFresh(ctx context.Context, token string) (*session.Stored, error) {
	id, ok := session.SplitToken(token)
	if !ok {
		return s.getByForeignToken(ctx, nil, token)
	}
	stored, err := s.GetFresh(ctx, id)
	lives := err == nil
	if found, err := holder(stored, err, token); found != nil || err != nil {
		return found, err
	}
	stored, err = s.getByForeignToken(ctx, nil, token)
	if lives && errors.Is(err, session.ErrNotFound) {
		err = session.ErrWrongToken
	}
	return stored, err
}

// holder returns what was read if token is its token, nil if it is another's
// or nothing was found.
func holder(stored *session.Stored, err error, token string) (*session.Stored, error) {
	switch {
	case err == nil && stored.Token.Matches(token):
		return stored, nil
	case err != nil && !errors.Is(err, session.ErrNotFound):
		return nil, err // I2
	}
	return nil, nil
}

// getByForeignToken looks the token up by its hash, in Redis: the list of its holders over
// what the near cache says.
func (s *Store) getByForeignToken(ctx context.Context, over batch.Doer, token string) (*session.Stored, error) {
	list := s.keys.Token(session.HashToken(token))
	for from := int64(0); from < maxTokenHolders; from += tokenHolders {
		ids, err := s.holders(ctx, cmp.Or(over, batch.Doer(s.gets)), list, from, from+tokenHolders-1)
		if err != nil {
			return nil, unavailable(err)
		}
		found, err := s.readAll(ctx, s.gets, ids)
		if err != nil {
			return nil, unavailable(err)
		}
		now := s.clock()
		for _, stored := range found {
			if stored != nil && !stored.Due(now) && stored.Token.Matches(token) {
				return stored, nil
			}
		}
		if len(ids) < tokenHolders {
			return nil, session.ErrNotFound
		}
	}
	return nil, fmt.Errorf("%w: too many sessions have this token", session.ErrUnavailable)
}

// holders returns the sessions from one rank of a token's list to another, the newest
// first.
func (s *Store) holders(ctx context.Context, over batch.Doer, list string, first, last int64) ([]session.ID, error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("zrevrange", list, strconv.FormatInt(first, 10), strconv.FormatInt(last, 10))
	if err := over.Do(ctx, call); err != nil {
		return nil, err
	}
	replies := call.Replies()
	n, err := replies.Array()
	if err != nil {
		return nil, err
	}
	ids := make([]session.ID, n)
	for i := range ids {
		member, _, err := replies.Text()
		if err != nil {
			return nil, err
		}
		ids[i] = index.MemberID(string(member))
	}
	return ids, nil
}
