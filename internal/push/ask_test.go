package push_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/push"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// byKey makes a link that hears of changes of what was read over it, and reads it until the
// test ends. told has the keys.
func byKey(t *testing.T, o *redis.Options) (l *push.Link, told func() string) {
	t.Helper()
	var mu sync.Mutex
	var heard []string
	l, err := push.Dial(t.Context(), o, &push.Tracking{
		Key: func(key []byte) { mu.Lock(); defer mu.Unlock(); heard = append(heard, string(key)) },
		All: func() {},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := l.Answered(); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(heard, " ")
	}
}

func get(keys ...string) (commands []byte) {
	for _, k := range keys {
		commands = append(commands, resp.Command("GET", k)...)
	}
	return commands
}

// ask returns the replies to some GETs, one behind the other.
func ask(ctx context.Context, l *push.Link, keys ...string) (string, error) {
	var b strings.Builder
	err := l.Ask(ctx, get(keys...), len(keys), func(reply []byte) { b.Write(reply) })
	return b.String(), err
}

// isSilent says whether a link was not asked because it owes answers.
func isSilent(err error) bool {
	return err != nil && strings.Contains(err.Error(), "redis does not answer on the connection")
}

// Redis tells a link once of each change of a key that was read over it, before the next answer, even
// if the key was not there. It tells of no other key.
func TestLink_HearsOfWhatItHasRead(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	l, told := byKey(t, client.Options())
	set := func(key string) {
		t.Helper()
		if err := client.Set(t.Context(), key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	want := func(reply, keys string, of ...string) {
		t.Helper()
		if got, err := ask(t.Context(), l, of...); got != reply || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, reply)
		}
		if got := told(); got != keys {
			t.Errorf("told of %q, want %q", got, keys)
		}
	}
	set("a")
	set("other")
	want("$1\r\nv\r\n_\r\n", "", "a", "none")
	set("other")
	set("a")
	set("a")
	want("_\r\n", "a", "none")
	set("none")
	want("$1\r\nv\r\n", "a none", "none")
	if err := client.HSet(t.Context(), "h", "f", "v").Err(); err != nil {
		t.Fatal(err)
	}
	want("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", "a none", "h")
}

// Each of many callers gets the answers to its own questions, though some do not wait for theirs
// and pings come in between.
func TestLink_EachGetsItsOwnAnswers(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	l, _ := byKey(t, client.Options())
	const callers, keys = 16, 50
	for i := range keys {
		if err := client.Set(t.Context(), fmt.Sprint("k", i), fmt.Sprint("value ", i), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var group, pinging sync.WaitGroup
	ended, end := context.WithCancel(t.Context())
	pinging.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := 1; ended.Err() == nil; n++ {
			if err := l.Ping(time.Duration(n), time.Minute); err != nil {
				t.Error(err)
				return
			}
			<-tick.C
		}
	})
	var left atomic.Int64
	for c := range callers {
		group.Go(func() {
			for i := range 200 {
				a, b := fmt.Sprint(i%keys), fmt.Sprint((i*7+c)%keys)
				ctx, cancel := context.WithCancel(t.Context())
				if (i+c)%9 == 0 {
					cancel()
				}
				got, err := ask(ctx, l, "k"+a, "k"+b)
				if isSilent(err) { // somebody has left, and a slow machine is late with their answer
					eventually.Within(time.Minute, func() bool {
						got, err = ask(ctx, l, "k"+a, "k"+b)
						return !isSilent(err)
					})
				}
				cancel()
				want := fmt.Sprintf("$%d\r\nvalue %s\r\n$%d\r\nvalue %s\r\n", 6+len(a), a, 6+len(b), b)
				switch {
				case errors.Is(err, context.Canceled):
					left.Add(1)
				case err != nil || got != want:
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
			}
		})
	}
	group.Wait()
	end()
	pinging.Wait()
	if left.Load() == 0 {
		t.Error("nobody has left")
	}
}

// A link that does not answer takes no more questions, and answers none for ever; when it does
// again, it takes them.
func TestLink_IsNotAskedWhileItIsSilent(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	l, _ := byKey(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr }).Options())
	if _, err := ask(t.Context(), l, "a"); err != nil {
		t.Fatal(err)
	}
	proxy.Stall(true)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx, l, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), l, "a"); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want an error at once", err)
	}
	proxy.Stall(false)
	for { // until it has caught up
		if got, err := ask(t.Context(), l, "a"); err == nil {
			if got != "_\r\n" {
				t.Errorf("got %q", got)
			}
			break
		}
	}
}

// Questions that are open when a link ends fail, and so do later ones.
func TestLink_EndsWithItsQuestions(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	l, _ := byKey(t, server.Client(t, func(o *redis.Options) { o.Addr = proxy.Addr }).Options())
	proxy.Stall(true)
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() {
			_, err := ask(t.Context(), l, "a")
			errs <- err
		}()
	}
	proxy.CutAll()
	for range cap(errs) {
		if err := <-errs; err == nil { // I7
			t.Error("a question was answered")
		}
	}
	if _, err := ask(t.Context(), l, "a"); err == nil {
		t.Error("a link that has ended answers")
	}
}

// A server that answers more than it was asked ends the link. (I2)
func TestLink_RefusesSurplusAnswers(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	go func() {
		questions := bufio.NewReader(there)
		for _, answer := range []string{"%1\r\n+server\r\n+redis\r\n", "+OK\r\n", "$0\r\n\r\n", "_\r\n_\r\n"} {
			if _, err := questions.ReadByte(); err != nil {
				return
			}
			for questions.Buffered() > 0 {
				_, _ = questions.Discard(questions.Buffered())
			}
			if _, err := there.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	l, err := push.Dial(t.Context(), &redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) { return here, nil }}, &push.Tracking{Key: func([]byte) {}, All: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := l.Answered()
		ended <- err
	}()
	if got, err := ask(t.Context(), l, "a"); got != "_\r\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := <-ended; err == nil {
		t.Error("the link goes on")
	}
}
