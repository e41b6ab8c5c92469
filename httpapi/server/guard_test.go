package server

import "testing"

// A host that is no address of this machine, or none at all, is no loopback name.
func TestLoopbackHost(t *testing.T) {
	for _, host := range []string{"", "[::1%25lo]", "::1%lo", "[", ":80", "127.0.0.1@evil"} {
		if loopbackHost(host) {
			t.Errorf("%q is taken for a loopback name", host)
		}
	}
}
