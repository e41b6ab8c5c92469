package audit

import (
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// spot is an entry, or a card, that was found in a list.
type spot struct {
	where  string
	key    string
	shard  int // of the list
	member string
	id     session.ID
	card   index.Card // only of a card
	named  bool       // its list is in the shard of what it is named after (P > 1)
	// drift is why it is a suspect.
	drift   Drift
	version string // of the session, when it was looked at; "" if there is none
}

// isCard says whether it is a card.
func (sp *spot) isCard() bool { return sp.where == inCatalogue }

// auditCards looks at every card.
func (au *audit) auditCards(ctx context.Context) error {
	for shard := range au.Keys.Shards() {
		if err := au.walk(ctx, au.Keys.Catalogue(shard), keys.KindCatalogue, shard); err != nil {
			return err
		}
	}
	return nil
}

// auditCreated looks at every entry by creation date.
func (au *audit) auditCreated(ctx context.Context) error {
	for shard := range au.Keys.Shards() {
		if err := au.walk(ctx, au.Keys.Created(shard), keys.KindCreated, shard); err != nil {
			return err
		}
	}
	return nil
}

// auditLists looks at every entry of the other lists. Their keys have to be
// looked for.
func (au *audit) auditLists(ctx context.Context) error {
	var lists []listKey
	look := func(ctx context.Context) error {
		part := lists
		lists = lists[:0]
		return au.walkShort(ctx, part)
	}
	err := au.scan(ctx, func(ctx context.Context, found []string) error {
		for _, key := range found {
			switch kind, shard, _, _, ok := au.Keys.Spelled(key); {
			case !ok:
			case kind == keys.KindCreator, kind == keys.KindUser, kind == keys.KindAgent, kind == keys.KindToken:
				if lists = append(lists, listKey{key, kind, shard}); len(lists) == auditLists {
					if err := look(ctx); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err == nil && len(lists) > 0 {
		err = look(ctx)
	}
	return err
}

// listKey is the key of a list.
type listKey struct {
	key   string
	kind  byte
	shard int
}

// walkShort reads lists together, and the long ones among them alone.
func (au *audit) walkShort(ctx context.Context, lists []listKey) error {
	pipe := au.Costly.Pipeline()
	replies := make([]*redis.StringSliceCmd, len(lists))
	for i, l := range lists {
		replies[i] = pipe.ZRange(ctx, l.key, 0, zlist.Chunk-1)
	}
	if err := send(ctx, pipe); err != nil {
		return err
	}
	var spots []spot
	for i, l := range lists {
		members, err := replies[i].Result()
		switch {
		case isWrongType(err):
			au.found(Finding{Drift: KeyForeign, Where: listName(l.kind), Err: plainError(err)})
		case err != nil:
			return err
		case len(members) == zlist.Chunk:
			if err := au.walk(ctx, l.key, l.kind, l.shard); err != nil {
				return err
			}
		}
		if len(members) == zlist.Chunk {
			continue
		}
		for _, m := range members {
			spots = append(spots, au.spot(l.key, l.kind, l.shard, m))
		}
	}
	for part := range slices.Chunk(spots, zlist.Chunk) {
		if err := au.checkSpots(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// walk looks at all entries of a list, or all cards of a catalogue.
func (au *audit) walk(ctx context.Context, key string, kind byte, shard int) error {
	l := &zlist.List{Redis: au.Costly, Key: key, Range: zlist.Everything}
	spots := make([]spot, 0, zlist.Chunk)
	for {
		e, ok, err := l.Next(ctx)
		if isWrongType(err) {
			au.found(Finding{Drift: KeyForeign, Where: listName(kind), Err: plainError(err)})
			return nil
		}
		if err != nil {
			return err
		}
		if ok {
			sp := au.spot(key, kind, shard, e.Member)
			if !sp.isCard() {
				spots = append(spots, sp)
			} else if e.At > au.Now().Add(index.ClearAhead) { // else it is the sweeper's
				if sp.card, err = index.UnpackCard(e.Member); err != nil {
					au.report.Cards++
					au.found(Finding{Drift: CardUnreadable, Where: inCatalogue, Err: err})
				} else {
					sp.id = sp.card.ID
					spots = append(spots, sp)
				}
			}
		}
		if len(spots) == zlist.Chunk || !ok && len(spots) > 0 {
			if err := au.checkSpots(ctx, spots); err != nil {
				return err
			}
			spots = spots[:0]
			l.Moved() // a repair may have done it
		}
		if !ok {
			return nil
		}
	}
}

func (au *audit) spot(key string, kind byte, shard int, member string) spot {
	named := au.Keys.Shards() > 1 && (kind == keys.KindUser || kind == keys.KindAgent || kind == keys.KindToken)
	return spot{where: listName(kind), key: key, shard: shard, member: member, id: index.MemberID(member), named: named}
}
