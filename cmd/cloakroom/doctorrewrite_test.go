package main

import (
	"bytes"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// between puts somebody between doctor and a server: each piece of bytes from the
// server passes through edit. It dials from an address of its own if from is one.
// It returns its address.
func between(t *testing.T, target, from string, edit func(reply []byte) []byte) string {
	t.Helper()
	listener, err := net.Listen("tcp", redistest.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	serveEach(t, listener, func(int) (string, string, func([]byte) []byte) { return target, from, edit })
	return listener.Addr().String()
}

// balance passes the n-th connection to the n-th of several servers, in turn.
func balance(t *testing.T, targets ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", redistest.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	serveEach(t, listener, func(n int) (string, string, func([]byte) []byte) {
		return targets[n%len(targets)], "", func(b []byte) []byte { return b }
	})
	return listener.Addr().String()
}

// serveEach serves until the end of the test.
func serveEach(t *testing.T, listener net.Listener, to func(n int) (target, from string, edit func([]byte) []byte)) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait() // I7
	})
	all.Go(func() {
		for n := 0; ; n++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			target, from, edit := to(n)
			dialer := net.Dialer{Timeout: time.Second}
			if from != "" {
				dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
			}
			server, err := dialer.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			all.Go(func() { pass(client, server, func(b []byte) []byte { return b }) })
			all.Go(func() { pass(server, client, edit) })
		}
	})
}

// pass passes bytes until one side ends.
func pass(from, to net.Conn, edit func([]byte) []byte) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 256<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := to.Write(edit(b[:n])); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var timeReply = regexp.MustCompile(`\*2\r\n\$10\r\n(\d{10})\r\n\$`)

// ahead sets the clock of a server ahead.
func ahead(seconds int64) func([]byte) []byte {
	return func(reply []byte) []byte {
		at := timeReply.FindSubmatchIndex(reply)
		if at == nil {
			return reply
		}
		now, _ := strconv.ParseInt(string(reply[at[2]:at[3]]), 10, 64)
		return append(strconv.AppendInt(bytes.Clone(reply[:at[2]]), now+seconds, 10), reply[at[3]:]...)
	}
}

// instead puts one text in the place of another as long.
func instead(old, new string) func([]byte) []byte {
	return func(reply []byte) []byte { return bytes.ReplaceAll(reply, []byte(old), []byte(new)) }
}
