package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// Acknowledged says how many replicas have a deletion.
type Acknowledged struct {
	// Replicas have acknowledged it, of the Wanted ones that were waited for; both
	// are 0 if none are.
	Replicas, Wanted int
}

// Fewer says that fewer replicas than wanted have acknowledged it in time: a
// failover may undo it.
func (a Acknowledged) Fewer() bool { return a.Replicas < a.Wanted }

// unreplicatedLogEvery is how often at most it is logged that replicas did not
// acknowledge deletions in time.
const unreplicatedLogEvery = 10 * time.Second

// acknowledging has deletions wait until replicas have them. WAIT counts what its
// own connection has written, so it travels behind the scripts, in their round
// trip, to the master that runs them; and as it holds up whatever comes behind
// it, these have round trips of their own, at most two at a time for each master,
// which concurrent deletions share. One WAIT behind all of them is enough for all.
type acknowledging struct {
	log     *slog.Logger
	wanted  int
	timeout time.Duration
	trips   interface {
		DoLast(ctx context.Context, cmds ...redis.Cmder) (last redis.Cmder, err error)
		Stats() batch.Stats
		Close()
	}

	fewer atomic.Uint64
	fault atomic.Pointer[string] // why WAIT fails, nil if it does not

	mu     sync.Mutex
	logged time.Time
	untold int
}

// newAcknowledging returns nil if no replica is wanted.
func newAcknowledging(rdb redis.UniversalClient, wanted int, timeout time.Duration, log *slog.Logger) *acknowledging {
	if wanted <= 0 {
		return nil
	}
	if timeout <= 0 {
		timeout = defaultRevokeWait
	}
	a := &acknowledging{log: log, wanted: wanted, timeout: timeout}
	c := batch.Config{Timeout: tripTimeout, Last: a.wait}
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		a.trips = batch.NewCluster(cluster, c)
	} else {
		a.trips = batch.New(rdb, c)
	}
	return a
}

// wait makes the command that waits. Its time is at least 1 ms: 0 would be for ever.
func (a *acknowledging) wait() redis.Cmder {
	return redis.NewIntCmd(context.Background(), "wait", a.wanted, max(a.timeout.Milliseconds(), 1))
}

// close waits for the round trips under way. (I7)
func (a *acknowledging) close() {
	if a != nil {
		a.trips.Close()
	}
}

// run runs a script as runScript does, and waits for replicas. If a lost
// reply is asked for again, it is waited again too.
func (a *acknowledging) run(ctx context.Context, script *redis.Script, text string, keys []string, args []any) (result string, got Acknowledged, err error) {
	got.Wanted = a.wanted
	err = repeat(ctx, func(bool) error {
		reply := redis.NewCmd(ctx, evalWords("evalsha", script.Hash(), keys, args)...)
		last, err := a.trips.DoLast(ctx, reply)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			reply = redis.NewCmd(ctx, evalWords("eval", text, keys, args)...)
			last, err = a.trips.DoLast(ctx, reply)
		}
		if err != nil {
			return err
		}
		got.Replicas = a.count(last)
		result, err = reply.Text()
		return err
	})
	if err == nil && got.Fewer() && (result == "ok" || result == "done") {
		a.tell(got)
	}
	return result, got, err
}

// count returns how many replicas have acknowledged. None has if WAIT fails, or
// was not sent, because the slot was on its way to another master.
func (a *acknowledging) count(last redis.Cmder) int {
	if last == nil {
		return 0
	}
	if err := last.Err(); err != nil {
		text := err.Error()
		a.fault.Store(&text)
		return 0
	}
	a.fault.Store(nil)
	return int(last.(*redis.IntCmd).Val())
}

// tell counts a deletion that fewer replicas have than wanted, and logs it now
// and then.
func (a *acknowledging) tell(got Acknowledged) {
	a.fewer.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.untold++
	if time.Since(a.logged) < unreplicatedLogEvery {
		return
	}
	attrs := []any{slog.Int("deletions", a.untold), slog.Int("acknowledged", got.Replicas), slog.Int("wanted", got.Wanted), slog.String("within", a.timeout.String())}
	if fault := a.fault.Load(); fault != nil {
		attrs = append(attrs, slog.String("error", *fault))
	}
	a.log.Warn("deletions are not acknowledged by enough replicas: a failover could undo them", attrs...)
	a.logged, a.untold = time.Now(), 0
}

// probe asks a server whether WAIT may be sent, so that it is known from the start.
func (a *acknowledging) probe(ctx context.Context, master redis.UniversalClient) {
	if a == nil {
		return
	}
	if err := master.Do(ctx, "wait", 0, 1).Err(); err != nil {
		text := err.Error()
		a.fault.Store(&text)
		a.log.Warn("WAIT fails: no deletion will be known to be on a replica", "error", err)
	}
}

// state says in a few words how it is, for people.
func (a *acknowledging) state() string {
	switch {
	case a == nil:
		return "off"
	case a.fault.Load() != nil:
		return "WAIT fails: " + *a.fault.Load()
	}
	return fmt.Sprintf("on, for %d of them, %v at most", a.wanted, a.timeout)
}

// evalWords are the words of EVAL or EVALSHA.
func evalWords(verb, script string, keys []string, args []any) []any {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, verb, script, len(keys))
	for _, key := range keys {
		words = append(words, key)
	}
	return append(words, args...)
}

// noVersion is a version that no session has.
const noVersion = "-"

// ConfirmDeleted is for a caller that is to delete a session and has found none. A
// replica may lack one that its master has, so a script that replicas refuse looks
// again: session.ErrConflict says that there is one, or was a moment ago. Then it waits for replicas, as
// Delete does, so that what another Delete has done is known to be there, and
// remembers the deletion if there was one.
func (s *Store) ConfirmDeleted(ctx context.Context, id session.ID) (got Acknowledged, err error) {
	shard := s.keys.ShardOf(id)
	scriptKeys := []string{s.keys.Session(id), s.keys.Tombstone(id), s.keys.Created(shard), s.keys.Catalogue(shard), s.keys.Pending(shard)}
	args := []any{noVersion, string(id), "", "", 0, 0, "", "", 0}
	var result, tombstone *redis.StringCmd
	ask := func(verb, script string) error {
		result = redis.NewStringCmd(ctx, evalWords(verb, script, scriptKeys, args)...)
		tombstone = redis.NewStringCmd(ctx, "get", s.keys.Tombstone(id))
		if s.acks == nil {
			return s.writes.Do(ctx, result, tombstone)
		}
		got.Wanted = s.acks.wanted
		last, err := s.acks.trips.DoLast(ctx, result, tombstone)
		if err == nil {
			got.Replicas = s.acks.count(last)
		}
		return err
	}
	if err = ask("evalsha", deleteScript.Hash()); redis.HasErrorPrefix(err, "NOSCRIPT") {
		err = ask("eval", deleteLua)
	}
	if err != nil {
		return got, unavailable(err)
	}
	if result.Val() == "conflict" {
		// One that is due counts as none. (I1)
		stored, err := s.readFresh(ctx, id)
		switch {
		case err != nil:
			return got, err
		case stored == nil:
			return got, session.ErrConflict
		case stored.Due(s.clock()):
		case !s.remembered.Forbids(stored, s.clock()):
			return got, session.ErrConflict
		default: // this process has deleted it, and it is back: other processes still see it
			last, _ := s.remembered.Last(id, s.clock())
			deleted, err := s.delete(ctx, stored, reasonReturned, last, true)
			if errors.Is(err, session.ErrNotFound) { // somebody else was faster, and its replicas are not waited for
				return got, session.ErrConflict
			}
			if err != nil {
				return got, err
			}
			s.redeleted.Add(1)
			return deleted.Acknowledged, nil
		}
	}
	s.remembered.AddTombstone(id, tombstone.Val(), s.clock())
	return got, nil
}

// FailoverStats is what is known of deletions that a failover undid or may undo.
type FailoverStats struct {
	// Unreplicated counts deletions that fewer replicas than wanted had
	// acknowledged in time.
	Unreplicated uint64
	// Remembered is how many deletions are remembered now.
	Remembered int
	// Ends is how many ends of logins are remembered now.
	Ends int
	// Resurrected counts the deleted sessions that were in Redis again, and were
	// deleted again.
	Resurrected uint64
	// Wait says in a few words how waiting for replicas is, for people.
	Wait string
	// WaitFails says that replicas are to be waited for and Redis refuses WAIT.
	WaitFails bool
}

// FailoverStats returns what is known of deletions that a failover undid or may undo.
func (s *Store) FailoverStats() FailoverStats {
	f := FailoverStats{Remembered: s.remembered.Len(), Ends: s.ends.Len(), Resurrected: s.redeleted.Load(), Wait: s.acks.state()}
	if s.acks != nil {
		f.Unreplicated, f.WaitFails = s.acks.fewer.Load(), s.acks.fault.Load() != nil
	}
	return f
}
