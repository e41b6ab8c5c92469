// Package ties finds out which session of a ZITADEL an OIDC session is part of, so that a JWT that names the one can be held
// against the other. That never changes: what was found is kept in Redis for all processes, and callers keep it with the token.
package ties

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/bounded"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

const (
	// keptFor is how long Redis keeps a tie: longer than an access token lives. Whoever needs it later, after
	// refreshes, finds it again.
	keptFor = 24 * time.Hour
	// absentFor is how long it is remembered that ZITADEL knows of no such OIDC session, and mostAbsent of how many.
	absentFor, mostAbsent = 2 * time.Second, 10_000
	// foundAtOnce is how many are looked for at a time, so that questions about sessions have places, too.
	foundAtOnce = 16
)

// Config says how ties are found. All fields are required.
type Config struct {
	// Find asks ZITADEL. It answers session.ErrNotFound if that knows of no such OIDC session; every other error means that
	// the answer is not known. (I2) It gives up when its context ends.
	Find func(ctx context.Context, oidcSession string) (session.Tie, error)
	// Timeout is the longest time that it takes to find one.
	Timeout time.Duration
	Keys    *keys.Space
	Reads   batch.Doer
	Writes  interface {
		Do(ctx context.Context, cmds ...redis.Cmder) error
	}
	// Clock is the store's. (I1)
	Clock func() session.Time
}

// Ties finds ties. It is safe for concurrent use.
type Ties struct {
	Config
	flights singleflight.Group
	places  *semaphore.Weighted
	absent  bounded.Cache[string, session.Time] // until when it counts
	// running are the flights under way; stop ends them. (I7)
	running sync.WaitGroup
	base    context.Context
	stop    context.CancelFunc
}

// New returns Ties. It starts nothing.
func New(c Config) *Ties {
	t := &Ties{Config: c, places: semaphore.NewWeighted(foundAtOnce), absent: bounded.InEntries[string, session.Time](mostAbsent)}
	t.base, t.stop = context.WithCancel(context.Background())
	return t
}

// Close ends all that is under way, and waits for it. Nothing may be asked afterwards.
func (t *Ties) Close() {
	if t != nil {
		t.stop()
		t.running.Wait()
	}
}

// errAbsent says that ZITADEL knows of no such OIDC session: it may be too young, or one of another ZITADEL. Only ZITADEL's
// own tokens name any, so that is no reason to refuse one. (I2)
var errAbsent = fmt.Errorf("%w: zitadel has no event that this OIDC session has begun", session.ErrUnavailable)

// Of returns the tie of an OIDC session. Every error is session.ErrUnavailable.
func (t *Ties) Of(ctx context.Context, oidcSession string) (session.Tie, error) {
	if _, err := session.ParseID(oidcSession); err != nil {
		return session.Tie{}, fmt.Errorf("%w: zitadel gives no such IDs to OIDC sessions", session.ErrUnavailable)
	}
	t.running.Add(1)
	flight := t.flights.DoChan(oidcSession, func() (any, error) {
		ctx, cancel := context.WithTimeout(t.base, t.Timeout)
		defer cancel()
		return t.look(ctx, oidcSession)
	})
	done := make(chan singleflight.Result, 1)
	go func() {
		defer t.running.Done()
		done <- <-flight
	}()
	select {
	case got := <-done:
		if got.Err != nil {
			return session.Tie{}, got.Err
		}
		return got.Val.(session.Tie), nil
	case <-ctx.Done(): // the flight goes on: who asks again finds what it has stored
		return session.Tie{}, unavailable(ctx.Err())
	}
}

// look looks for a tie in Redis, and then at ZITADEL.
func (t *Ties) look(ctx context.Context, oidcSession string) (session.Tie, error) {
	tie, known, err := t.read(ctx, oidcSession)
	if known || err != nil {
		return tie, err
	}
	if until, absent := t.absent.GetIfPresent(oidcSession); absent && t.Clock() < until {
		return tie, errAbsent
	}
	if err := t.places.Acquire(ctx, 1); err != nil {
		return tie, unavailable(err)
	}
	defer t.places.Release(1)
	tie, err = t.Find(ctx, oidcSession)
	switch {
	case errors.Is(err, session.ErrNotFound):
		t.absent.Set(oidcSession, t.Clock().Add(absentFor))
		return tie, errAbsent
	case err != nil:
		return tie, unavailable(err)
	}
	_ = t.Learn(ctx, oidcSession, tie) // what fails here is found again
	return tie, nil
}

// read returns the tie that Redis has.
func (t *Ties) read(ctx context.Context, oidcSession string) (tie session.Tie, known bool, err error) {
	call := batch.NewCall()
	defer call.Release()
	call.Add("get", t.Keys.Tie(oidcSession))
	if err := t.Reads.Do(ctx, call); err != nil {
		return tie, false, unavailable(err)
	}
	replies := call.Replies()
	text, found, err := replies.Text()
	if err != nil {
		return tie, false, unavailable(err)
	}
	if !found {
		return tie, false, nil
	}
	tie, err = session.ParseTie(string(text))
	return tie, err == nil, err
}

// Learn keeps a tie that somebody has come to know.
func (t *Ties) Learn(ctx context.Context, oidcSession string, tie session.Tie) error {
	reply := redis.NewStatusCmd(ctx, "set", t.Keys.Tie(oidcSession), tie.String(), "px", keptFor.Milliseconds())
	if err := t.Writes.Do(ctx, reply); err != nil {
		return unavailable(err)
	}
	if err := reply.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error {
	if errors.Is(err, session.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", session.ErrUnavailable, err)
}
