package near

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// clusterGuard watches the commands to one node of a Cluster. A load goes where the
// client believes the shard to be, and follows redirections (MOVED, ASK). It may be
// kept only if a master with a link answers it, because only a link tells of
// changes. So a command for keys that near caches hold, if it goes to a node that is
// not followed, ends the epoch before it is sent. Then no load that it answers is
// kept, because that load began in an earlier epoch.
//
// How a load L of a key of shard S, for which master N proves itself, can fall
// together with a move of S to master M, and a change C of the key there:
//
//	S moves, M has no link, L is sent to M (by ASK, by MOVED, or because the
//	client has learned of the move): M is not followed, L is not kept.
//	The same, and S moves back before N is asked the next time, so that N
//	proves itself all the while: the same. N would never have told of C.
//	S moves, M has a link, L is sent to M: L is kept, and M's link tells of C.
//	N answers the next question with ASK or MOVED, so nothing is used for longer
//	than bound/2, until M has proven to be the master.
//	L is sent to N and answered there, S moves, C: N proves itself until at most
//	bound/2 after C, for it does not know the key any more (Space.Never) from
//	when the move began. N's link also tells of the keys that moved.
//	L begins, the links are made anew because S has moved, L ends: the epoch is
//	another, L is not kept, whoever answered it.
//	L is sent while M is followed, and M's link ends: that ends the epoch, and only
//	then does the guard learn that M is not followed any more.
//	L is sent while M is not followed, and M is followed before L is answered: the
//	epoch has ended all the same.
//	N was a master, is a replica now, and M in its place: N sends L to M (MOVED),
//	which is the first case; the client never asks a replica to answer by itself.
//
// Where loads are read over links, no load is sent to M. But what this process writes there,
// N does not have, and N's link would answer without it (I4): so a command that may write
// a key to another node than the one whose link answers for the key's shard ends all proofs.
//
// A copy from N therefore is what N had, or N has told of its change; and at
// the instant of its youngest proof N was the master of the shard.
type clusterGuard struct {
	near *Cache
	// followed is the node as a master that a link goes to; nil if none does.
	followed atomic.Pointer[master]
}

// pass is called before commands are sent.
func (g *clusterGuard) pass(cmds ...redis.Cmder) {
	n, at := g.near, g.followed.Load()
	switch {
	case n.source.byKey:
		if len(n.tracker.following()) > 0 && slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return mayWrite(cmd) && touches(n.space, cmd, at) }) {
			n.MasterLost()
		}
	case at == nil:
		if slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return touches(n.space, cmd, nil) }) {
			n.epochs.renew()
		}
	}
}

// Keyed is a command that stands for others, which are sent in its place: their keys
// are not among its arguments (batch.Command).
type Keyed interface {
	Keys(yield func(key string) bool)
}

// mayWrite says whether a command may change something: all but frequent reads, which are
// Keyed unless they follow a redirection.
func mayWrite(cmd redis.Cmder) bool {
	if _, reads := cmd.(Keyed); reads {
		return false
	}
	switch cmd.Name() {
	case "get", "hget", "hmget", "zcard", "zrange", "zrevrange":
		return false
	}
	return true
}

// touches says whether a command names a key that near caches follow, of a shard that
// is not one of those of at, if at is not nil.
func touches(space *keys.Space, cmd redis.Cmder, at *master) bool {
	touched := func(key string) bool {
		return space.Follows(key) && (at == nil || !at.has(space.ShardOfKey(key)))
	}
	if k, ok := cmd.(Keyed); ok {
		for key := range k.Keys {
			if touched(key) {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(cmd.Args(), func(arg any) bool {
		text, ok := arg.(string)
		return ok && touched(text)
	})
}

// DialHook implements redis.Hook.
func (g *clusterGuard) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (g *clusterGuard) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		g.pass(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook, for pipelines and transactions.
func (g *clusterGuard) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		g.pass(cmds...)
		return next(ctx, cmds)
	}
}

// clusterGuards has the guard of every node that the clients of a Cluster know.
type clusterGuards struct {
	near  *Cache
	nodes sync.Map // weak.Pointer[redis.Client] of a node → *clusterGuard
}

// newClusterGuards guards every node that the clients know, now and later. It must
// be called before a client has followed a redirection to a node that is not one of
// the Cluster's masters and replicas.
func newClusterGuards(ctx context.Context, n *Cache, clients []*redis.ClusterClient) (*clusterGuards, error) {
	g := &clusterGuards{near: n}
	for _, c := range clients {
		c.OnNewNode(func(node *redis.Client) { g.of(node) })
		err := c.ForEachShard(ctx, func(_ context.Context, node *redis.Client) error {
			g.of(node)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// of returns the guard of a node; it adds one if there is none.
func (g *clusterGuards) of(node *redis.Client) *clusterGuard {
	key := weak.Make(node)
	have, was := g.nodes.LoadOrStore(key, &clusterGuard{near: g.near})
	it := have.(*clusterGuard)
	if !was {
		node.AddHook(it)
		runtime.AddCleanup(node, func(key weak.Pointer[redis.Client]) { g.nodes.Delete(key) }, key)
	}
	return it
}
