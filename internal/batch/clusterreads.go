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
	var few [4]*redis.Client
	nodes, at, err := split(few[:0], call, func(key string) (*redis.Client, error) { return c.rdb.MasterForKey(ctx, key) })
	if err != nil {
		return err
	}
	var some [4]*Reads
	to, err := find(&c.masters, some[:0], nodes)
	switch {
	case err != nil:
		return err
	case len(to) == 1:
		err = to[0].Do(ctx, call)
	default:
		err = apart(ctx, to, at, call)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed) {
		c.rdb.ReloadState(ctx) // perhaps another node is the master now
	}
	return err
}

// split adds to to, which is empty, what the commands of a call go to, by their keys. at says
// for each command which of these it goes to; nil if there is one for all.
func split[D comparable](to []D, call *Call, of func(key string) (D, error)) (_ []D, at []uint8, err error) {
	for i, m := range call.marks {
		d, err := of(textIn(call.out[m.key:m.keyEnd]))
		if err != nil {
			return nil, nil, err
		}
		n := slices.Index(to, d)
		if n < 0 {
			n = len(to)
			to = append(to, d)
		}
		if n > 0 && at == nil {
			at = make([]uint8, len(call.marks))
		}
		if n > 255 {
			return nil, nil, fmt.Errorf("a read is for more than 256 masters")
		}
		if at != nil {
			at[i] = uint8(n)
		}
	}
	return to, at, nil
}

// apart sends what goes to each as a call of its own, and puts the replies together.
func apart[D Doer](ctx context.Context, to []D, at []uint8, call *Call) error {
	parts := make([]*Call, len(to))
	for i := range parts {
		parts[i] = NewCall()
		defer parts[i].Release()
	}
	for i, m := range call.marks {
		parts[at[i]].take(call, m)
	}
	errs := make([]error, len(to))
	var group sync.WaitGroup
	for i := range to[1:] {
		group.Go(func() { errs[1+i] = to[1+i].Do(ctx, parts[1+i]) })
	}
	errs[0] = to[0].Do(ctx, parts[0])
	group.Wait() // I7
	left := make([]resp.Replies, len(to))
	call.refused = false
	for i, part := range parts {
		if errs[i] != nil {
			return errs[i]
		}
		left[i] = part.in
		call.refused = call.refused || part.refused
	}
	call.in = call.in[:0]
	for i := range call.marks {
		call.in = append(call.in, left[at[i]].Next()...)
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
