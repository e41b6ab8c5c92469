package gateways

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

const (
	// beat is how often a pulse asks.
	beat = 10 * time.Millisecond
	// stallTime is what two answers to a pulse are apart at least if the machine was busy with something else: half as long as
	// verify waits for Redis.
	stallTime = 50 * time.Millisecond
	// aftermath is how far from a stall its effects can be: a process that has not heard from Redis for half a second is not
	// ready, says so within another second, and a balancer believes it until it asks again.
	aftermath = 3 * time.Second
)

// pulse asks Redis whether it is there, on a connection of its own and through nothing that is tested, and notes when it had
// to wait: for Redis, or for a processor.
type pulse struct {
	conn  net.Conn
	stop  chan struct{}
	ended sync.WaitGroup

	mu     sync.Mutex
	stalls []stall
	err    error
}

// stall is a time without an answer.
type stall struct{ from, to time.Time }

func startPulse(t *testing.T, redisAddr string) *pulse {
	t.Helper()
	conn, err := net.DialTimeout("tcp", redisAddr, patience)
	if err != nil {
		t.Fatal(err)
	}
	p := &pulse{conn: conn, stop: make(chan struct{})}
	p.ended.Go(func() {
		err := p.run()
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
	})
	t.Cleanup(func() {
		p.end()
		conn.Close()
		if p.err != nil {
			t.Errorf("Redis, asked directly: %v", p.err)
		}
	})
	return p
}

// end ends it after the answer that is due.
func (p *pulse) end() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.ended.Wait() // I7
}

func (p *pulse) run() error {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	answers := bufio.NewReader(p.conn)
	for last := time.Now(); ; {
		select {
		case <-p.stop:
			return nil
		case <-tick.C:
		}
		if err := p.conn.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := p.conn.Write([]byte("PING\r\n")); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if answer != "+PONG\r\n" {
			return fmt.Errorf("PING is answered %q", answer)
		}
		now := time.Now()
		if now.Sub(last) >= stallTime {
			p.mu.Lock()
			p.stalls = append(p.stalls, stall{last, now})
			p.mu.Unlock()
		}
		last = now
	}
}

// seen returns the stalls until now.
func (p *pulse) seen() []stall {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stalls[:len(p.stalls):len(p.stalls)]
}

// unexplained returns those of the times that no stall is near.
func unexplained(times []time.Time, stalls []stall) (rest []time.Time) {
	for _, at := range times {
		near := false
		for _, s := range stalls {
			near = near || at.After(s.from.Add(-aftermath)) && at.Before(s.to.Add(aftermath))
		}
		if !near {
			rest = append(rest, at)
		}
	}
	return rest
}

func TestPulseSeesAStall(t *testing.T) {
	server := redistest.Start(t, "enable-debug-command yes")
	p := startPulse(t, server.Addr)
	began := time.Now()
	server.Do("DEBUG", "SLEEP", (2 * stallTime).Seconds()) // answered when it is over
	ended := time.Now()
	saw := func() bool {
		for _, s := range p.seen() {
			if s.from.Before(ended) && s.to.After(began) {
				return true
			}
		}
		return false
	}
	if !eventually.Within(patience, saw) {
		t.Errorf("Redis was silent from %v to %v, and these are seen: %v", began, ended, p.seen())
	}
}
