package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

const (
	// multisAtOnce is how many MULTIs one round trip has at most: Redis runs them one after the other, and others wait. (I10)
	multisAtOnce = 16
	// costlyMultis is how many those of a costly search have, whose MULTIs read more:
	// what others ask Redis meanwhile waits for few. (I10)
	costlyMultis = 4
)

// execAll sends several MULTIs, one for each shard. Those for one master go together, at
// most so many in a round trip; masters are asked side by side. Redis runs each MULTI by
// itself all the same, so that the answers of a shard belong together.
func execAll(ctx context.Context, rdb redis.UniversalClient, multis []redis.Pipeliner, most int) error {
	byMaster := make(map[redis.UniversalClient][]redis.Pipeliner)
	for _, m := range multis {
		master := rdb
		if cluster, ok := rdb.(*redis.ClusterClient); ok {
			var err error
			if master, err = cluster.MasterForKey(ctx, keyOf(m)); err != nil {
				return err
			}
		}
		byMaster[master] = append(byMaster[master], m)
	}
	group, ctx := errgroup.WithContext(ctx)
	for master, multis := range byMaster {
		group.Go(func() error {
			for some := range slices.Chunk(multis, most) {
				if err := execTogether(ctx, master, some); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait() // I7
}

// keyOf returns a key of the shard that a MULTI is for.
func keyOf(m redis.Pipeliner) string { return m.Cmds()[0].Args()[1].(string) }

// execTogether sends MULTIs to a master in one round trip. One that it has not run is sent
// again by itself: then the client follows a slot that moves, and tells what else is wrong.
func execTogether(ctx context.Context, master redis.UniversalClient, multis []redis.Pipeliner) error {
	pipe := master.Pipeline()
	execs := make([]*redis.RawCmd, len(multis))
	for i, m := range multis {
		pipe.Do(ctx, "multi")
		for _, cmd := range m.Cmds() {
			pipe.Do(ctx, cmd.Args()...) // answered by QUEUED
		}
		execs[i] = redis.NewRawCmd(ctx, "exec")
		_ = pipe.Process(ctx, execs[i]) // only takes it
	}
	_, err := pipe.Exec(ctx)
	_, answered := errors.AsType[redis.Error](err)
	if err != nil && !answered && !errors.Is(err, redis.ErrClosed) { // a node that has left the Cluster is closed
		return err
	}
	for i, m := range multis {
		reply := resp.Replies(execs[i].Val())
		if len(reply) == 0 || reply[0] == '-' {
			_, err = m.Exec(ctx)
		} else {
			err = giveAll(m.Cmds(), reply)
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
	}
	return nil
}

// giveAll gives the commands of a MULTI their replies.
func giveAll(cmds []redis.Cmder, reply resp.Replies) error {
	_, err := reply.Array()
	for i := 0; i < len(cmds) && err == nil; i++ {
		err = give(cmds[i], &reply)
	}
	return err
}

// give gives a command the next reply, as the client would.
func give(cmd redis.Cmder, replies *resp.Replies) error {
	switch c := cmd.(type) {
	case *redis.IntCmd:
		text, is, err := replies.Text()
		if err != nil || !is {
			c.SetErr(redis.Nil)
			return err
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		c.SetVal(n)
		return err
	case *redis.ZSliceCmd:
		n, err := replies.Array()
		if err != nil {
			return err
		}
		z := make([]redis.Z, 0, n)
		for i := 0; i < n; i++ {
			if _, err := replies.Array(); err != nil {
				i++ // in RESP2 members and scores are no pairs
			}
			member, _, _ := replies.Text()
			text, _, err := replies.Text()
			if err != nil {
				return err
			}
			score, err := strconv.ParseFloat(string(text), 64)
			if err != nil {
				return err
			}
			z = append(z, redis.Z{Score: score, Member: string(member)})
		}
		c.SetVal(z)
		return nil
	}
	return fmt.Errorf("BUG: nobody takes the reply of %s", cmd.Name())
}
