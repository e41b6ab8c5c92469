package endpoint_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/endpoint"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

const bound = 200 * time.Millisecond

// fixture is a master, its replica, an address that leads to the master, and a client of that.
type fixture struct {
	t               *testing.T
	master, replica *redistest.Server
	proxy           *redistest.Proxy
	endpoint        *endpoint.Endpoint
	client          *redis.Client
	reads           *batch.Reads // over client
	gets            atomic.Int32
	log             *observed.Log
	lost, connected atomic.Int32 // how often
}

func start(t *testing.T, options ...func(*redis.Options)) *fixture {
	f := servers(t)
	f.guard(options...)
	return f
}

// servers starts a master with k=1, and its replica.
func servers(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, master: redistest.Start(t, "repl-diskless-sync-delay 0"), replica: redistest.Start(t, "repl-diskless-sync-delay 0")}
	f.follow(f.replica, f.master)
	f.master.Do("SET", "k", "1")
	f.until("the replica has all", func() bool { return f.replica.Do("EXISTS", "k") == int64(1) })
	f.proxy = redistest.NewProxy(t, f.master.Addr)
	return f
}

// guard makes the client, and runs the endpoint.
func (f *fixture) guard(options ...func(*redis.Options)) {
	f.t.Helper()
	f.log = &observed.Log{}
	f.endpoint = endpoint.New(bound, "test", slog.New(slog.NewTextHandler(f.log, nil)))
	f.endpoint.OnLoss(func() { f.lost.Add(1) })
	f.endpoint.Saw(func(string) { f.connected.Add(1) })
	f.connect(append([]func(*redis.Options){func(o *redis.Options) {
		o.Addr, o.PoolSize, o.DialerRetries = f.proxy.Addr, 8, 1
	}}, options...)...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.endpoint.Run(ctx) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Errorf("Run ended with %v", err)
		}
	})
}

// connect makes the client and its Reads.
func (f *fixture) connect(options ...func(*redis.Options)) {
	f.client = f.endpoint.Guard(f.master.Client(f.t, options...))
	f.reads = batch.NewReads(f.client, batch.Config{Timeout: 900 * time.Millisecond}) // before the caller gives up
	f.t.Cleanup(f.reads.Close)
}

// follow makes one server the replica of another, and waits until it is.
func (f *fixture) follow(replica, master *redistest.Server) {
	f.t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	replica.Do("REPLICAOF", host, port)
	f.until("the replica follows", func() bool {
		info, _ := replica.Do("INFO", "replication").(string)
		return strings.Contains(info, "master_link_status:up")
	})
}

func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	if !eventually.Within(time.Minute, ok) {
		log := ""
		if f.log != nil {
			log = f.log.String()
		}
		f.t.Fatalf("waited in vain: %s\n%s", what, log)
	}
}

// get reads k, "" if that is refused: each other time by a command of the client, and by Reads.
func (f *fixture) get() (string, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	if f.gets.Add(1)%2 == 0 {
		return f.client.Get(ctx, "k").Result()
	}
	call := batch.NewCall()
	defer call.Release()
	call.Add("get", "k")
	if err := f.reads.Do(ctx, call); err != nil {
		return "", err
	}
	replies := call.Replies()
	text, _, err := replies.Text()
	return string(text), err
}

// serves waits until k has this value.
func (f *fixture) serves(value string) {
	f.t.Helper()
	f.until("k is "+value, func() bool {
		got, err := f.get()
		return err == nil && got == value
	})
}

// fill has many connections open.
func (f *fixture) fill() {
	f.t.Helper()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				_, _ = f.get()
			}
		})
	}
	group.Wait()
}

// refused waits until reads fail because there is no master, and for no other reason.
func (f *fixture) refused(why string) {
	f.t.Helper()
	f.until("reads are refused", func() bool {
		_, err := f.get()
		_, no := errors.AsType[*endpoint.NoMasterError](err)
		return no && strings.Contains(err.Error(), why)
	})
	f.until("Err says why", func() bool {
		err := f.endpoint.Err()
		return err != nil && strings.Contains(err.Error(), why)
	})
}

// The address moves to another server, which has taken the place of the master. The old one goes on as a master, as it
// does where nobody can reach it: the answers are wrong from then on, though it says what it always said.
func TestI4_TheAddressMoves_AndTheOldMasterStaysOne(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.serves("1")
	f.fill()
	f.replica.Do("REPLICAOF", "NO", "ONE")
	f.replica.Do("SET", "k", "2")
	f.proxy.Lead(f.replica.Addr)
	f.serves("2")
	f.fill()
	if got, err := f.get(); got != "2" || err != nil {
		t.Errorf("a connection to the old master is in use: %q, %v", got, err)
	}
	if f.lost.Load() == 0 || f.endpoint.Changes() != 1 {
		t.Errorf("told %d times of %d changes", f.lost.Load(), f.endpoint.Changes())
	}
	if log := f.log.String(); strings.Count(log, "another redis is the master now") != 1 {
		t.Errorf("the log has %s", log)
	}
	// The address moves back to the old one, which was replaced: its word does not count.
	f.proxy.Lead(f.master.Addr)
	f.fill()
	if got, err := f.get(); got == "1" {
		t.Errorf("a master that was replaced is believed: %v", err)
	}
	// Unless it has become a replica of the new one, and a master after that.
	f.follow(f.master, f.replica)
	f.replica.Do("SET", "k", "3")
	f.until("the old one has all", func() bool { return f.master.Do("GET", "k") == "3" })
	f.master.Do("REPLICAOF", "NO", "ONE")
	f.master.Do("SET", "k", "4")
	f.serves("4")
}

// The address moves first, and the old master is demoted later, with and without the right to INFO: without it nothing tells
// the two servers apart.
func TestI4_TheAddressMoves_AndTheOldMasterIsDemotedLater(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{"+@all", "-info"} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			f := servers(t)
			for _, s := range []*redistest.Server{f.master, f.replica} {
				s.Do("ACL", "SETUSER", "app", "on", ">p", "~*", "+@all", rules)
			}
			f.guard(func(o *redis.Options) { o.Username, o.Password = "app", "p" })
			f.serves("1")
			f.fill()
			f.replica.Do("REPLICAOF", "NO", "ONE")
			f.proxy.Lead(f.replica.Addr)
			f.until("the new master is met", func() bool { return f.replica.Calls("get") > 0 || f.replica.Calls("info") > 2 })
			f.master.Do("REPLICAOF", "127.0.0.1", "1")
			f.replica.Do("SET", "k", "2")
			written := time.Now()
			f.until("k is 2, and was not 1 after the bound", func() bool {
				begun := time.Now()
				got, err := f.get()
				if err == nil && got == "1" && begun.Sub(written) > 2*bound {
					t.Fatalf("the old master is read %v after the write", begun.Sub(written))
				}
				return begun.Sub(written) > 8*bound && err == nil && got == "2"
			})
		})
	}
}

// A replica is promoted, the address moves there, and it dies; the address goes back to the old master, which was never
// demoted. Nobody else is there: it is the master again.
func TestI2_TheAddressGoesBack(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.serves("1")
	f.replica.Do("REPLICAOF", "NO", "ONE")
	f.replica.Do("SET", "k", "2")
	f.proxy.Lead(f.replica.Addr)
	f.serves("2")
	f.replica.Kill()
	f.proxy.Lead(f.master.Addr)
	f.serves("1")
}

// The usual way: the old master is a replica with its link down.
func TestI4_TheAddressMoves_AndTheOldMasterIsAReplica(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.fill()
	f.replica.Do("REPLICAOF", "NO", "ONE")
	f.replica.Do("SET", "k", "2")
	f.master.Do("REPLICAOF", "127.0.0.1", "1") // nobody is there
	f.proxy.Lead(f.replica.Addr)
	f.serves("2")
	for range 3 { // all connections are dialled anew, so that no further write fails
		if err := f.client.Set(t.Context(), "k", "2", 0).Err(); err != nil {
			t.Errorf("a write after the move: %v", err)
		}
	}
}

// Sentinels were lost, and somebody demotes the master by hand: no address moves.
func TestI2_DemotedByHand_IsUnavailable(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.fill()
	f.master.Do("REPLICAOF", "127.0.0.1", "1")
	f.refused("replica")
	f.master.Do("REPLICAOF", "NO", "ONE")
	f.serves("1")
}

// A write finds out first. From then on nothing is read from there, whatever the proofs are worth still.
func TestI4_ARefusedWriteTakesTheProofBack(t *testing.T) {
	t.Parallel()
	f := servers(t)
	f.endpoint = endpoint.New(time.Minute, "test", slog.New(slog.DiscardHandler)) // nothing lapses, Run asks never
	f.connect(func(o *redis.Options) { o.ReadTimeout = time.Second })
	f.serves("1")
	f.master.Do("REPLICAOF", "127.0.0.1", "1")
	for range 2 {
		if got, err := f.get(); got != "1" || err != nil { // nobody knows yet
			t.Fatalf("got %q, %v", got, err)
		}
	}
	pipe := f.client.Pipeline()
	pipe.Get(t.Context(), "k")
	set := pipe.Set(t.Context(), "k", "2", 0)
	_, _ = pipe.Exec(t.Context())
	if !redis.HasErrorPrefix(set.Err(), "READONLY") {
		t.Fatalf("the write: %v", set.Err())
	}
	for range 2 {
		if got, err := f.get(); err == nil {
			t.Errorf("a replica is read: %q", got)
		}
	}
}

// An answer that comes when the proof has lapsed is nobody's.
func TestI4_AnAnswerWithoutAProof_IsNotTaken(t *testing.T) {
	t.Parallel()
	f := servers(t)
	f.endpoint = endpoint.New(bound, "test", slog.New(slog.DiscardHandler)) // nobody runs it: nothing renews the proof
	f.connect()
	for i := range 4 {
		f.until("a new connection answers", func() bool { got, err := f.get(); return got == "1" && err == nil })
		f.gets.Store(int32(i)) // whichever was the last
		f.master.Pause()
		paused := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if got, err := f.get(); err == nil {
				t.Errorf("read %d: %q of a server that has proven nothing for the bound", i, got)
			}
		}()
		f.until("the proof has lapsed", func() bool { return time.Since(paused) > bound+bound/4 })
		f.master.Resume()
		<-done
	}
}

func TestI2_TheAddressOfAReplica_IsUnavailable(t *testing.T) {
	t.Parallel()
	f := servers(t)
	f.proxy.Lead(f.replica.Addr)
	f.guard()
	f.refused("is a replica of " + f.master.Addr)
	if f.replica.Calls("get") != 0 {
		t.Error("a replica was read")
	}
	f.proxy.Lead(f.master.Addr)
	f.serves("1")
}

// The address moves to a replica, and no connection to the master is left: that is the reason, not that the master is silent.
func TestI2_TheAddressMovesToAReplica_IsUnavailable(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.serves("1")
	f.proxy.Lead(f.replica.Addr)
	f.until("no master is proven", func() bool {
		f.proxy.CutAll()
		return f.endpoint.Err() != nil
	})
	f.until("the reason", func() bool { return strings.Contains(f.endpoint.Err().Error(), "is a replica of "+f.master.Addr) })
	f.refused("is a replica of " + f.master.Addr)
	f.proxy.Lead(f.master.Addr)
	f.serves("1")
}

// An address that is balanced over the master and a replica leads to the master alone, with a few more attempts.
func TestI4_ABalancedAddress_LeadsToTheMasterAlone(t *testing.T) {
	t.Parallel()
	f := servers(t)
	f.proxy.Lead(f.replica.Addr, f.master.Addr)
	f.guard()
	f.serves("1")
	f.replica.Do("REPLICAOF", "127.0.0.1", "1") // its data are old from now on
	f.master.Do("SET", "k", "2")
	var group sync.WaitGroup
	var wrong, good atomic.Int32
	for range 8 {
		group.Go(func() {
			for range 50 {
				switch got, err := f.get(); {
				case err == nil && got != "2":
					wrong.Add(1)
				case err == nil:
					good.Add(1)
				}
			}
		})
	}
	group.Wait()
	if wrong.Load() > 0 || good.Load() == 0 {
		t.Errorf("%d wrong answers, %d right ones", wrong.Load(), good.Load())
	}
}

// A master that is silent for longer than the bound: what it answers then counts, once it has proven itself.
func TestI2_ASilentMaster_IsWaitedForAsLongAsTheCallerDoes(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.serves("1")
	f.proxy.Stall(true)
	answer := make(chan error, 1)
	go func() { answer <- f.client.Get(context.Background(), "k").Err() }()
	f.until("the proof has lapsed", func() bool { return f.endpoint.Err() != nil })
	if _, err := f.get(); err == nil {
		t.Error("a silent server answers")
	}
	f.proxy.Stall(false)
	if err := <-answer; err != nil {
		t.Errorf("the answer that was late: %v", err)
	}
	f.serves("1")
	if log := f.log.String(); !strings.Contains(log, "redis is not used") || !strings.Contains(log, "redis proves to be the master") {
		t.Errorf("the log has %s", log)
	}
}

// No further connection can be made, for example while maxclients is reached: those that there are go on.
func TestI2_ConnectionsGoOnWhereNoFurtherOneCanBeMade(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.serves("1")
	f.until("Run has a connection", func() bool { return f.connected.Load() > 0 })
	f.proxy.Refuse(true)
	f.until("the fault is known", func() bool { return strings.Contains(f.endpoint.State(), "new connections fail") })
	begun := time.Now()
	f.until("several bounds have passed", func() bool {
		if got, err := f.get(); got != "1" || err != nil {
			t.Fatalf("got %q, %v after %v; %s", got, err, time.Since(begun), f.log)
		}
		return time.Since(begun) > 4*bound
	})
}

// A script that runs for long: a new connection may greet then, and ask for nothing else. It is no other server for that.
func TestI2_ABusyMaster_IsNoOtherOne(t *testing.T) {
	t.Parallel()
	f := start(t)
	f.serves("1")
	f.master.Do("CONFIG", "SET", "busy-reply-threshold", 10)
	busy := f.master.Client(t, func(o *redis.Options) { o.ReadTimeout = -1 })
	ended := make(chan error, 1)
	go func() { ended <- busy.Eval(context.Background(), "while true do end", nil).Err() }()
	f.until("the fault is known", func() bool {
		return strings.Contains(f.endpoint.State(), "refuses the connection: BUSY") || f.lost.Load() > 0
	})
	f.master.Do("SCRIPT", "KILL")
	if err := <-ended; err == nil {
		t.Error("the script was not killed")
	}
	f.serves("1")
	if f.lost.Load() > 0 || f.endpoint.Changes() != 0 {
		t.Errorf("a busy server counts as another one: told %d times of %d changes\n%s", f.lost.Load(), f.endpoint.Changes(), f.log)
	}
}

func TestI6_WrongCredentialsAreTold_AndNotThePassword(t *testing.T) {
	t.Parallel()
	f := servers(t)
	f.master.Do("CONFIG", "SET", "requirepass", "right-password")
	f.guard(func(o *redis.Options) { o.Password = "wrong-password" })
	var err error
	f.until("a refusal", func() bool {
		_, err = f.get()
		return err != nil && strings.Contains(err.Error(), "WRONGPASS")
	})
	refused, ok := errors.AsType[*endpoint.RefusedError](err)
	if !ok || !redis.HasErrorPrefix(refused.Cause(), "WRONGPASS") || strings.Contains(err.Error()+f.log.String(), "wrong-password") {
		t.Errorf("got %v", err)
	}
	f.master.Do("CONFIG", "SET", "requirepass", "wrong-password")
	f.serves("1")
}

// A server that refuses the questions cannot be proven: the log says so, and its connections are still used.
func TestWhereQuestionsAreForbidden(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conf  []string
		rules string
		says  string
	}{
		"INFO":            {nil, "-info", "by its own word"},
		"ROLE":            {nil, "-role", "master "},
		"HELLO":           {[]string{`rename-command HELLO ""`}, "", "master "},
		"all":             {[]string{`rename-command HELLO ""`}, "-info -role", "not proven: redis forbids HELLO, ROLE and INFO"},
		"HELLO with ROLE": {[]string{`rename-command HELLO ""`}, "-info", "by its own word"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, c.conf...)
			s.Do("SET", "k", "1")
			s.Do(append([]any{"ACL", "SETUSER", "app", "on", ">p", "~*", "+@all"}, fields(c.rules)...)...)
			f := &fixture{t: t, master: s, replica: s, proxy: redistest.NewProxy(t, s.Addr)}
			f.guard(func(o *redis.Options) { o.Username, o.Password = "app", "p" })
			f.serves("1")
			if state := f.endpoint.State(); !strings.Contains(state, c.says) {
				t.Errorf("the state is %q", state)
			}
			if warned := strings.Contains(f.log.String(), "redis forbids"); warned != strings.Contains(c.rules, "-info") {
				t.Errorf("the log has %s", f.log)
			}
			if name != "all" {
				s.Do("REPLICAOF", "127.0.0.1", "1")
				f.refused("replica")
			}
		})
	}
}

func fields(s string) (all []any) {
	for _, f := range strings.Fields(s) {
		all = append(all, f)
	}
	return all
}
