package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
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

// What is read of a hash, in the order in which storedOf takes it.
var (
	allFields    = []string{fieldDoc, fieldCreator, fieldToken, fieldForeign, fieldVersion, fieldTag}
	searchFields = allFields[:2]
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
	values, err := s.rdb.HMGet(ctx, s.keys.Session(id), allFields...).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	stored, err := storedOf(values)
	if err != nil {
		return nil, fmt.Errorf("%w: session %s: %w", session.ErrUnavailable, id, err)
	}
	return stored, nil
}

// readAll returns what is stored under each ID, in one round trip.
func readAll(ctx context.Context, rdb redis.UniversalClient, space *keys.Space, ids []session.ID, fields []string) ([]*session.Stored, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(ids))
	for i, id := range ids {
		replies[i] = pipe.HMGet(ctx, space.Session(id), fields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
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

// resolve reads sessions for the index. Tokens and versions, which searches do
// not need, stay where they are.
func (s *Store) resolve(ctx context.Context, ids []session.ID, costly bool) ([]*session.Stored, error) {
	rdb := s.rdb
	if costly {
		rdb = s.costly
	}
	return readAll(ctx, rdb, s.keys, ids, searchFields)
}

// storedOf decodes the values of allFields or searchFields. It returns nil if
// there is no document.
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
	if len(values) == len(searchFields) {
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

const (
	// tokenHolders is how many sessions with one foreign token are looked at in
	// one round trip, maxTokenHolders in all. There should be one, and any
	// number that have ended but are not swept away.
	tokenHolders    = 16
	maxTokenHolders = 256
)

// GetByToken returns the session whose current token is token, whoever made
// it, or session.ErrNotFound. Of several with one foreign token it is the one
// that was created last.
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
	list := s.keys.Token(session.HashToken(token))
	for from := int64(0); from < maxTokenHolders; from += tokenHolders {
		members, err := s.rdb.ZRevRange(ctx, list, from, from+tokenHolders-1).Result()
		if err != nil {
			return nil, unavailable(err)
		}
		ids := make([]session.ID, len(members))
		for i, member := range members {
			ids[i] = index.MemberID(member)
		}
		found, err := readAll(ctx, s.rdb, s.keys, ids, allFields)
		if err != nil {
			return nil, unavailable(err)
		}
		now := s.clock()
		for _, stored := range found {
			if stored != nil && !stored.Due(now) && stored.Token.Matches(token) {
				return stored, nil
			}
		}
		if len(members) < tokenHolders {
			return nil, session.ErrNotFound
		}
	}
	return nil, fmt.Errorf("%w: too many sessions have this token", session.ErrUnavailable)
}
