package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// ClusterReads is Reads for a Redis Cluster. It finds masters, and follows slots that
// move, as a Cluster does.
type ClusterReads struct {
	masters[*Reads]
	rdb *redis.ClusterClient
	c   Config
}

// NewClusterReads returns ClusterReads over rdb, for which NewCluster's conditions hold.
// It is best made before rdb is used: then all connections are wrapped when they are made.
func NewClusterReads(rdb *redis.ClusterClient, c Config) *ClusterReads {
	rdb.OnNewNode(func(node *redis.Client) { underWayOf(node) })
	return &ClusterReads{rdb: rdb, c: c, masters: newMasters(func(master *redis.Client) *Reads { return NewReads(master, c) })}
}

// readShare has the call that one master gets, if there are several.
type readShare = share[*Reads, *Call]

// Do is as Reads.Do. Commands for several masters are sent side by side, and those
// of one in their order.
func (c *ClusterReads) Do(ctx context.Context, call *Call) error {
	if err := ctx.Err(); err != nil || call.commands == 0 {
		return err
	}
	err := c.send(ctx, call)
	if errors.Is(err, redis.ErrClosed) && ctx.Err() == nil { // that node has left the Cluster
		err = c.send(ctx, call)
	}
	if err != nil {
		return err
	}
	return c.followed(ctx, call)
}

// send sends the commands to the masters that count as theirs now.
func (c *ClusterReads) send(ctx context.Context, call *Call) error {
	var few [4]readShare
	shares, of, err := c.split(ctx, few[:0], call)
	if err == nil {
		err = find(&c.masters, shares)
	}
	switch {
	case err != nil:
		return err
	case len(shares) == 1:
		err = shares[0].to.Do(ctx, call)
	default:
		err = c.apart(ctx, shares, of, call)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed) {
		c.rdb.ReloadState(ctx) // perhaps another node is the master now
	}
	return err
}

// split adds to shares, which is empty, the masters of a call's commands. of says
// for each command which share it belongs to; nil if there is one for all.
func (c *ClusterReads) split(ctx context.Context, shares []readShare, call *Call) (_ []readShare, of []uint8, err error) {
	for i, m := range call.marks {
		master, err := c.rdb.MasterForKey(ctx, textIn(call.out[m.key:m.keyEnd]))
		if err != nil {
			return nil, nil, err
		}
		at := slices.IndexFunc(shares, func(s readShare) bool { return s.master == master })
		if at < 0 {
			at = len(shares)
			shares = append(shares, readShare{master: master})
		}
		if at > 0 && of == nil {
			of = make([]uint8, len(call.marks))
		}
		if at > 255 {
			return nil, nil, fmt.Errorf("a read is for more than 256 masters")
		}
		if of != nil {
			of[i] = uint8(at)
		}
	}
	return shares, of, nil
}

// apart sends each share as a call of its own, and puts the replies together.
func (c *ClusterReads) apart(ctx context.Context, shares []readShare, of []uint8, call *Call) error {
	for i := range shares {
		shares[i].part = NewCall()
		defer shares[i].part.Release()
	}
	for i, m := range call.marks {
		shares[of[i]].part.take(call, m)
	}
	errs := make([]error, len(shares))
	var group sync.WaitGroup
	for i, s := range shares[1:] {
		group.Go(func() { errs[1+i] = s.to.Do(ctx, s.part) })
	}
	errs[0] = shares[0].to.Do(ctx, shares[0].part)
	group.Wait() // I7
	left := make([]resp.Replies, len(shares))
	call.refused = false
	for i, s := range shares {
		if errs[i] != nil {
			return errs[i]
		}
		left[i] = s.part.in
		call.refused = call.refused || s.part.refused
	}
	call.in = call.in[:0]
	for i := range call.marks {
		call.in = append(call.in, left[of[i]].Next()...)
	}
	return nil
}

// followed asks again for the replies that say that a slot is elsewhere, or on its
// way: those commands were not run.
func (c *ClusterReads) followed(ctx context.Context, call *Call) error {
	if !call.refused {
		return nil
	}
	replies := make([]resp.Replies, len(call.marks))
	var cmds []redis.Cmder
	var again []int
	for i, left := 0, call.in; i < len(replies); i++ {
		replies[i] = left.Next()
		if isRedirectReply(replies[i]) {
			again = append(again, i)
			cmds = append(cmds, redis.NewCmd(ctx, call.args(i)...))
		}
	}
	if len(again) == 0 {
		return nil
	}
	pipe := c.rdb.Pipeline()
	for _, cmd := range cmds {
		_ = pipe.Process(ctx, once{cmd})
	}
	tripCtx, cancel := context.WithTimeout(ctx, c.c.timeout())
	defer cancel()
	_, _ = pipe.Exec(tripCtx) // each has its error
	follow(ctx, c.rdb, c.c.timeout(), cmds)
	if err := ctx.Err(); err != nil {
		return err
	}
	for i, at := range again {
		reply, err := replyOf(cmds[i].(*redis.Cmd))
		if err != nil {
			return err
		}
		replies[at] = reply
	}
	call.in = slices.Concat(replies...)
	return nil
}

// isRedirectReply is isRedirect for a reply.
func isRedirectReply(reply resp.Replies) bool {
	text := textIn(reply)
	return strings.HasPrefix(text, "-MOVED ") || strings.HasPrefix(text, "-ASK ") || strings.HasPrefix(text, "-TRYAGAIN ")
}

// args returns the words of a command, as the client takes them.
func (c *Call) args(i int) (args []any) {
	words := resp.Replies(c.out[c.marks[i].start:c.marks[i].end])
	n, _ := words.Array() // a command has the form of a reply
	for range n {
		word, _, _ := words.Text()
		args = append(args, string(word))
	}
	return args
}

// replyOf returns what Redis has answered a command of the client's. Its error says
// that it has not answered.
func replyOf(cmd *redis.Cmd) (resp.Replies, error) {
	value, err := cmd.Result()
	switch _, answered := errors.AsType[redis.Error](err); {
	case errors.Is(err, redis.Nil):
		return appendReply(nil, nil)
	case answered:
		return appendReply(nil, err)
	case err != nil:
		return nil, err
	}
	return appendReply(nil, value)
}

// appendReply appends a value of the client's as a reply.
func appendReply(to resp.Replies, value any) (_ resp.Replies, err error) {
	switch v := value.(type) {
	case nil:
		return append(to, "$-1\r\n"...), nil
	case string:
		return fmt.Appendf(to, "$%d\r\n%s\r\n", len(v), v), nil
	case int64:
		return fmt.Appendf(to, ":%d\r\n", v), nil
	case float64:
		return fmt.Appendf(to, ",%v\r\n", v), nil
	case error:
		return fmt.Appendf(to, "-%v\r\n", v), nil
	case []any:
		to = fmt.Appendf(to, "*%d\r\n", len(v))
		for _, part := range v {
			if to, err = appendReply(to, part); err != nil {
				return nil, err
			}
		}
		return to, nil
	}
	return nil, fmt.Errorf("BUG: a reply of type %T", value)
}

// textIn returns b as a text, which nobody may write to as long as it is used.
func textIn(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
