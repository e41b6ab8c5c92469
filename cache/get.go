package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// The fields of a session's hash.
const (
	fieldDoc     = "doc"     // the document, packed
	fieldCreator = "creator" // user ID of the creator, absent if unknown
	fieldToken   = "token"   // SHA-256 of our own token
	fieldForeign = "foreign" // SHA-256 of a token that somebody else made
	fieldVersion = "v"       // random, drawn by the write
	fieldTag     = "tag"     // version of the write that added the entries in other shards
)

// Get returns the session with this ID, or session.ErrNotFound.
func (s *Store) Get(ctx context.Context, id session.ID) (*session.Stored, error) {
	stored, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if stored == nil || stored.Due(s.clock()) {
		return nil, session.ErrNotFound
	}
	return stored, nil
}

// read returns what is stored, due or not, and nil if nothing is.
func (s *Store) read(ctx context.Context, id session.ID) (*session.Stored, error) {
	values, err := s.rdb.HMGet(ctx, s.keys.Session(id), fieldDoc, fieldCreator, fieldToken, fieldForeign, fieldVersion, fieldTag).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	stored, err := storedOf(values)
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	return stored, nil
}

// resolve reads the sessions with these IDs in one round trip, for the index.
// Tokens and versions, which searches do not need, stay where they are.
func (s *Store) resolve(ctx context.Context, ids []session.ID, costly bool) ([]*session.Stored, error) {
	rdb := s.rdb
	if costly {
		rdb = s.costly
	}
	pipe := rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HMGet(ctx, s.keys.Session(id), fieldDoc, fieldCreator)
	}
	if len(ids) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, err
		}
	}
	found := make([]*session.Stored, len(ids))
	for i, reply := range replies {
		var err error
		if found[i], err = storedOf(reply.Val()); err != nil {
			return nil, fmt.Errorf("session %s: %w", ids[i], err)
		}
	}
	return found, nil
}

// storedOf decodes a hash's fields, in the order of the constants above, as
// many as there are. It returns nil if there is no document.
func storedOf(values []any) (*session.Stored, error) {
	packed := textOf(values[0])
	if packed == "" {
		return nil, nil
	}
	doc, err := decodeDocument(nil, []byte(packed))
	if err != nil {
		return nil, err
	}
	s := &session.Stored{Doc: doc}
	if err := session.FactsOf(doc, &s.Facts); err != nil {
		return nil, err
	}
	s.Creator = textOf(values[1])
	if len(values) == 2 {
		return s, nil
	}
	token := textOf(values[2])
	if foreign := textOf(values[3]); foreign != "" {
		token, s.TokenForeign = foreign, true
	}
	if copy(s.Token[:], token) != len(token) || token != "" && len(token) != len(s.Token) {
		return nil, errors.New("the stored token hash has a wrong length")
	}
	s.Version, s.EntryTag = textOf(values[4]), textOf(values[5])
	return s, nil
}

func textOf(value any) string {
	text, _ := value.(string)
	return text
}

// maxTokenHolders is how many sessions with one foreign token are looked at.
const maxTokenHolders = 16

// GetByToken returns the session whose current token is token, whoever made
// it, or session.ErrNotFound.
func (s *Store) GetByToken(ctx context.Context, token string) (*session.Stored, error) {
	if id, ok := session.SplitToken(token); ok {
		stored, err := s.Get(ctx, id)
		if err == nil && stored.Token.Matches(token) {
			return stored, nil
		}
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			return nil, err
		}
	}
	// Of the sessions that were put with this token, the newest that still has it.
	members, err := s.rdb.ZRevRange(ctx, s.keys.Token(session.HashToken(token)), 0, maxTokenHolders-1).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	for _, member := range members {
		stored, err := s.Get(ctx, index.MemberID(member))
		switch {
		case errors.Is(err, session.ErrNotFound):
		case err != nil:
			return nil, err
		case stored.Token.Matches(token):
			return stored, nil
		}
	}
	return nil, session.ErrNotFound
}
