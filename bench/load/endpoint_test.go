package load

import (
	"crypto/tls"
	"reflect"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	f := func(in string, want Endpoint) {
		t.Helper()
		if e, err := ParseEndpoint(in); err != nil || !reflect.DeepEqual(e, want) {
			t.Errorf("%q: %+v, %v", in, e, err)
		}
	}
	f("http://127.0.0.1:8080", Endpoint{Network: "tcp", Address: "127.0.0.1:8080", Host: "127.0.0.1:8080"})
	f("http://host/", Endpoint{Network: "tcp", Address: "host:80", Host: "host"})
	f("unix:/run/x.sock", Endpoint{Network: "unix", Address: "/run/x.sock", Host: "localhost"})
	secure := &tls.Config{ServerName: "h", NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	f("https://h", Endpoint{Network: "tcp", Address: "h:443", Host: "h", TLS: secure})
	f("https://h:8443/", Endpoint{Network: "tcp", Address: "h:8443", Host: "h:8443", TLS: secure})
	for _, bad := range []string{"", "host:1", "ftp://h", "https://h/path", "http://", "http://h/path", "http://u:p@h", "unix:"} {
		if _, err := ParseEndpoint(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
