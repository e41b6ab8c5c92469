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

// On a Cluster a load goes where the client believes the shard to be, and
// follows where it is sent (MOVED, ASK). It may be kept only if a master
// answers it that a link goes to, and nobody else tells what it has changed. So
// a gate stands at each node's connections. It is open while the node is
// followed; a command that a closed one lets pass, and that reads what near
// caches hold, ends the epoch before it is sent. Then no load that it answers is
// kept: those that it belongs to began before.
//
// How a load L of a key of shard S, for which master N proves itself, can fall
// together with a move of S to master M, and a change C of the key there:
//
//	S moves, M has no link, L is sent to M (by ASK, by MOVED, or because the
//	client has learned of the move): M's gate is closed, L is not kept.
//	The same, and S moves back before N is asked the next time, so that N
//	proves itself all the while: the same. N would never have told of C.
//	S moves, M has a link, L is sent to M: L is kept, and M's link tells of C.
//	N answers the next question with ASK or MOVED, so nothing is used for longer
//	than bound/2, until M has proven to be the master.
//	L is sent to N and answered there, S moves, C: N proves itself until at most
//	bound/2 after C, for it does not know the key any more (Space.Never) from
//	when the move began. What moved is told by N's link besides.
//	L begins, the links are made anew because S has moved, L ends: the epoch is
//	another, L is not kept, whoever answered it.
//	L is sent through M's gate, still open, and M's link ends: its end ends the
//	epoch, and closes the gate after that.
//	M's gate is closed when L comes to it, and opens before L is answered: the
//	epoch has ended all the same.
//	N was a master, is a replica now, and M in its place: N sends L to M (MOVED),
//	which is the first case; the client never asks a replica to answer by itself.
//
// A copy from N therefore is what N had, or N has told of its change; and at
// the instant of its youngest proof N was the master of the shard.
type gate struct {
	near *Cache
	open atomic.Bool
}

// pass lets commands pass.
func (g *gate) pass(cmds ...redis.Cmder) {
	if !g.open.Load() && slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return touches(g.near.space, cmd) }) {
		g.near.epochs.renew()
	}
}

// touches says whether a command names a key that near caches follow.
func touches(space *keys.Space, cmd redis.Cmder) bool {
	return slices.ContainsFunc(cmd.Args(), func(arg any) bool {
		text, ok := arg.(string)
		return ok && space.Follows(text)
	})
}

// DialHook implements redis.Hook.
func (g *gate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		g.pass(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook, for pipelines and transactions.
func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		g.pass(cmds...)
		return next(ctx, cmds)
	}
}

// gates are those of all nodes that the clients of a Cluster have to do with.
type gates struct {
	near  *Cache
	nodes sync.Map // weak.Pointer[redis.Client] of a node → *gate
}

// newGates sets a gate to every node that the clients know, and will know. It
// must be called before one of them has followed anybody to a node that is none
// of the Cluster's masters and replicas.
func newGates(ctx context.Context, n *Cache, clients []*redis.ClusterClient) (*gates, error) {
	g := &gates{near: n}
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

// of returns the gate of a node, which it sets if there is none.
func (g *gates) of(node *redis.Client) *gate {
	key := weak.Make(node)
	have, was := g.nodes.LoadOrStore(key, &gate{near: g.near})
	it := have.(*gate)
	if !was {
		node.AddHook(it)
		runtime.AddCleanup(node, func(key weak.Pointer[redis.Client]) { g.nodes.Delete(key) }, key)
	}
	return it
}
