package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for sockets and for the time. The runtime's own poller would do,
// but it wakes a thread and switches goroutines for each answer, and its timers
// are exact to a millisecond only: that is several times the CPU time and the error.
type poller struct {
	epoll, timer int
	events       []unix.EpollEvent
	due          time.Duration // what the timer is set for, 0 if it is off
}

// timerToken is the timer's place in what wait returns.
const timerToken = -1

func newPoller() (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	p := &poller{epoll: epoll, timer: -1, events: make([]unix.EpollEvent, 256)}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err == nil {
		err = p.add(socket(p.timer), timerToken)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	_ = unix.Close(p.epoll)
	if p.timer >= 0 {
		_ = unix.Close(p.timer)
	}
}

// hurry lets this process go before all others when it has something to do, where
// the system permits that, so that what an open loop measures is not how long the
// generator itself waited for a processor. (All of its threads: every 10 ms the
// runtime passes a goroutine that never waits on to another one.)
func hurry() (end func(), ok bool) {
	ok = schedule(unix.SCHED_FIFO, 1)
	return func() { schedule(unix.SCHED_NORMAL, 0) }, ok
}

// schedule sets how the system schedules this process' threads, and those that they start.
func schedule(policy, priority uint32) bool {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}
		if unix.SchedSetAttr(id, &attr, 0) != nil {
			return false
		}
	}
	return true
}

// add makes wait return token when s can be read. A closed socket is forgotten.
func (p *poller) add(s socket, token int) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, int(s), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(token)})
}

// wait waits for sockets, and calls ready for each; until due, counted like now,
// or for longestWait. due is met exactly, by a timer that is set once for it; 0 is
// no such time.
func (p *poller) wait(now, due time.Duration, ready func(token int)) error {
	timeout := int(longestWait / time.Millisecond)
	if due > 0 && due <= now {
		timeout = 0
	} else if due != p.due {
		p.due = due
		var spec unix.ItimerSpec // zero turns the timer off
		if due > 0 {
			spec.Value = unix.NsecToTimespec(int64(due - now))
		}
		if err := unix.TimerfdSettime(p.timer, 0, &spec, nil); err != nil {
			return err
		}
	}
	// Raw: else the runtime would take this thread's processor away and give it
	// to another one, at each wait, which costs more than the request. (A garbage
	// collection waits for it instead.)
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(timeout), 0, 0)
	switch {
	case errno == unix.EINTR:
		return nil
	case errno != 0:
		return errno
	}
	for i := range int(n) {
		if token := int(p.events[i].Fd); token != timerToken {
			ready(token)
		}
	}
	return nil
}

// socket is a connected socket that the runtime knows nothing of.
type socket int

const noSocket socket = -1

// takeSocket takes the socket out of a connection, and closes the connection.
// One with TLS has no socket that the poller could read: it is copied to one of a pair, in goroutines that running waits for.
func takeSocket(conn net.Conn, running *sync.WaitGroup) (socket, error) {
	if _, ok := conn.(*tls.Conn); ok {
		return bridge(conn, running)
	}
	defer conn.Close()
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return noSocket, fmt.Errorf("a %T has no socket", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return noSocket, err
	}
	s := noSocket
	var dupErr error
	if err := raw.Control(func(fd uintptr) {
		var n int
		if n, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); dupErr == nil {
			s = socket(n)
		}
	}); err != nil {
		return noSocket, err
	}
	return s, dupErr
}

// bridge returns one socket of a pair, and copies between the other one and conn until either ends.
func bridge(conn net.Conn, running *sync.WaitGroup) (socket, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return noSocket, errors.Join(err, conn.Close())
	}
	file := os.NewFile(uintptr(pair[1]), "bridge")
	far, err := net.FileConn(file) // has a copy
	_ = file.Close()
	if err != nil {
		return noSocket, errors.Join(err, unix.Close(pair[0]), conn.Close())
	}
	end := func() {
		_ = far.Close()
		_ = conn.Close()
	}
	for _, way := range [][2]net.Conn{{far, conn}, {conn, far}} {
		running.Go(func() {
			defer end()
			_, _ = io.Copy(way[0], way[1]) // an error ends the connection, which the engine notices
		})
	}
	return socket(pair[0]), nil
}

// write sends a request, which always fits into the socket's buffer: there is
// only one on its way.
func (s socket) write(b []byte) error {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(s), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	switch {
	case errno != 0:
		return errno
	case int(n) < len(b):
		return io.ErrShortWrite
	}
	return nil
}

// read returns io.EOF at the end.
func (s socket) read(b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, nil
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return int(n), nil
}

func (s socket) close() { _ = unix.Close(int(s)) }
