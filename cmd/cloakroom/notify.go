package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// What the service manager is told.
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notify tells the service manager how the program is, over the datagram
// socket that NOTIFY_SOCKET names, as sd_notify(3) does: systemd's Type=notify
// waits for it. Without that variable there is nobody to tell. A manager that
// does not listen is an odd thing, and no reason to stop.
func (s *sidecar) notify(state string) {
	for _, e := range s.p.env {
		if path, ok := strings.CutPrefix(e, "NOTIFY_SOCKET="); ok && path != "" {
			if err := sendNotice(path, state); err != nil {
				s.log.Warn("the service manager was not told", "state", state, "error", err)
			}
			return
		}
	}
}

// noticeTimeout is how long a manager whose queue is full is waited for.
const noticeTimeout = time.Second

// sendNotice sends one datagram; a path that begins with @ is an abstract
// socket.
func sendNotice(path, state string) error {
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "unixgram", path)
	if err != nil {
		return err
	}
	err = conn.SetWriteDeadline(time.Now().Add(noticeTimeout))
	if err == nil {
		_, err = conn.Write([]byte(state))
	}
	return errors.Join(err, conn.Close())
}
