package main

import (
	"context"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/samples"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/errgroup"
)

// sampleWriters is how many samples are stored at a time.
const sampleWriters = 8

// dev is the subcommand: serve, with samples and with lines to paste.
func dev(ctx context.Context, p *program) error { return start(ctx, p, showcase) }

// showcase fills an empty store with samples, adds a session to verify and
// revoke, and prints what to try. In a store that has sessions already it adds no
// samples, and if the server is not its own, nothing.
func showcase(ctx context.Context, s *sidecar, store *cache.Store) error {
	newest, err := newestSession(ctx, store)
	own := err == nil && (newest == nil || s.c.RedisURL.Memory || s.c.RedisURL.Embedded)
	if err == nil && newest == nil {
		if err = fill(ctx, store); err == nil {
			s.log.Info("sample sessions stored", "sessions", samples.Count, "users", samples.Users)
			newest, err = newestSession(ctx, store)
		}
	} else if err == nil {
		s.log.Info("the store has sessions already: no samples added")
	}
	var demo *session.Session
	var token string
	if err == nil && own {
		demo, token = samples.Demo(store.Now())
		err = store.Put(ctx, demo, nil)
	}
	if ctx.Err() != nil {
		return nil // stopped meanwhile
	}
	if err != nil {
		return fmt.Errorf("sample sessions: %w", err)
	}
	if newest == nil {
		return fmt.Errorf("sample sessions: another process deleted them")
	}
	c := s.curl()
	var all []try
	if demo != nil {
		all = c.logout(demo, token)
	}
	if s.console != nil {
		_, _ = fmt.Fprintf(s.p.stdout, "\nOpen the console: %s\n", s.consoleURL())
	}
	if err := printTries(s.p.stdout, append(all, c.searches(newest, store.Now())...)); err != nil {
		s.log.Warn("nobody reads what could be tried", "error", err)
	}
	return nil
}

// newestSession returns a young session to show, one of the user with most of
// the youngest sessions; nil if there is no session.
func newestSession(ctx context.Context, store *cache.Store) (*session.Stored, error) {
	page, err := store.Search(ctx, &index.Query{Sees: index.Sees{All: true}, Limit: 100})
	if err != nil || len(page.Sessions) == 0 {
		return nil, err
	}
	best, count := page.Sessions[0], map[string]int{}
	for _, s := range page.Sessions {
		if s.UserID != "" {
			count[s.UserID]++
		}
	}
	for _, s := range page.Sessions {
		if count[s.UserID] > count[best.UserID] {
			best = s
		}
	}
	return best, nil
}

// fill stores the samples.
func fill(ctx context.Context, store *cache.Store) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(sampleWriters)
	for _, s := range samples.Sessions(store.Now()) {
		g.Go(func() error { return store.Put(ctx, s, nil) })
	}
	return g.Wait()
}
