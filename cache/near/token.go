package near

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// ByToken returns the session that has a token which somebody else made, as
// Config.ReadByToken finds it, or a copy. It may answer a copy's session though
// another with that token was created within the bound. Its errors are those of
// Config.ReadByToken, Config.Read and ctx.
func (n *Cache) ByToken(ctx context.Context, token string) (*session.Stored, error) {
	hash := session.HashToken(token)
	epoch, usable := n.begin()
	if !usable {
		return n.config.ReadByToken(ctx, nil, token)
	}
	if id, ok := n.tokens.get(hash); ok {
		stored, err := n.Session(ctx, id)
		has := stored != nil && !stored.Due(n.config.Clock()) && stored.Token.Matches(token)
		if err != nil || has && n.holds(epoch) {
			n.tokens.count(1, 0)
			return stored, err
		}
	}
	n.tokens.count(0, 1)
	if n.source.probes() {
		if stored, err := n.config.ReadByToken(ctx, nil, token); err != nil {
			return stored, err
		}
	}
	var stored *session.Stored
	_, copied, err := n.tokens.fetchOne(ctx, hash, n.fresh.clock(), false, func(ctx context.Context, over batch.Doer) (session.ID, error) {
		var err error
		if stored, err = n.config.ReadByToken(ctx, over, token); err != nil {
			return "", err
		}
		return ownID(stored.ID), nil // not a part of the document
	}, func(session.ID) bool { return true })
	if errors.Is(err, session.ErrNotFound) {
		n.source.foundNothing()
	}
	if copied && !n.holds(epoch) {
		return n.config.ReadByToken(ctx, nil, token)
	}
	return stored, err
}
