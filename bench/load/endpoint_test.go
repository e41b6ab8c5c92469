package load

import "testing"

func TestParseEndpoint(t *testing.T) {
	f := func(in string, want Endpoint) {
		t.Helper()
		if e, err := ParseEndpoint(in); err != nil || e != want {
			t.Errorf("%q: %+v, %v", in, e, err)
		}
	}
	f("http://127.0.0.1:8080", Endpoint{"tcp", "127.0.0.1:8080", "127.0.0.1:8080"})
	f("http://host/", Endpoint{"tcp", "host:80", "host"})
	f("unix:/run/x.sock", Endpoint{"unix", "/run/x.sock", "localhost"})
	for _, bad := range []string{"", "host:1", "https://h", "http://", "http://h/path", "http://u:p@h", "unix:"} {
		if _, err := ParseEndpoint(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
