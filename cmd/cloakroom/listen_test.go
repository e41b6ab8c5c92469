package main

import (
	"net"
	"os"
	"testing"
)

// A process that ends leaves alone the socket of another one that has taken its path.
func TestUnixSocketOfAnotherStays(t *testing.T) {
	t.Parallel()
	path := shortDir(t) + "/s"
	first, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the second one is cut off: %v", err)
	}
	conn.Close()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is not removed: %v", err)
	}
}
