package near

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/redis/go-redis/v9"
)

// followedMaster is a master that is followed: the link to it, and what is proven of it.
type followedMaster struct {
	*master
	tracker *tracker
	index   int // among those that are followed
	conn    *push.Link
	reads   *batch.LinkReads // over conn; nil if loads are not read over it
	proofs  *proofs
	lag     atomic.Int64 // ns that the newest answer on the link took
	// why says what keeps the master from being proven; nil if nothing does.
	why atomic.Pointer[string]
}

// guard tells the guards of the master whether it is followed.
func (m *followedMaster) guard(followed bool) {
	var it *master
	if followed {
		it = m.master
	}
	for _, g := range m.guards {
		g.followed.Store(it)
	}
}

// searchDials is how many connections are made to find the server of the link where
// searches go. An address that is balanced over as many servers, in turn, leads there. With
// one connection an attempt would make two, and behind such an address of two servers the
// link would never get to the master.
const searchDials = 8

// checkSearches makes sure that searches go to the server of the link. Behind
// Sentinels the question alone has their client leave a master that was replaced.
func (m *followedMaster) checkSearches(ctx context.Context) error {
	if m.searches == nil {
		return nil
	}
	for range searchDials {
		there, err := push.Dial(ctx, m.searches, nil)
		if err != nil {
			return fmt.Errorf("a connection for searches: %w", err)
		}
		there.Close()
		if there.Server() == m.conn.Server() {
			return nil
		}
	}
	return errors.New("searches go to another server than single reads")
}

// read applies what comes, and takes answers as proofs.
func (m *followedMaster) read() error {
	n := m.tracker.near
	for {
		asked, err := m.conn.Answered()
		if err != nil {
			return err
		}
		sent := instant(asked)
		n.fresh.proveLink(m.proofs, sent)
		m.lag.Store(int64(n.fresh.clock() - sent))
		n.saw(Event{What: "link", Master: m.index, Sent: time.Duration(sent)})
	}
}

// ping asks every bound/4, from the first moment on. A link that has not
// answered for long is given up: the other end may be gone without a word.
func (m *followedMaster) ping(ctx context.Context) error {
	fresh := m.tracker.near.fresh
	silent := max(3*fresh.bound, 3*time.Second)
	begun := fresh.clock()
	return m.every(ctx, func() error {
		now := fresh.clock()
		if fresh.linkAge(m.proofs) > silent && time.Duration(now-begun) > silent {
			return fmt.Errorf("redis has not answered on the connection for invalidations for %v", silent)
		}
		err := m.conn.Ping(time.Duration(now), silent)
		m.tracker.near.saw(Event{What: "ping", Master: m.index, Sent: time.Duration(now)})
		return err
	})
}

// prove asks, every bound/4, on an ordinary connection, whether who answers
// there is the server of the link, a master, and has its shards. proven is told
// each time that it is.
func (m *followedMaster) prove(ctx context.Context, proven func()) error {
	n := m.tracker.near
	return m.every(ctx, func() error {
		sent := n.fresh.clock()
		err := m.ask(ctx)
		switch {
		case errors.Is(err, push.ErrDeposed), errors.Is(err, push.ErrMoved), errors.Is(err, redis.ErrClosed):
			return err
		case err != nil: // proofs grow old by themselves
			m.unproven(ctx, err)
			n.saw(Event{What: "master away", Master: m.index, Sent: time.Duration(sent)})
			return nil
		}
		if m.why.Swap(nil) != nil {
			m.tracker.log.Info("near cache: redis proves to be a master again", "address", m.address())
		}
		if n.fresh.gap(m.proofs, sent) {
			n.flush()
		}
		n.fresh.proveMaster(m.proofs, sent)
		n.saw(Event{What: "master", Master: m.index, Sent: time.Duration(sent)})
		proven()
		return nil
	})
}

// ask asks the master in one round trip for all that proves it.
func (m *followedMaster) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(m.tracker.near.fresh.bound, 100*time.Millisecond))
	defer cancel()
	return push.Prove(ctx, m.client, m.conn.Server(), m.never)
}

// unproven notes that the master could not be proven, and logs the first time.
func (m *followedMaster) unproven(ctx context.Context, err error) {
	why := fmt.Sprintf("%s does not prove to be a master (ROLE, INFO): %v", m.address(), err)
	if len(m.never) > 0 {
		why = fmt.Sprintf("%s does not prove to be the master of its shards (ROLE, INFO, GET): %v", m.address(), err)
	}
	if m.why.Swap(&why) == nil && ctx.Err() == nil {
		m.tracker.log.Warn("near cache is not used until redis proves to be a master", "address", m.address(), "error", err)
	}
}

// stats returns what is known of the master.
func (m *followedMaster) stats() MasterStats {
	return MasterStats{Address: m.address(), Linked: true, ProofAge: m.tracker.near.fresh.ageOf(m.proofs), Lag: time.Duration(m.lag.Load())}
}

func (m *followedMaster) address() string { return m.conn.Address() }

// every does a step now and every bound/4 until it fails or ctx ends.
func (m *followedMaster) every(ctx context.Context, step func() error) error {
	ticks, stop := m.tracker.tick(max(m.tracker.near.fresh.bound/4, time.Millisecond))
	defer stop()
	for {
		if err := step(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks:
		}
	}
}
