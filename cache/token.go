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
	if s.upstream != nil {
		return s.currentByToken(ctx, token)
	}
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

// Lookup is Get, and says of a session that is not there why, as GetByToken does of its token: session.ErrRevoked or
// session.ErrExpired where that is still known, else session.ErrNotFound. It is for people who ask, and
// asks Redis once more about what Get does not find.
func (s *Store) Lookup(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.Get(ctx, id)
	if s.upstream != nil {
		return s.lively(stored, err)
	}
	if !errors.Is(err, session.ErrNotFound) {
		return stored, err
	}
	if _, err = s.verifyFresh(ctx, id, ""); errors.Is(err, session.ErrWrongToken) { // it lives now
		return s.GetFresh(ctx, id)
	}
	return nil, err
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

// VerifyCopy returns the session whose current token is token from a copy, as
// GetByToken would, without asking Redis. ok is false if no copy may be used, or
// it has another token: then GetByToken knows more.
func (s *Store) VerifyCopy(token string) (stored *session.Stored, ok bool) {
	id, own := session.SplitToken(token)
	if s.near == nil || !own {
		return nil, false
	}
	return s.near.Copy(id, token)
}

// verifyFresh asks Redis for all that there is to know about a token that looks
// like one of session id, in one round trip: a copy within the bound may have
// the token before this one, or lack the session. One whose entry is there
// without its hash has expired; the sweeper removes it soon.
func (s *Store) verifyFresh(ctx context.Context, id session.ID, token string) (*session.Stored, error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("hget", s.keys.Session(id), fieldDoc)
	call.Add("get", s.keys.Tombstone(id))
	call.Add("zscore", s.keys.Created(s.keys.ShardOf(id)), string(id))
	call.Add("zcard", s.keys.Token(session.HashToken(token)))
	if err := s.gets.Do(ctx, call); err != nil {
		return nil, unavailable(err)
	}
	replies := call.Replies()
	doc, _, docErr := replies.Text()
	tombstone, deleted, tombstoneErr := replies.Text()
	_, listed, entryErr := replies.Text()
	holders, _, holdersErr := replies.Text()
	if err := errors.Join(docErr, tombstoneErr, entryErr, holdersErr); err != nil {
		return nil, unavailable(err)
	}
	stored, err := storedOf(textIn(doc))
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	there := stored != nil
	stored = s.remembered.Pass(stored, s.clock())
	returned := there && stored == nil
	if stored == nil && deleted {
		s.remembered.AddTombstone(id, string(tombstone), s.clock()) // whoever deleted it
	}
	lives := stored != nil && !stored.Due(s.clock())
	if lives && stored.Token.Matches(token) {
		return stored, nil
	}
	if string(holders) != "0" { // somebody else made it, in our shape
		if found, err := s.getByForeignToken(ctx, nil, token); !errors.Is(err, session.ErrNotFound) {
			return found, err
		}
	}
	switch {
	case lives:
		return nil, session.ErrWrongToken
	case returned:
		return nil, session.ErrRevoked
	case listed:
		return nil, session.ErrExpired
	case deleted:
		return nil, session.ErrRevoked
	}
	if _, remembered := s.remembered.Last(id, s.clock()); remembered { // its tombstone was lost
		return nil, session.ErrRevoked
	}
	return nil, session.ErrNotFound
}
