package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/push"
)

const (
	// markEvery is the default of ExportConfig.marks.
	markEvery = time.Second
	// Between two attempts to get a link the pause doubles from the first to the last.
	firstRelink, lastRelink = 100 * time.Millisecond, 5 * time.Second
	// unprovenFor is how long it may fail to be proven, while Redis is busy.
	unprovenFor = 30 * time.Second
	// lastWords bounds what is still exported when an export that follows changes is stopped.
	lastWords = 5 * time.Second
)

// followChanges exports everything, and then every change, until ctx ends. Whenever changes may have been missed, it
// exports everything anew.
func (e *exporter) followChanges(ctx context.Context) error {
	sound := e.begun // no change before it was missed
	for pause := firstRelink; ; pause = min(2*pause, lastRelink) {
		passes := e.done.Passes
		err := e.followLinks(ctx)
		if e.done.Passes > passes {
			pause = firstRelink
		}
		sound = max(sound, e.caughtUp)
		off := new(push.OffError)
		switch {
		case err == nil, e.lost != nil:
			return err
		case ctx.Err() != nil && e.done.Passes == 0:
			return fmt.Errorf("%w: not everything was exported once", ctx.Err())
		case ctx.Err() != nil: // stopped while there was no link
			return fmt.Errorf("what has changed since %s is not exported: %w", e.caughtUp.Std().Format(time.RFC3339), err)
		case errors.As(err, &off), acl.Forbidden(err):
			return err
		case e.now().Sub(sound) > resumeFor:
			return fmt.Errorf("no changes were heard of since %s: %w", sound.Std().Format(time.RFC3339), ErrTooLong)
		}
		e.Logger.Warn("changes may have been missed: everything is exported anew", "because", err, "in", pause.String())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// followLinks exports everything and every change, until the links are lost. It returns nil if ctx has ended and all is exported.
func (e *exporter) followLinks(ctx context.Context) (err error) {
	c, err := hear(ctx, e.rdb, e.keys, e.ClientName)
	if err != nil {
		return err
	}
	e.between = func(ctx context.Context) error { return e.drain(ctx, c) }
	defer func() {
		err = errors.Join(err, c.close())
		e.between = func(context.Context) error { return nil }
	}()
	e.seen = 0
	if e.expected, err = e.count(ctx); err != nil {
		return err
	}
	// What was revoked comes first: it is urgent where somebody is served already.
	if err := e.revoked(ctx, nil); err != nil {
		return err
	}
	if err := e.sessions(ctx); err != nil {
		return err
	}
	e.done.Passes++
	ticker := time.NewTicker(e.marks)
	defer ticker.Stop()
	for proven := time.Now(); ; {
		err := e.sayCaughtUp(ctx, c)
		if err == nil {
			proven = time.Now()
		}
		hopeless := func(err error) bool {
			return err != nil && (e.lost != nil || c.lostBy(err) || time.Since(proven) > unprovenFor)
		}
		if hopeless(err) {
			return err
		}
		for marked := false; !marked; {
			select {
			case <-ctx.Done():
				lastCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
				defer cancel()
				return e.sayCaughtUp(lastCtx, c)
			case <-c.notify:
				if err := e.drain(ctx, c); hopeless(err) {
					return err
				}
			case <-ticker.C:
				marked = true
			}
		}
	}
}

// drain exports all that has changed.
func (e *exporter) drain(ctx context.Context, c *changes) error {
	for wrote := false; ; wrote = true {
		ids, names, err := c.take()
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			err = e.standing(ctx, ids, nil)
		}
		if len(names) > 0 && err == nil {
			err = e.ended(ctx, names)
		}
		switch {
		case err != nil:
			c.add(ids, names)
			return err
		case len(ids)+len(names) == 0 && wrote:
			return e.flush()
		case len(ids)+len(names) == 0:
			return nil
		}
	}
}

// sayCaughtUp exports all changes until now, and says so.
func (e *exporter) sayCaughtUp(ctx context.Context, c *changes) error {
	if err := e.measure(ctx); err != nil {
		return err
	}
	now := e.now()
	if err := c.prove(ctx); err != nil {
		return err
	}
	if err := e.drain(ctx, c); err != nil {
		return err
	}
	e.caughtUp = now
	if err := e.write(&special{Mark: &Mark{now.Std(), e.done.Passes}}); err != nil {
		return err
	}
	e.tell()
	return e.flush()
}
