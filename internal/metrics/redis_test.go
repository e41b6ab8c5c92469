package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// lostReply is an error whose kind is hidden from the client, as package redisconn does on a Cluster.
type lostReply struct{ cause error }

func (e *lostReply) Error() string { return "lost" }

func (e *lostReply) Cause() error { return e.cause }

func lost(cause error) error { return &lostReply{cause} }

// An error has the same class on a Cluster, where its kind is hidden from the client.
func TestClassOfErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{redis.ErrPoolTimeout, "pool"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{lost(os.ErrDeadlineExceeded), "timeout"},
		{fmt.Errorf("more: %w", lost(os.ErrDeadlineExceeded)), "timeout"},
		{lost(io.EOF), "network"},
		{io.EOF, "network"},
		{errors.New("OOM command not allowed"), "full"},
		{errors.New("NOPERM this user"), "denied"},
		{errors.New("ERR The user executing the script can't run this command or subcommand script: 0"), "denied"},
		{errors.New("ERR ACL failure in script: User app has no permissions to run the 'hset' command"), "denied"},
	} {
		if got := classOf(test.err); got != test.want {
			t.Errorf("%v: got %s, want %s", test.err, got, test.want)
		}
	}
}

// A client that is gone is not kept, and its counts stay.
func TestPoolsOfClientsThatAreGone(t *testing.T) {
	m := NewRedis(prometheus.NewRegistry())
	server := redistest.Start(t)
	use := func() {
		client := m.Watch(redis.NewClient(&redis.Options{Addr: server.Addr, Protocol: 3, DisableIdentity: true}))
		if err := client.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if got := m.pools(); got.Misses == 0 || got.TotalConns == 0 {
			t.Errorf("got %+v while the client lives", got)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	use()
	var got redis.PoolStats
	eventually.Holds(t, "the client is not kept", func() bool { // finalizers of connections may take a moment
		runtime.GC()
		got = m.pools()
		return len(m.clients) == 0
	})
	if got.Misses == 0 || got.TotalConns != 0 {
		t.Errorf("got %+v when the client is gone", got)
	}
}
