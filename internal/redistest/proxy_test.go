package redistest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// throughProxy starts a server and a proxy, and returns a client of one connection through the proxy, which has been used,
// and a client past it.
func throughProxy(t *testing.T) (p *redistest.Proxy, through, direct *redis.Client) {
	t.Helper()
	s := redistest.Start(t)
	p = redistest.NewProxy(t, s.Addr)
	through = s.Client(t, func(o *redis.Options) { o.Addr, o.PoolSize, o.DialerRetries = p.Addr, 1, 1 })
	if err := through.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return p, through, s.Client(t)
}

// isCut reports whether err is of the network, not of Redis and not a deadline.
func isCut(err error) bool {
	var redisErr redis.Error
	return err != nil && !errors.As(err, &redisErr) && !isTimeout(err)
}

func TestProxy_PassesLargeValuesBothWays(t *testing.T) {
	t.Parallel()
	_, through, direct := throughProxy(t)
	value := strings.Repeat("0123456789abcdef", 1<<16)
	if err := through.Set(t.Context(), "k", value, 0).Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*redis.Client{through, direct} {
		if got, err := c.Get(t.Context(), "k").Result(); err != nil || got != value {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(value))
		}
	}
}

func TestProxy_DelayIsLongerThanADeadline(t *testing.T) {
	t.Parallel()
	p, through, direct := throughProxy(t)
	p.Delay(time.Hour)
	if err := through.Set(silent(t), "k", "v", 0).Err(); !isTimeout(err) {
		t.Errorf("got %v, want a time-out", err)
	}
	if n := direct.Exists(t.Context(), "k").Val(); n != 0 {
		t.Error("the delayed request reached the server")
	}
	p.Delay(time.Millisecond)
	if err := through.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Errorf("with a short delay: %v", err)
	}
}

func TestProxy_StallIsSilentThenPassesWhatItHeld(t *testing.T) {
	t.Parallel()
	p, through, direct := throughProxy(t)
	p.Stall(true)
	if err := through.Ping(silent(t)).Err(); !isTimeout(err) {
		t.Errorf("an old connection: got %v, want a time-out", err)
	}
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatalf("a new connection: %v", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("SET held 1\r\n")); err != nil {
		t.Fatal(err)
	}
	if n := direct.Exists(t.Context(), "held").Val(); n != 0 {
		t.Error("the stalled request reached the server")
	}
	p.Stall(false)
	buf := make([]byte, 5)
	if _, err := conn.Read(buf); err != nil || string(buf) != "+OK\r\n" {
		t.Errorf("after the stall: got %q, %v", buf, err)
	}
}

func TestProxy_CutAllResetsAndAcceptsAgain(t *testing.T) {
	t.Parallel()
	p, through, _ := throughProxy(t)
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 7)
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(buf); err != nil {
		t.Fatal(err)
	}
	p.CutAll()
	if _, err := conn.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	for through.Ping(t.Context()).Err() != nil { // the pool finds its dead connection, and dials again
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
}

func TestProxy_RefuseRefusesOnlyNewConnections(t *testing.T) {
	t.Parallel()
	p, through, _ := throughProxy(t)
	p.Refuse(true)
	p.Refuse(true)
	refused(t, p.Addr)
	if err := through.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the old connection: %v", err)
	}
	p.Refuse(false)
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatalf("after Refuse(false): %v", err)
	}
	conn.Close()
}

func TestProxy_DropRepliesRunsTheRequestOnce(t *testing.T) {
	t.Parallel()
	p, through, direct := throughProxy(t)
	p.DropReplies()
	if err := through.Incr(t.Context(), "k").Err(); !isCut(err) {
		t.Errorf("got %v, want a lost connection", err)
	}
	if n, err := direct.Get(t.Context(), "k").Int(); n != 1 || err != nil {
		t.Errorf("the server has %d, %v, want 1", n, err)
	}
	if n, err := through.Incr(t.Context(), "k").Result(); n != 2 || err != nil {
		t.Errorf("the next request: got %d, %v, want 2", n, err)
	}
}

func TestProxy_DropRepliesRunsAWholePipeline(t *testing.T) {
	t.Parallel()
	p, through, direct := throughProxy(t)
	p.DropReplies()
	value := strings.Repeat("x", 1<<10)
	_, err := through.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for i := range 20 {
			pipe.Set(t.Context(), fmt.Sprint(i), value, 0)
		}
		return nil
	})
	if !isCut(err) {
		t.Errorf("got %v, want a lost connection", err)
	}
	if n := direct.DBSize(t.Context()).Val(); n != 20 {
		t.Errorf("the server ran %d of 20 commands", n)
	}
}

func TestProxy_CutAfterEveryByteOfARequest(t *testing.T) {
	t.Parallel()
	p, through, direct := throughProxy(t)
	const request = "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$1\r\nv\r\n"
	for n := range len(request) + 1 {
		if err := direct.Del(t.Context(), "k").Err(); err != nil {
			t.Fatal(err)
		}
		if err := through.Ping(t.Context()).Err(); err != nil { // dials, so that n counts this request's bytes only
			t.Fatal(err)
		}
		p.CutAfter(n)
		if err := through.Set(t.Context(), "k", "v", 0).Err(); !isCut(err) {
			t.Errorf("after %d bytes: got %v, want a lost connection", n, err)
		}
		want := int64(0)
		if n == len(request) {
			want = 1
		}
		if got := direct.Exists(t.Context(), "k").Val(); got != want {
			t.Errorf("after %d of %d bytes: the server ran the request %d times, want %d", n, len(request), got, want)
		}
	}
}

func TestProxy_CountsConnections(t *testing.T) {
	t.Parallel()
	p, _, _ := throughProxy(t)
	before := p.Accepted()
	for range 3 {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("PING\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 7)); err != nil { // so it has been accepted
			t.Fatal(err)
		}
	}
	if n := p.Accepted() - before; n != 3 {
		t.Errorf("got %d, want 3", n)
	}
}

func TestProxy_ResetsClientsWhenTheServerIsAway(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := redistest.NewProxy(t, s.Addr)
	s.Kill()
	// The reset may come while Dial still looks at its new connection, or later.
	conn, err := net.Dial("tcp", p.Addr)
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}
