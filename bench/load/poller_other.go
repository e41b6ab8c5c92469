//go:build !linux

package load

import (
	"errors"
	"net"
	"sync"
	"time"
)

var errNoPoller = errors.New("load can be made on Linux only")

type poller struct{}

func newPoller() (*poller, error)                                { return nil, errNoPoller }
func (*poller) close()                                           {}
func (*poller) add(socket, int) error                            { return errNoPoller }
func (*poller) wait(_, _ time.Duration, _ func(token int)) error { return errNoPoller }

func hurry() (end func(), ok bool) { return func() {}, false }

type socket int

const noSocket socket = -1

func takeSocket(conn net.Conn, _ *sync.WaitGroup) (socket, error) {
	return noSocket, errors.Join(errNoPoller, conn.Close())
}
func (socket) write([]byte) error       { return errNoPoller }
func (socket) read([]byte) (int, error) { return 0, errNoPoller }
func (socket) close()                   {}
