package batch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// drip is a connection that delivers at most a few bytes at a time, and breaks when
// it is told.
type drip struct {
	net.Conn
	broken *atomic.Bool
}

func (d *drip) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p[:min(len(p), 7)])
	if d.broken.Load() {
		_ = d.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// A connection that breaks fails the calls of its trip; it is not used again. (I2)
func TestI2_ReadsOverABrokenConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var broken atomic.Bool
	rdb := s.Client(t, func(o *redis.Options) {
		o.MaxRetries = -1
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &drip{conn, &broken}, err
		}
	})
	value := strings.Repeat("v", 3000)
	if err := rdb.Set(t.Context(), "k", value, 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{})
	for range 3 {
		if got, err := getAll(t.Context(), r, "k", "none", "k"); err != nil || got[0] != value || got[2] != value {
			t.Fatalf("got %.20q, %v", got, err)
		}
		broken.Store(true)
		if got, err := getAll(t.Context(), r, "k", "none"); err == nil {
			t.Errorf("got %.20q over a broken connection", got)
		}
		broken.Store(false)
	}
}

// fakeServer accepts connections, answers their greetings with errors, and each command for a key as answer says:
// nothing, and the connection closed, after "".
func fakeServer(t *testing.T, answer func(key string) string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns errgroup.Group
	t.Cleanup(func() {
		_ = l.Close()
		_ = conns.Wait()
	})
	conns.Go(func() error {
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			conns.Go(func() error {
				defer conn.Close()
				r := bufio.NewReader(conn)
				for {
					command, err := readCommand(r)
					if err != nil {
						return err
					}
					reply := "-ERR unknown command\r\n"
					if command[0] == "get" {
						if reply = answer(command[1]); reply == "" {
							return nil
						}
					}
					if _, err := io.WriteString(conn, reply); err != nil {
						return err
					}
				}
			})
		}
	})
	return l.Addr().String()
}

// readCommand reads an array of short texts without line breaks.
func readCommand(r *bufio.Reader) (words []string, err error) {
	var n, size int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return nil, err
	}
	for range n {
		var word string
		if _, err := fmt.Fscanf(r, "$%d\r\n%s\r\n", &size, &word); err != nil {
			return nil, err
		}
		words = append(words, word)
	}
	return words, nil
}

// Nobody gets a reply that may be another's: of a connection that has more to read than was asked for, or whose replies
// are not RESP. The next trip has another connection. (I2)
func TestI2_ReadsOfAConnectionThatIsOutOfStep(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]string{
		"one reply too many":    "$5\r\nwrong\r\n$5\r\nright\r\n",
		"a text of other size":  "$4\r\nwrong\r\n",
		"a push":                ">2\r\n+pushed\r\n+x\r\n$5\r\nright\r\n",
		"the end of another's":  "ght\r\n$5\r\nright\r\n",
		"a beginning, then EOF": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first atomic.Bool
			addr := fakeServer(t, func(string) string {
				if !first.Swap(true) {
					return wrong
				}
				return "$5\r\nright\r\n"
			})
			rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DisableIdentity: true, Protocol: 2})
			t.Cleanup(func() { _ = rdb.Close() })
			r := newReads(t, rdb, batch.Config{})
			if got, err := getAll(t.Context(), r, "k"); err == nil {
				t.Errorf("got %q", got)
			}
			for range 3 {
				if got, err := getAll(t.Context(), r, "k"); err != nil || got[0] != "right" {
					t.Errorf("then: %q, %v", got, err)
				}
			}
		})
	}
}

// A client that repeats commands repeats no trip, and what has come of one is not mistaken for the beginning of another.
func TestReads_AreNotRepeatedByTheClient(t *testing.T) {
	t.Parallel()
	var trips atomic.Int32
	addr := fakeServer(t, func(key string) string {
		switch key {
		case "first":
			trips.Add(1)
			return "$1\r\n1\r\n"
		case "loading":
			return "-LOADING wait\r\n"
		}
		return ""
	})
	rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: 3, MinRetryBackoff: -1, DisableIdentity: true, Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	r := newReads(t, rdb, batch.Config{})
	if got, err := getAll(t.Context(), r, "first", "broken"); !errors.Is(err, io.EOF) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := getAll(t.Context(), r, "first", "loading"); !redis.HasErrorPrefix(err, "LOADING") {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := getAll(t.Context(), r, "first"); err != nil || got[0] != "1" {
		t.Errorf("got %q, %v", got, err)
	}
	if n := trips.Load(); n != 3 {
		t.Errorf("%d trips, want 3", n)
	}
}
