package batch_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

type doer interface {
	Do(ctx context.Context, c *batch.Call) error
}

func newReads(t *testing.T, rdb *redis.Client, c batch.Config) *batch.Reads {
	t.Helper()
	r := batch.NewReads(rdb, c)
	t.Cleanup(r.Close)
	return r
}

// getAll reads keys in one call: "" for one that is not there.
func getAll(ctx context.Context, r doer, keys ...string) (values []string, err error) {
	c := batch.NewCall()
	defer c.Release()
	for _, k := range keys {
		c.Add("get", k)
	}
	if err := r.Do(ctx, c); err != nil {
		return nil, err
	}
	replies := c.Replies()
	for range keys {
		text, _, err := replies.Text()
		if err != nil {
			return nil, err
		}
		values = append(values, string(text))
	}
	return values, nil
}

// Each of many callers gets what it has asked for, whatever the sizes are.
func TestReads_EachCallerGetsItsOwn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	value := func(i int) string { return strings.Repeat(fmt.Sprint(i, "\r\n$"), 1+i*i*i%5000) }
	const n = 40
	for i := range n {
		if err := rdb.Set(t.Context(), fmt.Sprint("k", i), value(i), 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := newReads(t, rdb, batch.Config{MaxCommands: 30, Timeout: time.Minute})
	var group errgroup.Group
	for caller := range 32 {
		group.Go(func() error {
			for round := range 60 {
				var keys, want []string
				for i := range 1 + (caller+round)%7 {
					at := (caller*31 + round*17 + i*5) % (n + 4)
					keys, want = append(keys, fmt.Sprint("k", at)), append(want, "")
					if at < n {
						want[i] = value(at)
					}
				}
				if got, err := getAll(t.Context(), r, keys...); err != nil || !slices.Equal(got, want) {
					return fmt.Errorf("%v: %.100q, %v", keys, got, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if st := r.Stats(); st.Trips >= st.Calls || st.Queued != 0 {
		t.Errorf("%+v: no trip was shared", st)
	}
}

// What Redis answers as an error is the reply of the command that it is for, and the
// client's hooks see it.
func TestReads_ErrorsAreReplies(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	seen := &watching{}
	rdb.AddHook(seen)
	if err := errors.Join(rdb.Set(t.Context(), "text", "v", 0).Err(), rdb.LPush(t.Context(), "list", "a", "b").Err()); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{})
	if _, err := getAll(t.Context(), r, "text"); err != nil { // gives up the connections from before
		t.Fatal(err)
	}
	seen.commands.Store(0)
	c := batch.NewCall()
	defer c.Release()
	c.Add("get", "text")
	c.Add("get", "list")
	c.Add("lrange", "list", "0", "-1")
	if err := r.Do(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	replies := c.Replies()
	if text, is, err := replies.Text(); string(text) != "v" || !is || err != nil {
		t.Errorf("got %q, %v, %v", text, is, err)
	}
	if _, _, err := replies.Text(); !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("got %v", err)
	}
	if n, err := replies.Array(); n != 2 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if text, _, err := replies.Text(); string(text) != "b" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if err := seen.last.Load(); err == nil || !redis.HasErrorPrefix(*err, "WRONGTYPE") {
		t.Errorf("the hooks saw %v", err)
	}
	if keys := seen.keys.Load(); !slices.Equal(*keys, []string{"text", "list", "list"}) {
		t.Errorf("the hooks saw the keys %q", *keys)
	}
	if n := seen.commands.Load(); n != 3 {
		t.Errorf("the hooks saw %d commands, want 3", n)
	}
}

// watching is a hook that looks at what goes over a client.
type watching struct {
	last     atomic.Pointer[error]
	commands atomic.Int64
	keys     atomic.Pointer[[]string]
}

func (w *watching) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *watching) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (w *watching) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if name := cmds[0].Name(); name != "hello" && name != "client" {
			w.commands.Add(int64(len(batch.Sent(cmds[0]))))
			w.last.Store(&err)
			if c, ok := cmds[0].(*batch.Command); ok {
				keys := slices.Collect(c.Keys)
				w.keys.Store(&keys)
			}
		}
		return err
	}
}

// Connections that the client has made before are given up, and the answer is right.
func TestReads_ConnectionsFromBefore(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	const old = 8
	var group errgroup.Group
	for range old {
		group.Go(func() error { return rdb.BLPop(t.Context(), time.Second, "none").Err() })
	}
	if err := group.Wait(); !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if n := rdb.PoolStats().IdleConns; n != old {
		t.Fatalf("%d connections, want %d", n, old)
	}
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{})
	for range 2 {
		if got, err := getAll(t.Context(), r, "k"); err != nil || got[0] != "v" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got, err := rdb.Get(t.Context(), "k").Result(); got != "v" || err != nil {
		t.Errorf("a command of the client: %q, %v", got, err)
	}
}

// Two Reads over one client have its connections wrapped once.
func TestReads_SeveralOverOneClient(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 3 {
		r := newReads(t, rdb, batch.Config{})
		for range 4 {
			group.Go(func() error {
				for range 100 {
					if got, err := getAll(t.Context(), r, "k", "none"); err != nil || got[0] != "v" || got[1] != "" {
						return fmt.Errorf("got %q, %v", got, err)
					}
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

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

// A caller whose context ends waits no longer; its call is not used by another. What
// the others have asked is answered.
func TestReads_CallerGivesUp(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t, func(o *redis.Options) { o.ReadTimeout = time.Minute })
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	r := newReads(t, rdb, batch.Config{MaxInFlight: 1, Timeout: time.Minute})
	s.Pause()
	first := make(chan error, 2)
	for i := range 2 {
		go func() {
			got, err := getAll(t.Context(), r, "k")
			if err == nil && got[0] != "v" {
				err = fmt.Errorf("got %q", got)
			}
			first <- err
		}()
		if i == 0 {
			eventually.Holds(t, "the first call is under way", func() bool { return r.InFlight() == 1 })
		}
	}
	eventually.Holds(t, "the second waits", func() bool { return r.Queued() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if got, err := getAll(ctx, r, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %q, %v", got, err)
	}
	s.Resume()
	for range 2 {
		if err := <-first; err != nil {
			t.Error(err)
		}
	}
	if n := r.Stats().Calls; n != 2 {
		t.Errorf("%d calls were sent, want 2", n)
	}
}

// A reply that is larger than any may be fails its trip; one that is not is read.
func TestReads_ReplyTooLarge(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t, func(o *redis.Options) { o.ReadTimeout = time.Minute })
	for key, size := range map[string]int64{"k": 17 << 20, "large": 15 << 20} {
		if err := rdb.SetRange(t.Context(), key, size-1, "x").Err(); err != nil {
			t.Fatal(err)
		}
	}
	r := newReads(t, rdb, batch.Config{Timeout: time.Minute})
	if got, err := getAll(t.Context(), r, "large", "none", "large"); err != nil || len(got[0]) != 15<<20 || got[1] != "" || len(got[2]) != 15<<20 {
		t.Errorf("got %d values, %v", len(got), err)
	}
	if _, err := getAll(t.Context(), r, "k"); err == nil || !strings.Contains(err.Error(), "RESP") {
		t.Errorf("got %v", err)
	}
	if got, err := getAll(t.Context(), r, "none"); err != nil || got[0] != "" {
		t.Errorf("then: %q, %v", got, err)
	}
}

// What waits is bounded, and Close waits for it.
func TestReads_FullAndClosed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t, func(o *redis.Options) { o.ReadTimeout = time.Minute })
	r := batch.NewReads(rdb, batch.Config{MaxInFlight: 1, MaxQueued: 2, Timeout: time.Minute})
	s.Pause()
	var group errgroup.Group
	read := func() error {
		_, err := getAll(t.Context(), r, "k")
		return err
	}
	group.Go(read)
	eventually.Holds(t, "a call is under way", func() bool { return r.InFlight() == 1 })
	group.Go(read)
	group.Go(read)
	eventually.Holds(t, "two wait", func() bool { return r.Queued() == 2 })
	if err := read(); !errors.Is(err, batch.ErrFull) {
		t.Errorf("a third waits: %v", err)
	}
	closed := make(chan struct{})
	go func() {
		r.Close()
		close(closed)
	}()
	eventually.Holds(t, "it takes nothing more", func() bool { return errors.Is(read(), batch.ErrClosed) })
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	s.Resume()
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	<-closed
}

func TestReads_ClosedTakesNothing(t *testing.T) {
	t.Parallel()
	r := batch.NewReads(redistest.Start(t).Client(t), batch.Config{})
	r.Close()
	if _, err := getAll(t.Context(), r, "k"); !errors.Is(err, batch.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func newClusterReads(t *testing.T, rdb *redis.ClusterClient) *batch.ClusterReads {
	t.Helper()
	r := batch.NewClusterReads(rdb, batch.Config{Timeout: time.Minute})
	t.Cleanup(r.Close)
	return r
}

func TestClusterReads_OfAllMastersInOneCall(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := c.Client(t)
	r := newClusterReads(t, rdb)
	keys := keysOf(c, 4)
	var all []string
	for i := range 4 { // in turn
		for _, of := range keys {
			all = append(all, of[i])
			if err := rdb.Set(t.Context(), of[i], "value of "+of[i], 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	all = append(all, "nothing")
	got, err := getAll(t.Context(), r, all...)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range all[:len(all)-1] {
		if got[i] != "value of "+k {
			t.Errorf("%s: %q", k, got[i])
		}
	}
	if got[len(all)-1] != "" {
		t.Errorf("what is not there: %q", got[len(all)-1])
	}
	if n := r.Masters(); n != 3 {
		t.Errorf("%d masters were asked", n)
	}
}

// While a slot moves, and when it has moved, what is read is right; a list that is
// asked for beside it, too.
func TestClusterReads_FollowsASlot(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := c.Client(t)
	r := newClusterReads(t, rdb)
	const n = 6
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprint("{k}", i))
		if err := rdb.Set(t.Context(), keys[i], i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(rdb.RPush(t.Context(), "{k}list", "a", "b").Err(), rdb.HSet(t.Context(), "{k}hash", "a", 1, "b", 2).Err(),
		rdb.ZAdd(t.Context(), "{k}set", redis.Z{Score: 1.5, Member: "m"}).Err(), rdb.Set(t.Context(), "other", "here", 0).Err()); err != nil {
		t.Fatal(err)
	}
	slot := c.SlotOf("k")
	masters := c.Masters()
	m := c.Migrate(slot, masters[(slices.Index(masters, c.Master(slot))+1)%3])
	all := func() {
		t.Helper()
		got, err := getAll(t.Context(), r, slices.Concat(keys, []string{"other", "{k}not"})...)
		if err != nil || !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5", "here", ""}) {
			t.Errorf("got %q, %v", got, err)
		}
		call := batch.NewCall()
		defer call.Release()
		call.Add("lrange", "{k}list", "0", "-1")
		call.Add("get", "{k}list")
		call.Add("hmget", "{k}hash", "a", "none", "b")
		call.Add("zscore", "{k}set", "m")
		call.Add("zscore", "{k}set", "none")
		call.Add("zcard", "{k}set")
		if err := r.Do(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		replies := call.Replies()
		if parts := string(replies.Next()); parts != "*2\r\n$1\r\na\r\n$1\r\nb\r\n" {
			t.Errorf("the list: %q", parts)
		}
		if _, _, err := replies.Text(); !strings.HasPrefix(fmt.Sprint(err), "WRONGTYPE") {
			t.Errorf("of another type: %v", err)
		}
		if n, err := replies.Array(); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		for _, want := range []string{"1", "", "2", "1.5", "", "1"} {
			if text, is, err := replies.Text(); string(text) != want || is != (want != "") || err != nil {
				t.Errorf("got %q, %v, %v, want %q", text, is, err, want)
			}
		}
	}
	all()
	for m.Move(1) > 0 {
		all()
	}
	all()
	m.End()
	all()
	all()
}

// When a master dies, its replica is found without a restart, and a caller that asks
// meanwhile gets an error. (I2)
func TestI2_ClusterReadsFindTheNewMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	rdb := c.Client(t)
	r := newClusterReads(t, rdb)
	slot := c.SlotOf("k")
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := getAll(t.Context(), r, "k"); err != nil || got[0] != "v" {
		t.Fatalf("got %q, %v", got, err)
	}
	c.WaitSynced()
	dead := c.Master(slot)
	dead.Kill()
	if got, err := getAll(t.Context(), r, "k"); err == nil {
		t.Errorf("a dead master: %q", got)
	}
	c.WaitPromoted(slot, dead)
	for {
		got, err := getAll(t.Context(), r, "k")
		if err == nil {
			if got[0] != "v" {
				t.Fatal("the key is gone")
			}
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}
