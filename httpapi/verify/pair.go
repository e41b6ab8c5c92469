package verify

import (
	"bytes"
	"context"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// pairOf takes ID:TOKEN apart. An ID may have colons, a token has none.
func (s *Endpoint) pairOf(token []byte) (id session.ID, of []byte, ok bool) {
	if s.config.Accepts&AcceptPairs == 0 {
		return "", nil, false
	}
	colon := bytes.LastIndexByte(token, ':')
	if colon < 0 || colon == len(token)-1 {
		return "", nil, false
	}
	id, err := session.ParseID(string(token[:colon])) // I8
	return id, token[colon+1:], err == nil
}

// findPair finds the session with an ID, if that has this token.
func (v *verification) findPair(base context.Context, start time.Time, id session.ID, token []byte) (*session.Stored, error) {
	text := string(token) // I8
	if stored, held := v.s.Store.PairCopy(id, text); held {
		return stored, nil
	}
	return v.ask(base, start, func(ctx context.Context) (*session.Stored, error) { return v.s.Store.GetWithToken(ctx, id, text) })
}
