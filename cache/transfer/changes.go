package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// linkTimeout bounds the finding of the masters and the making of the links.
	linkTimeout = 5 * time.Second
	// proofTimeout bounds a proof that no change was missed.
	proofTimeout = 5 * time.Second
	// maxChanges is how many changes may wait to be exported.
	maxChanges = 1_000_000
)

// changes are what Redis has told of and is not exported yet. They come over a link to every master; with the first
// that is lost they are worth nothing.
type changes struct {
	keys   *keys.Space
	links  []*link
	group  *errgroup.Group
	notify chan struct{} // has something when there are changes, or there will be none
	pong   chan struct{} // has something when a ping was answered
	pings  time.Duration // how many were asked

	mu    sync.Mutex
	ids   map[session.ID]struct{}
	names map[session.EndName]struct{}
	err   error
}

// link is the connection to a master.
type link struct {
	*push.Link
	client   *redis.Client
	options  *redis.Options
	never    []string
	answered atomic.Int64 // the newest ping that was answered
}

// hear makes the links. Whoever gets changes closes them.
func hear(ctx context.Context, rdb redis.UniversalClient, space *keys.Space, name string) (*changes, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	c := &changes{keys: space, notify: make(chan struct{}, 1), pong: make(chan struct{}, 1), ids: map[session.ID]struct{}{}, names: map[session.EndName]struct{}{}, group: new(errgroup.Group)}
	links, err := linksOf(ctx, rdb, space, name)
	if err != nil {
		return nil, err
	}
	tracking := &push.Tracking{
		Prefixes: space.Moved(), Key: c.changed,
		All: func() { c.fail(errors.New("somebody has deleted all keys")) },
	}
	for _, l := range links {
		if l.Link, err = push.Dial(ctx, l.options, tracking); err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.links = append(c.links, l)
		c.group.Go(func() error {
			for {
				ping, err := l.Answered()
				if err != nil {
					c.fail(err)
					return nil
				}
				l.answered.Store(int64(ping))
				wake(c.pong)
			}
		})
	}
	return c, nil
}

// linksOf finds the masters that sessions are on. What a Cluster says may be old: each has to prove it.
func linksOf(ctx context.Context, rdb redis.UniversalClient, space *keys.Space, name string) ([]*link, error) {
	newLink := func(client *redis.Client) *link {
		o := *client.Options()
		o.ClientName = name
		return &link{client: client, options: &o}
	}
	switch rdb := rdb.(type) {
	case *redis.Client:
		return []*link{newLink(rdb)}, nil
	case *redis.ClusterClient:
		if _, err := redisinfo.Masters(ctx, rdb); err != nil { // which reads the topology
			return nil, err
		}
		var links []*link
		by := map[*redis.Client]*link{}
		for shard := range space.Shards() {
			never := space.Never(shard)
			node, err := rdb.MasterForKey(ctx, never)
			if err != nil {
				return nil, err
			}
			if by[node] == nil {
				by[node] = newLink(node)
				links = append(links, by[node])
			}
			by[node].never = append(by[node].never, never)
		}
		return links, nil
	}
	return nil, fmt.Errorf("who is master behind a %T is not known", rdb)
}

// changed is told of each key that has changed.
func (c *changes) changed(key []byte) {
	kind, _, name, _, ok := c.keys.Spelled(string(key))
	if !ok {
		return
	}
	if kind == keys.KindEnd {
		c.add(nil, []session.EndName{session.EndName(name)})
	} else {
		c.add([]session.ID{session.ID(name)}, nil)
	}
	wake(c.notify)
}

// add adds what has changed, or is not exported after all.
func (c *changes) add(ids []session.ID, names []session.EndName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.ids[id] = struct{}{}
	}
	for _, name := range names {
		c.names[name] = struct{}{}
	}
	if len(c.ids)+len(c.names) > maxChanges && c.err == nil {
		c.err = fmt.Errorf("more than %d changes wait to be exported: who takes them is too slow", maxChanges)
	}
}

// wake tells whoever waits for a channel, or will.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fail says that changes may be missed from now on.
func (c *changes) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	wake(c.notify)
}

// take returns some of what has changed, nothing if nothing has.
func (c *changes) take() (ids []session.ID, names []session.EndName, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, nil, c.err
	}
	for id := range c.ids {
		if len(ids) == batch {
			break
		}
		ids = append(ids, id)
		delete(c.ids, id)
	}
	for name := range c.names {
		if len(names) == batch {
			break
		}
		names = append(names, name)
		delete(c.names, name)
	}
	return ids, names, nil
}

// lostBy says whether an error of prove, or of changes, tells that changes may be missed. Others may pass.
func (c *changes) lostBy(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil || errors.Is(err, push.ErrDeposed) || errors.Is(err, push.ErrMoved)
}

// prove makes sure that all that has changed before was told: every master is what it was, has its shards, and has
// answered on its link.
func (c *changes) prove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	c.pings++
	for _, l := range c.links {
		if err := push.Prove(ctx, l.client, l.Server(), l.never); err != nil {
			return err
		}
		if err := l.Ping(c.pings, proofTimeout); err != nil {
			return err
		}
	}
	for _, l := range c.links {
		for l.answered.Load() < int64(c.pings) {
			select {
			case <-c.pong:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// close ends the links, and waits for what reads from them. (I7)
func (c *changes) close() error {
	for _, l := range c.links {
		l.Close()
	}
	return c.group.Wait()
}
