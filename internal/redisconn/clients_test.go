package redisconn

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/breaker"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// deafConn loses the replies to commands that contain a word.
type deafConn struct {
	net.Conn
	word string
	deaf atomic.Bool
	sent *atomic.Int32
}

func (c *deafConn) Write(b []byte) (int, error) {
	if strings.Contains(strings.ToLower(string(b)), c.word) {
		c.deaf.Store(true)
		c.sent.Add(1)
	}
	return c.Conn.Write(b)
}

func (c *deafConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.deaf.Load() {
		return 0, io.EOF
	}
	return n, err
}

// A write whose reply is lost is sent once, alone or in a pipeline; go-redis by itself sends it again.
func TestCluster_LostRepliesAreNotRepeated(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterConfig{})
	u, ok := ParseURL(cluster.URL())
	if !ok {
		t.Fatal(cluster.URL())
	}
	c := &Connection{URL: &u, Breakers: breaker.New(slog.New(slog.DiscardHandler))}
	f := func(once bool, write func(ctx context.Context, rdb redis.UniversalClient) error) (sent, run int) {
		t.Helper()
		var count atomic.Int32
		o := *u.Options
		plain := &dialer{timeout: o.DialTimeout}
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := plain.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			conn = &deafConn{Conn: conn, word: "incr", sent: &count}
			if once {
				conn = &onceConn{conn}
			}
			return conn, nil
		}
		rdb := redis.NewClusterClient(c.clusterOptions(&o, false))
		defer rdb.Close()
		if err := write(t.Context(), rdb); err == nil {
			t.Error("a lost reply is no error")
		}
		clean := cluster.Client(t)
		n, _ := clean.Get(t.Context(), "k").Int()
		if err := clean.Del(t.Context(), "k").Err(); err != nil {
			t.Fatal(err)
		}
		return int(count.Load()), n
	}
	for name, write := range map[string]func(ctx context.Context, rdb redis.UniversalClient) error{
		"alone": func(ctx context.Context, rdb redis.UniversalClient) error { return rdb.Incr(ctx, "k").Err() },
		"in a pipeline": func(ctx context.Context, rdb redis.UniversalClient) error {
			pipe := rdb.Pipeline()
			pipe.Get(ctx, "other")
			pipe.Incr(ctx, "k")
			_, err := pipe.Exec(ctx)
			return err
		},
	} {
		if sent, run := f(true, write); sent != 1 || run != 1 {
			t.Errorf("%s: sent %d times, run %d times", name, sent, run)
		}
		if sent, _ := f(false, write); sent < 2 {
			t.Errorf("%s: go-redis sent it %d times by itself: is onceConn needed still?", name, sent)
		}
	}
}
