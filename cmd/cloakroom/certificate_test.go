package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
)

// serialAt asks for the version, and returns the status and the serial number of the
// server's certificate.
func serialAt(c *http.Client, url string) (status int, serial int64, err error) {
	res, err := c.Get(url + "/version")
	if err != nil {
		return 0, 0, err
	}
	return res.StatusCode, res.TLS.PeerCertificates[0].SerialNumber.Int64(), res.Body.Close()
}

func TestServeTLS(t *testing.T) {
	a := tlstest.NewAuthority(t)
	files := a.Mounted(t.TempDir(), tlstest.Pair(a.Issue(time.Hour)))
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--auth-anonymous", "--verify-addr=127.0.0.1:0",
		"--http-tls-cert-file", files.Cert, "--http-tls-key-file", files.Key,
	}, quick()...))
	line := p.logged(t, "ready", 1)
	api, plain, admin := fmt.Sprint("https://", line["http"]), fmt.Sprint("http://", line["verify"]), fmt.Sprint("http://", line["admin"])
	f := func(wantSerial int64) {
		t.Helper()
		if status, serial, err := serialAt(a.Client(nil, nil), api); status != 200 || serial != wantSerial || err != nil {
			t.Errorf("got %d, the certificate %d, %v, want %d", status, serial, err, wantSerial)
		}
	}
	f(101)
	want(t, 401, "GET", plain, "") // verify on loopback has no TLS of its own accord
	want(t, 200, "GET", admin+"/readyz", "")

	a.Mounted(filepath.Dir(files.Cert), tlstest.Pair(a.Issue(time.Hour)))
	p.hangup <- nil
	p.logged(t, "TLS certificate reloaded", 1)
	f(102)

	cert, _ := a.Issue(time.Hour)
	_, key := a.Issue(time.Hour)
	a.Mounted(filepath.Dir(files.Cert), tlstest.Pair(cert, key))
	p.hangup <- nil
	if got := p.logged(t, "the TLS certificate was not reloaded, the old one stays", 1)["error"]; !strings.Contains(fmt.Sprint(got), "private key does not match") {
		t.Errorf("got %v", got)
	}
	f(102)
	if text := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(text, `cloakroom_tls_certificate_expiry_timestamp_seconds{listener="http"} `) ||
		!strings.Contains(text, `cloakroom_tls_handshake_failures_total{listener="http"} 0`) {
		t.Errorf("got %s", text)
	}

	ca := testfile.Write(t, string(a.PEM))
	if code, _, log := once(t, "sessions", "revoke", "--all", "--dry-run", "--url", api); code != exitFailed || !strings.Contains(log, "certificate") {
		t.Errorf("got %d, %s", code, log)
	}
	if code, out, log := once(t, "sessions", "revoke", "--all", "--dry-run", "--url", api, "--ca-file", ca); code != exitOK || !strings.Contains(out, "nothing to revoke") {
		t.Errorf("got %d, %s%s", code, out, log)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// With a CA of clients, nobody else is served, on any listener with TLS.
func TestServeMutualTLS(t *testing.T) {
	a, b := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	files := a.Mounted(t.TempDir(), tlstest.Pair(a.Issue(time.Hour)))
	ca := testfile.Write(t, string(b.PEM))
	keysFile := testfile.Write(t, testfile.OneKey)
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--auth-keys-file", keysFile, "--verify-addr=0.0.0.0:0", "--grpc-addr=0.0.0.0:0",
		"--http-tls-cert-file", files.Cert, "--http-tls-key-file", files.Key, "--http-tls-client-ca-file", ca,
	}, quick()...))
	line := p.logged(t, "ready", 1)
	_, port, err := net.SplitHostPort(line["verify"].(string))
	if err != nil {
		t.Fatal(err)
	}
	_, grpcPort, err := net.SplitHostPort(line["grpc"].(string))
	if err != nil {
		t.Fatal(err)
	}
	good, stranger := a.Client(b.Issue(time.Hour)), a.Client(a.Issue(time.Hour))
	for url, status := range map[string]int{fmt.Sprint("https://", line["http"]): 200, "https://127.0.0.1:" + port: 401, "https://127.0.0.1:" + grpcPort: 404} {
		if got, _, err := serialAt(good, url); got != status || err != nil {
			t.Errorf("%s: got %d, %v", url, got, err)
		}
		for _, c := range []*http.Client{stranger, a.Client(nil, nil)} {
			if got, _, err := serialAt(c, url); err == nil {
				t.Errorf("%s: somebody else got %d", url, got)
			}
		}
	}
	cert, key := b.Issue(time.Hour)
	mine := b.Mounted(t.TempDir(), tlstest.Pair(cert, key))
	code, _, log := once(t, "sessions", "revoke", "--all", "--dry-run", "--url", fmt.Sprint("https://", line["http"]), "--ca-file", testfile.Write(t, string(a.PEM)), "--cert-file", mine.Cert, "--cert-key-file", mine.Key)
	if code != exitFailed || !strings.Contains(log, "answered 401") {
		t.Errorf("got %d, %s", code, log)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestTLSSettingsAreChecked(t *testing.T) {
	a := tlstest.NewAuthority(t)
	files := a.Mounted(t.TempDir(), tlstest.Pair(a.Issue(time.Hour)))
	f := func(want string, args ...string) {
		t.Helper()
		code, _, log := once(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, args...)...)
		if code != exitUsage || !strings.Contains(log, want) {
			t.Errorf("%q: got %d, %s, want %s", args, code, log, want)
		}
	}
	f("--http-tls-cert-file and --http-tls-key-file must both be set", "--http-tls-cert-file", files.Cert)
	f("--verify-tls-cert-file and --verify-tls-key-file must both be set", "--verify-tls-key-file", files.Key)
	f("--verify-tls-cert-file needs a listener", "--verify-tls-cert-file", files.Cert, "--verify-tls-key-file", files.Key)
	f("--grpc-tls-cert-file and --grpc-tls-key-file must both be set", "--grpc-tls-key-file", files.Key)
	f("--grpc-tls-cert-file needs a listener", "--grpc-tls-cert-file", files.Cert, "--grpc-tls-key-file", files.Key)
	f("--grpc-tls-cert-file: the certificate and its key: ", "--grpc-addr=127.0.0.1:0", "--grpc-tls-cert-file", files.Key, "--grpc-tls-key-file", files.Cert)
	f("--http-tls-client-ca-file needs a listener with TLS", "--http-tls-client-ca-file", files.Cert)
	f("--http-tls-cert-file: open ", "--http-tls-cert-file=/nowhere", "--http-tls-key-file", files.Key)
	f("--http-tls-cert-file: the certificate and its key: ", "--http-tls-cert-file", files.Key, "--http-tls-key-file", files.Cert)
	f("--http-tls-cert-file: the CA of clients: has no certificate in PEM", "--http-tls-cert-file", files.Cert, "--http-tls-key-file", files.Key, "--http-tls-client-ca-file", files.Key)
	f("--http-tls-cert-file: the CA of clients: is empty", "--http-tls-cert-file", files.Cert, "--http-tls-key-file", files.Key, "--http-tls-client-ca-file", testfile.Write(t, ""))
	f("--shutdown-delay (10s) must be below --shutdown-timeout (10s)", "--shutdown-delay=10s")
	f = func(want string, args ...string) {
		t.Helper()
		code, _, log := once(t, append([]string{"sessions", "revoke", "--all", "--dry-run"}, args...)...)
		if code != exitUsage || !strings.Contains(log, want) {
			t.Errorf("%q: got %d, %s, want %s", args, code, log, want)
		}
	}
	f("--ca-file: open /nowhere", "--ca-file=/nowhere")
	f("has no certificate in PEM", "--ca-file", files.Key)
	f("--cert-file and --cert-key-file must both be given", "--cert-file", files.Cert)
	f("--cert-file: ", "--cert-file", files.Key, "--cert-key-file", files.Key)
}
