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

// replicas has deletions wait until replicas have them. WAIT counts what its own
// connection has written, so it travels behind the scripts, in their round trip;
// and as it holds up whatever comes behind it, these have round trips of their
// own, at most two at a time, which concurrent deletions share. One WAIT behind
// all of them is enough for all.
type replicas struct {
	s       *Store
	wanted  int
	timeout time.Duration

	mu      sync.Mutex
	masters map[string]*lane // by address; one, under "", where there is no Cluster

	fewer  atomic.Uint64
	fault  atomic.Pointer[string] // why WAIT fails, nil if it does not
	mLog   sync.Mutex
	logged time.Time
	untold int
}

// lane is where deletions wait together.
type lane struct {
	client *redis.Client
	trips  *batch.Batcher
}

func newReplicas(s *Store, wanted int, timeout time.Duration) *replicas {
	if wanted <= 0 {
		return nil
	}
	return &replicas{s: s, wanted: wanted, timeout: timeout, masters: make(map[string]*lane)}
}

// wait makes the command that waits. Its time is at least 1 ms: 0 would be for ever.
func (r *replicas) wait() redis.Cmder {
	return redis.NewIntCmd(context.Background(), "wait", r.wanted, max(r.timeout.Milliseconds(), 1))
}

// tripsTo returns where deletions of a key wait.
func (r *replicas) tripsTo(ctx context.Context, key string) (*batch.Batcher, error) {
	config := batch.Config{Timeout: tripTimeout, Last: r.wait}
	r.mu.Lock()
	defer r.mu.Unlock()
	cluster, ok := r.s.rdb.(*redis.ClusterClient)
	if !ok {
		if r.masters[""] == nil {
			r.masters[""] = &lane{trips: batch.New(r.s.rdb, config)}
		}
		return r.masters[""].trips, nil
	}
	// A command without a key goes to any node: the node's own client is needed.
	client, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil, err
	}
	addr := client.Options().Addr
	if m := r.masters[addr]; m == nil || m.client != client {
		r.masters[addr] = &lane{client, batch.New(client, config)}
		if m != nil {
			m.trips.Close() // I7; its client was closed, so nothing takes long
		}
	}
	return r.masters[addr].trips, nil
}

// close waits for the round trips under way. (I7)
func (r *replicas) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.masters {
		m.trips.Close()
	}
}

// run runs delete.lua as runScript does, and waits for replicas. If a lost
// reply is asked for again, it is waited again too.
func (r *replicas) run(ctx context.Context, keys []string, args []any) (result string, got Acknowledged, err error) {
	got.Wanted = r.wanted
	moved := false
	err = repeat(ctx, func(bool) error {
		trips, err := r.tripsTo(ctx, keys[0])
		if err != nil {
			return err
		}
		reply := redis.NewCmd(ctx, evalWords("evalsha", deleteScript.Hash(), keys, args)...)
		last, err := trips.DoLast(ctx, reply)
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			reply = redis.NewCmd(ctx, evalWords("eval", deleteLua, keys, args)...)
			last, err = trips.DoLast(ctx, reply)
		}
		if err != nil {
			moved = redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "TRYAGAIN")
			return err
		}
		got.Replicas = r.count(last)
		result, err = reply.Text()
		return err
	})
	if moved {
		// The slot is on its way to another master: the deletion goes first.
		result, _, err = r.s.runScript(ctx, deleteScript, keys, args)
	}
	if err == nil && got.Fewer() && (result == "ok" || result == "done") {
		r.tell(got)
	}
	return result, got, err
}

// count returns how many replicas have acknowledged. A WAIT that fails is one
// that none has.
func (r *replicas) count(last redis.Cmder) int {
	if last == nil {
		return 0
	}
	if err := last.Err(); err != nil {
		text := err.Error()
		r.fault.Store(&text)
		return 0
	}
	r.fault.Store(nil)
	return int(last.(*redis.IntCmd).Val())
}

// tell counts a deletion that fewer replicas have than wanted, and logs it now
// and then.
func (r *replicas) tell(got Acknowledged) {
	r.fewer.Add(1)
	r.mLog.Lock()
	defer r.mLog.Unlock()
	r.untold++
	if time.Since(r.logged) < unreplicatedLogEvery {
		return
	}
	attrs := []any{slog.Int("deletions", r.untold), slog.Int("acknowledged", got.Replicas), slog.Int("wanted", got.Wanted), slog.String("within", r.timeout.String())}
	if fault := r.fault.Load(); fault != nil {
		attrs = append(attrs, slog.String("error", *fault))
	}
	r.s.log.Warn("deletions are not acknowledged by enough replicas: a failover could undo them", attrs...)
	r.logged, r.untold = time.Now(), 0
}

// check asks whether WAIT may be sent, so that it is known from the start.
func (r *replicas) check(ctx context.Context) {
	if r == nil {
		return
	}
	if err := r.s.rdb.Do(ctx, "wait", 0, 1).Err(); err != nil {
		text := err.Error()
		r.fault.Store(&text)
		r.s.log.Warn("WAIT fails: no deletion will be known to be on a replica", "error", err)
	}
}

// state says in a few words how it is, for people.
func (r *replicas) state() string {
	switch {
	case r == nil:
		return "off"
	case r.fault.Load() != nil:
		return "WAIT fails: " + *r.fault.Load()
	}
	return fmt.Sprintf("on, for %d of them, %v at most", r.wanted, r.timeout)
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

// ConfirmDeleted is for who was asked to delete a session and has found none: it
// waits for replicas, as Delete does, so that what another Delete has done is
// known to be there, and remembers the deletion if there was one.
func (s *Store) ConfirmDeleted(ctx context.Context, id session.ID) (got Acknowledged, err error) {
	if s.replicas == nil && s.graves == nil {
		return got, nil
	}
	tombstone := redis.NewStringCmd(ctx, "get", s.keys.Tombstone(id))
	if r := s.replicas; r != nil {
		got.Wanted = r.wanted
		var trips *batch.Batcher
		if trips, err = r.tripsTo(ctx, s.keys.Tombstone(id)); err != nil {
			return got, unavailable(err)
		}
		var last redis.Cmder
		last, err = trips.DoLast(ctx, tombstone)
		got.Replicas = r.count(last)
	} else {
		err = s.gets.Do(ctx, tombstone)
	}
	if err != nil && !errors.Is(err, redis.Nil) {
		return got, unavailable(err)
	}
	s.remember(id, tombstone.Val())
	return got, nil
}

// FailoverStats is what is known of deletions that a failover undid or may undo.
type FailoverStats struct {
	// Unreplicated counts deletions that fewer replicas than wanted had
	// acknowledged in time.
	Unreplicated uint64
	// Remembered is how many deletions are remembered now.
	Remembered int
	// Resurrected counts how often a session was met that had been deleted,
	// Buried how many of those were deleted again.
	Resurrected, Buried uint64
	// Wait says in a few words how waiting for replicas is, for people.
	Wait string
}

// FailoverStats returns what is known of deletions that a failover undid or may undo.
func (s *Store) FailoverStats() FailoverStats {
	f := FailoverStats{Buried: s.buried.Load(), Wait: s.replicas.state()}
	if s.replicas != nil {
		f.Unreplicated = s.replicas.fewer.Load()
	}
	if s.graves != nil {
		f.Remembered, f.Resurrected = int(s.graves.count.Load()), s.graves.returned.Load()
	}
	return f
}
