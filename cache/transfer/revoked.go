package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// scanAttempts is how often deletions and ends are read anew if another server became master meanwhile, or shards
	// moved: a scan may have missed some then. The first pause between two is scanPause; then it doubles.
	scanAttempts = 3
	scanPause    = 200 * time.Millisecond
)

// ErrUnstable says that deletions cannot be read for sure.
var ErrUnstable = errors.New("deletions and ends may have been missed, because masters changed or sessions moved between them meanwhile")

// revokedOnce is revoked for an export that hears of no changes. What it exports twice is imported once.
func (e *exporter) revokedOnce(ctx context.Context, skip skipFunc) error {
	var unstable error
	for n, pause := 0, scanPause; n < scanAttempts; n, pause = n+1, 2*pause {
		if n > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		before, err := linksOf(ctx, e.rdb, e.keys, "")
		if err != nil {
			return err
		}
		servers := make([]string, len(before))
		for i, l := range before {
			info, err := l.client.Info(ctx, "server").Result()
			if err != nil {
				return err
			}
			servers[i] = redisinfo.Field(info, "run_id")
		}
		prove := func() (err error) {
			for i, l := range before {
				if err = push.Prove(ctx, l.client, servers[i], l.never); err != nil {
					break
				}
			}
			return err
		}
		if unstable = prove(); unstable != nil {
			continue
		}
		if err := e.revoked(ctx, skip); err != nil {
			return err
		}
		if unstable = prove(); unstable == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrUnstable, unstable)
}

// revoked exports all deletions, but those that skip says, and all ends.
func (e *exporter) revoked(ctx context.Context, skip skipFunc) error {
	var ids []session.ID
	var names []session.EndName
	export := func(ctx context.Context, least int) error {
		for len(ids) >= least && len(ids) > 0 {
			n := min(len(ids), batch)
			if err := e.exportIDs(ctx, ids[:n], skip); err != nil {
				return err
			}
			ids = ids[n:]
		}
		for len(names) >= least && len(names) > 0 {
			n := min(len(names), batch)
			if err := e.ended(ctx, names[:n]); err != nil {
				return err
			}
			names = names[n:]
		}
		return e.between(ctx)
	}
	err := e.scan(ctx, string([]byte{keys.KindTombstone, keys.KindEnd}), e.wait, func(ctx context.Context, found []string) error {
		for _, key := range found {
			switch kind, _, name, _, ok := e.keys.Spelled(key); {
			case !ok:
			case kind == keys.KindTombstone:
				ids = append(ids, session.ID(name))
			default:
				names = append(names, session.EndName(name))
			}
		}
		return export(ctx, batch)
	})
	if err != nil {
		return err
	}
	return export(ctx, 1)
}

// ended exports ends.
func (e *exporter) ended(ctx context.Context, names []session.EndName) error {
	found, err := e.ends(ctx, names, e.unreadable)
	if err != nil {
		return err
	}
	e.line = e.line[:0]
	var n Counts
	for _, it := range found {
		if it != nil {
			e.line = appendSpecial(e.line, &special{Ended: it})
			n.Ends++
		}
	}
	return e.put(n)
}
