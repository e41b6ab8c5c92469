package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// authority makes certificates for 127.0.0.1.
type authority struct {
	t      *testing.T
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pem    []byte
	serial int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
	}
	a.key = newECKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func newECKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate that ends after a time, and its key.
func (a *authority) issue(left time.Duration) (cert, key []byte) {
	a.t.Helper()
	a.serial++
	k := newECKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.serial), Subject: pkix.Name{CommonName: fmt.Sprint("test ", a.serial)},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// mounted writes a pair as Kubernetes mounts a Secret: behind a link that is
// replaced at once.
func (a *authority) mounted(dir string, pair [2][]byte) certificateFiles {
	a.t.Helper()
	version, err := os.MkdirTemp(dir, "..v")
	if err == nil {
		err = os.WriteFile(filepath.Join(version, "tls.crt"), pair[0], 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(version, "tls.key"), pair[1], 0o600)
	}
	if err == nil {
		err = os.Symlink(filepath.Base(version), filepath.Join(dir, "..new"))
	}
	if err == nil {
		err = os.Rename(filepath.Join(dir, "..new"), filepath.Join(dir, "..data"))
	}
	files := certificateFiles{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key")}
	for _, path := range []string{files.cert, files.key} {
		if _, missing := os.Lstat(path); err == nil && missing != nil {
			err = os.Symlink(filepath.Join("..data", filepath.Base(path)), path)
		}
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return files
}

// client trusts a, and has a certificate if cert is not nil.
func (a *authority) client(cert, key []byte) *http.Client {
	a.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(a.cert)
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

// get asks for the version, and returns the status and the serial number of the
// server's certificate.
func (a *authority) get(c *http.Client, url string) (status int, serial int64, err error) {
	res, err := c.Get(url + "/version")
	if err != nil {
		return 0, 0, err
	}
	return res.StatusCode, res.TLS.PeerCertificates[0].SerialNumber.Int64(), res.Body.Close()
}

func TestServeTLS(t *testing.T) {
	a := newAuthority(t)
	files := a.mounted(t.TempDir(), bytesOf(a.issue(time.Hour)))
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--auth-anonymous", "--verify-addr=127.0.0.1:0",
		"--http-tls-cert-file", files.cert, "--http-tls-key-file", files.key,
	}, quick()...))
	line := p.logged(t, "ready", 1)
	api, plain, admin := fmt.Sprint("https://", line["http"]), fmt.Sprint("http://", line["verify"]), fmt.Sprint("http://", line["admin"])
	f := func(wantSerial int64) {
		t.Helper()
		if status, serial, err := a.get(a.client(nil, nil), api); status != 200 || serial != wantSerial || err != nil {
			t.Errorf("got %d, the certificate %d, %v, want %d", status, serial, err, wantSerial)
		}
	}
	f(101)
	want(t, 401, "GET", plain, "") // verify on loopback has no TLS of its own accord
	want(t, 200, "GET", admin+"/readyz", "")

	a.mounted(filepath.Dir(files.cert), bytesOf(a.issue(time.Hour)))
	p.hangup <- nil
	p.logged(t, "TLS certificate reloaded", 1)
	f(102)

	cert, _ := a.issue(time.Hour)
	_, key := a.issue(time.Hour)
	a.mounted(filepath.Dir(files.cert), bytesOf(cert, key))
	p.hangup <- nil
	if got := p.logged(t, "the TLS certificate was not reloaded, the old one stays", 1)["error"]; !strings.Contains(fmt.Sprint(got), "private key does not match") {
		t.Errorf("got %v", got)
	}
	f(102)
	if text := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(text, `cloakroom_tls_certificate_expiry_timestamp_seconds{listener="http"} `) ||
		!strings.Contains(text, `cloakroom_tls_handshake_failures_total{listener="http"} 0`) {
		t.Errorf("got %s", text)
	}

	ca := writeFile(t, string(a.pem))
	if code, _, log := once(t, "revoke", "--all", "--dry-run", "--url", api); code != exitFailed || !strings.Contains(log, "certificate") {
		t.Errorf("got %d, %s", code, log)
	}
	if code, out, log := once(t, "revoke", "--all", "--dry-run", "--url", api, "--ca-file", ca); code != exitOK || !strings.Contains(out, "nothing to revoke") {
		t.Errorf("got %d, %s%s", code, out, log)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func bytesOf(cert, key []byte) [2][]byte { return [2][]byte{cert, key} }

// With a CA of clients, nobody else is served, on any listener with TLS.
func TestServeMutualTLS(t *testing.T) {
	a, b := newAuthority(t), newAuthority(t)
	files := a.mounted(t.TempDir(), bytesOf(a.issue(time.Hour)))
	ca := writeFile(t, string(b.pem))
	keysFile := writeFile(t, keysWithOne)
	p := launch(t, append([]string{
		"serve", "--redis-url=memory:", "--auth-keys-file", keysFile, "--verify-addr=0.0.0.0:0",
		"--http-tls-cert-file", files.cert, "--http-tls-key-file", files.key, "--http-tls-client-ca-file", ca,
	}, quick()...))
	line := p.logged(t, "ready", 1)
	_, port, err := net.SplitHostPort(line["verify"].(string))
	if err != nil {
		t.Fatal(err)
	}
	good, stranger := a.client(b.issue(time.Hour)), a.client(a.issue(time.Hour))
	for url, status := range map[string]int{fmt.Sprint("https://", line["http"]): 200, "https://127.0.0.1:" + port: 401} {
		if got, _, err := a.get(good, url); got != status || err != nil {
			t.Errorf("%s: got %d, %v", url, got, err)
		}
		for _, c := range []*http.Client{stranger, a.client(nil, nil)} {
			if got, _, err := a.get(c, url); err == nil {
				t.Errorf("%s: somebody else got %d", url, got)
			}
		}
	}
	cert, key := b.issue(time.Hour)
	mine := b.mounted(t.TempDir(), bytesOf(cert, key))
	code, _, log := once(t, "revoke", "--all", "--dry-run", "--url", fmt.Sprint("https://", line["http"]), "--ca-file", writeFile(t, string(a.pem)), "--cert-file", mine.cert, "--cert-key-file", mine.key)
	if code != exitFailed || !strings.Contains(log, "answered 401") {
		t.Errorf("got %d, %s", code, log)
	}
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// A change is seen without a signal, once whole; what is bad is told once.
func TestCertificateFollowsItsFiles(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	files := a.mounted(dir, bytesOf(a.issue(time.Hour)))
	c, err := openCertificate("http", files, nil)
	if err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	c.log = slog.New(slog.NewTextHandler(log, nil))
	lines := func(want int, message string) {
		t.Helper()
		if n := strings.Count(log.String(), message); n != want {
			t.Errorf("%d times %q, want %d:\n%s", n, message, want, log)
		}
	}
	until := c.value().until
	c.look(false)
	lines(0, "reloaded")

	// In place, the certificate first: not told, because the key may come yet.
	cert, key := a.issue(2 * time.Hour)
	if err := os.WriteFile(files.cert, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	c.look(false)
	lines(0, "msg")
	if err := os.WriteFile(files.key, key, 0o600); err != nil {
		t.Fatal(err)
	}
	c.look(false)
	lines(0, "msg") // it may not be whole
	c.look(false)
	lines(1, "TLS certificate reloaded")
	if !c.value().until.After(until) {
		t.Error("the old one is still served")
	}

	for _, broken := range [][2][]byte{bytesOf(cert, nil), bytesOf([]byte("secret-text"), key), bytesOf(bytes.Repeat([]byte("x"), maxFile+1), key)} {
		before := strings.Count(log.String(), "was not reloaded")
		a.mounted(dir, broken)
		for range 4 {
			c.look(false)
		}
		lines(before+1, "was not reloaded")
	}
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		c.look(false)
	}
	lines(4, "was not reloaded")
	if strings.Contains(log.String(), "secret-text") {
		t.Error("I6: the log repeats a file")
	}
	a.mounted(dir, bytesOf(cert, key)) // what is served already
	c.look(false)
	lines(4, "was not reloaded")
	lines(1, "TLS certificate reloaded")
}

func TestCertificateWarns(t *testing.T) {
	a := newAuthority(t)
	c, err := openCertificate("http", a.mounted(t.TempDir(), bytesOf(a.issue(2*time.Hour))), nil) // of three
	if err != nil {
		t.Fatal(err)
	}
	log := newOutput()
	c.log = slog.New(slog.NewTextHandler(log, nil))
	f := func(soon, over int, left time.Duration) {
		t.Helper()
		for range 2 {
			c.warn(c.value().until.Add(-left))
		}
		if s, o := strings.Count(log.String(), "expires soon"), strings.Count(log.String(), "has expired"); s != soon || o != over {
			t.Errorf("%v left: got %d and %d lines, want %d and %d", left, s, o, soon, over)
		}
	}
	f(0, 0, 61*time.Minute)
	f(1, 0, 59*time.Minute)
	f(1, 1, 0)
	f(1, 1, -time.Hour)
	registry := prometheus.NewRegistry()
	c.registerTLS(registry)
	if families, err := registry.Gather(); err != nil || len(families) != 2 {
		t.Errorf("got %v, %v", families, err)
	}
}

func TestTLSSettingsAreChecked(t *testing.T) {
	a := newAuthority(t)
	files := a.mounted(t.TempDir(), bytesOf(a.issue(time.Hour)))
	f := func(want string, args ...string) {
		t.Helper()
		code, _, log := once(t, append([]string{"serve", "--redis-url=memory:", "--auth-anonymous"}, args...)...)
		if code != exitUsage || !strings.Contains(log, want) {
			t.Errorf("%q: got %d, %s, want %s", args, code, log, want)
		}
	}
	f("--http-tls-cert-file and --http-tls-key-file must both be set", "--http-tls-cert-file", files.cert)
	f("--verify-tls-cert-file and --verify-tls-key-file must both be set", "--verify-tls-key-file", files.key)
	f("--verify-tls-cert-file needs a listener", "--verify-tls-cert-file", files.cert, "--verify-tls-key-file", files.key)
	f("--http-tls-client-ca-file needs a listener with TLS", "--http-tls-client-ca-file", files.cert)
	f("--http-tls-cert-file: open ", "--http-tls-cert-file=/nowhere", "--http-tls-key-file", files.key)
	f("--http-tls-cert-file: the certificate and its key: ", "--http-tls-cert-file", files.key, "--http-tls-key-file", files.cert)
	f("--http-tls-cert-file: the CA of clients: has no certificate in PEM", "--http-tls-cert-file", files.cert, "--http-tls-key-file", files.key, "--http-tls-client-ca-file", files.key)
	f("--http-tls-cert-file: the CA of clients: is empty", "--http-tls-cert-file", files.cert, "--http-tls-key-file", files.key, "--http-tls-client-ca-file", writeFile(t, ""))
	f("--shutdown-delay (10s) must be below --shutdown-timeout (10s)", "--shutdown-delay=10s")
	f = func(want string, args ...string) {
		t.Helper()
		code, _, log := once(t, append([]string{"revoke", "--all", "--dry-run"}, args...)...)
		if code != exitUsage || !strings.Contains(log, want) {
			t.Errorf("%q: got %d, %s, want %s", args, code, log, want)
		}
	}
	f("--ca-file: open /nowhere", "--ca-file=/nowhere")
	f("has no certificate in PEM", "--ca-file", files.key)
	f("--cert-file and --cert-key-file must both be given", "--cert-file", files.cert)
	f("--cert-file: ", "--cert-file", files.key, "--cert-key-file", files.key)
}
