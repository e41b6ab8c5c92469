package main

import "testing"

func TestParseEndpoint(t *testing.T) {
	f := func(in string, want endpoint) {
		t.Helper()
		if e, err := parseEndpoint(in); err != nil || e != want {
			t.Errorf("%q: %+v, %v", in, e, err)
		}
	}
	f("http://127.0.0.1:8080", endpoint{"tcp", "127.0.0.1:8080", "127.0.0.1:8080"})
	f("http://host/", endpoint{"tcp", "host:80", "host"})
	f("unix:/run/x.sock", endpoint{"unix", "/run/x.sock", "localhost"})
	for _, bad := range []string{"", "host:1", "https://h", "http://", "http://h/path", "http://u:p@h", "unix:"} {
		if _, err := parseEndpoint(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
