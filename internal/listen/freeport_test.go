package listen

import (
	"fmt"
	"net"
	"testing"
)

func TestListenNext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	taken := ln.Addr().(*net.TCPAddr)
	reserved := fmt.Sprintf("127.0.0.1:%d", taken.Port+1)
	next, err := listenNext(t.Context(), taken.String(), taken.String(), reserved)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil || next.Addr().String() == reserved || next.Addr().(*net.TCPAddr).Port <= taken.Port {
		t.Errorf("got %v, %v", next.Addr(), err)
	}
	if _, err := listenNext(t.Context(), "nowhere.invalid:1"); err == nil {
		t.Error("listens on a host that is not there")
	}
}
