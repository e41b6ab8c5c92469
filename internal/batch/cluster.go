package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// redirects is how often commands are sent again that a node of a cluster
	// has refused because their slot moves.
	redirects = 7
	// firstRedirect is the pause before the second of these; it doubles.
	firstRedirect = 5 * time.Millisecond
)

// Cluster shares round trips to the masters of a Redis Cluster: it has a
// Batcher for each, so that a slow or dead master holds up nobody but those who
// ask it. Its methods may be called concurrently.
//
// A command goes to the master of its first key. One that a node refuses because
// its slot is elsewhere or on its way (MOVED, ASK, TRYAGAIN), and which it
// therefore has not run, is sent again, a few times within about a third of a
// second. One whose reply was lost is not: only its caller knows whether it may
// run twice.
type Cluster struct {
	masters[*Batcher]
	rdb *redis.ClusterClient
	c   Config
}

// NewCluster returns a Cluster over rdb, whose clients of single nodes must not
// retry (they do not, by default). c bounds the Batcher of each master. It must
// be closed before rdb is.
func NewCluster(rdb *redis.ClusterClient, c Config) *Cluster {
	return &Cluster{rdb: rdb, c: c, masters: newMasters(func(master *redis.Client) *Batcher { return New(master, c) })}
}

// Do is as Batcher.Do. cmds of several masters are sent side by side, and
// those of one in their order.
func (c *Cluster) Do(ctx context.Context, cmds ...redis.Cmder) error {
	_, err := c.DoLast(ctx, cmds...)
	return err
}

// DoLast is as Batcher.DoLast. last is nil also if cmds went to several masters,
// or were sent again.
func (c *Cluster) DoLast(ctx context.Context, cmds ...redis.Cmder) (last redis.Cmder, err error) {
	if err := ctx.Err(); err != nil || len(cmds) == 0 {
		return nil, err
	}
	var few share // on the stack
	masters, parts, err := c.split(ctx, few.masters[:0], few.parts[:0], cmds)
	to := few.to[:0]
	if err == nil {
		to, err = find(&c.masters, to, masters)
	}
	switch {
	case err != nil:
		setError(cmds, err)
		return nil, err
	case len(to) == 1:
		last = send(ctx, to[0], cmds)
	default:
		var group sync.WaitGroup
		for i := range to {
			group.Go(func() { send(ctx, to[i], parts[i]) })
		}
		group.Wait() // I7
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // cmds may belong to a batch still
	}
	if follow(ctx, c.rdb, c.c.timeout(), cmds) {
		last = nil
	}
	return last, firstError(cmds)
}

// share has room for what a few masters get.
type share struct {
	masters [4]*redis.Client
	parts   [4][]redis.Cmder
	to      [4]*Batcher
}

// split adds to masters and parts, which are empty, what each master gets.
func (c *Cluster) split(ctx context.Context, masters []*redis.Client, parts [][]redis.Cmder, cmds []redis.Cmder) ([]*redis.Client, [][]redis.Cmder, error) {
	for i, cmd := range cmds {
		master, err := c.rdb.MasterForKey(ctx, keyOf(cmd))
		if err != nil {
			return nil, nil, err
		}
		at := slices.Index(masters, master)
		switch {
		case len(masters) == 0: // most calls have one master: they need no copy
			masters, parts = append(masters, master), append(parts, cmds[:1:1])
		case at < 0:
			masters, parts = append(masters, master), append(parts, []redis.Cmder{cmd})
		case len(masters) == 1:
			parts[0] = cmds[: i+1 : i+1]
		default:
			parts[at] = append(parts[at], cmd)
		}
	}
	return masters, parts, nil
}

// send sends commands to one master. Each has its reply or an error then,
// unless ctx has ended.
func send(ctx context.Context, to *Batcher, cmds []redis.Cmder) (last redis.Cmder) {
	last, err := to.DoLast(ctx, cmds...)
	if errors.Is(err, ErrClosed) || errors.Is(err, ErrFull) {
		setError(cmds, err) // nothing was sent
	}
	return last
}

func setError(cmds []redis.Cmder, err error) {
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// keyOf returns the first key of a command.
func keyOf(cmd redis.Cmder) string {
	args, at := cmd.Args(), 1
	switch cmd.Name() {
	case "eval", "evalsha":
		at = 3
	}
	if at >= len(args) {
		return ""
	}
	key, _ := args[at].(string)
	return key
}

// follow sends those commands again that were not run because of where they
// were sent. Each has its reply or an error then. It reports whether there were any.
func follow(ctx context.Context, rdb *redis.ClusterClient, timeout time.Duration, cmds []redis.Cmder) (were bool) {
	pause := firstRedirect
	for try := range redirects {
		var again []redis.Cmder
		lost := false
		for _, cmd := range cmds {
			switch err := cmd.Err(); {
			case err == nil || errors.Is(err, redis.Nil):
			case isRedirect(err):
				again = append(again, once{cmd})
			default:
				_, answered := errors.AsType[redis.Error](err)
				lost = lost || !answered
			}
		}
		if lost { // perhaps another node is the master now
			rdb.ReloadState(ctx)
		}
		if len(again) == 0 || ctx.Err() != nil {
			return were
		}
		were = true
		if try > 0 {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return were
			case <-timer.C:
			}
			pause *= 2
		}
		tripCtx, cancel := context.WithTimeout(ctx, timeout)
		pipe := rdb.Pipeline()
		_ = pipe.BatchProcess(tripCtx, again...) // only takes them
		_, _ = pipe.Exec(tripCtx)                // each has its error
		cancel()
	}
	return were
}

// isRedirect says that a command was not run because of where it was sent.
func isRedirect(err error) bool {
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	// A node that has left the cluster has its client closed.
	return moved || ask || redis.IsTryAgainError(err) || errors.Is(err, redis.ErrClosed)
}

// once is a command that the client does not repeat by itself.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true }
