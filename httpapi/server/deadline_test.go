package server

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// deadlineConn returns both ends of a connection, the first with late deadlines.
func deadlineConn(t *testing.T) (c *servedConn, other net.Conn) {
	t.Helper()
	near, other := net.Pipe()
	c = newServedConn(near, 0)
	t.Cleanup(func() {
		near.Close()
		other.Close()
	})
	return c, other
}

// Deadlines hold to the moment, in whatever order they are moved.
func TestDeadline_HoldsToTheMoment(t *testing.T) {
	type move struct{ at, to time.Duration } // to 0: none
	f := func(want time.Duration, before []move, during ...move) {
		t.Helper()
		for _, write := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c, _ := deadlineConn(t)
				start := time.Now()
				set := func(to time.Duration) {
					deadline := start.Add(to)
					if to == 0 {
						deadline = time.Time{}
					}
					if write {
						_ = c.SetWriteDeadline(deadline)
					} else {
						_ = c.SetReadDeadline(deadline)
					}
				}
				wait := func() error {
					var err error
					if write {
						_, err = c.Write([]byte("a"))
					} else {
						_, err = c.Read(make([]byte, 1))
					}
					return err
				}
				for _, m := range before {
					set(m.to)
				}
				for _, m := range during {
					time.AfterFunc(m.at, func() { set(m.to) })
				}
				err := wait()
				if took := time.Since(start); took != want || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v, then %v: ended after %v with %v, want %v", before, during, took, err, want)
				}
			})
		}
	}
	const s = time.Second
	f(3*s, []move{{0, 3 * s}})
	f(5*s, []move{{0, 3 * s}, {0, 5 * s}})
	f(2*s, []move{{0, 3 * s}, {0, 2 * s}})
	f(2*s, []move{{0, 0}, {0, 2 * s}})
	f(1*s, []move{{0, 5 * s}}, move{s, s / 2})             // one that is over ends it at once
	f(9*s, []move{{0, 3 * s}}, move{s, 9 * s})             // later
	f(4*s, []move{{0, 0}}, move{s, 4 * s})                 // first none
	f(8*s, []move{{0, 3 * s}, {0, 0}}, move{7 * s, 8 * s}) // then none
}

// A deadline that was told earlier and is over does not end what has a later one.
func TestDeadline_EarlierOneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := deadlineConn(t)
		start := time.Now()
		for i := range 5 {
			_ = c.SetReadDeadline(start.Add(time.Duration(i+1) * 10 * time.Second))
			go func() { _, _ = other.Write([]byte("a")) }()
			if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
				t.Fatalf("read %d: %v", i, err)
			}
			<-time.After(9 * time.Second)
		}
		_ = c.SetReadDeadline(start.Add(time.Minute))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("ended after %v with %v", time.Since(start), err)
		}
	})
}
