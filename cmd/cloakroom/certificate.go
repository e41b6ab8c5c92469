package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// certificateLook is how often the files of a certificate are read: they
	// are small, and content tells a change where times and links do not.
	certificateLook = 5 * time.Second
	// maxPEM bounds what is read of each file.
	maxPEM = 1 << 20
	// warnBefore is how long before its end a certificate is warned of, if it
	// is good for long; a short one has a third of its time left then.
	warnBefore = 14 * 24 * time.Hour
)

// certificateFiles name what a listener needs for TLS.
type certificateFiles struct {
	cert, key string
	clientCA  string // "" asks clients for no certificate
}

// certificate is the certificate of a listener, read again whenever its files
// change. It is safe for concurrent use.
type certificate struct {
	files    certificateFiles
	listener string       // "http" or "verify"
	log      *slog.Logger // set before it is used by more than one goroutine

	// every is how often Run looks.
	every  time.Duration
	served atomic.Pointer[servedCertificate]
	failed prometheus.Counter

	// mu is held while the files are looked at.
	mu sync.Mutex
	// bad is the content that was refused last, seen the content that was
	// read last.
	bad, seen [sha256.Size]byte
	warned    time.Time // the end of the certificate that was warned of last
	lost      bool      // it was logged that it has ended
}

// servedCertificate is what is served, read from files with this content.
type servedCertificate struct {
	config  *tls.Config
	content [sha256.Size]byte
	from    time.Time
	until   time.Time
}

// openCertificate reads the files of a listener.
func openCertificate(listener string, files certificateFiles) (*certificate, error) {
	texts, err := files.read()
	if err != nil {
		return nil, err
	}
	served, err := texts.serve()
	if err != nil {
		return nil, err
	}
	c := &certificate{files: files, listener: listener, log: slog.Default(), every: certificateLook}
	c.served.Store(served)
	c.failed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "cloakroom_tls_handshake_failures_total", Help: "TLS handshakes that did not end well, by listener.",
		ConstLabels: prometheus.Labels{"listener": listener},
	})
	return c, nil
}

// register shows the certificate's end and the handshakes that failed.
func (c *certificate) register(r prometheus.Registerer) {
	r.MustRegister(c.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate that is served ends, as Unix time, by listener.",
		ConstLabels: prometheus.Labels{"listener": c.listener},
	}, func() float64 { return float64(c.served.Load().until.Unix()) }))
}

// config returns what a listener needs: each handshake takes the certificate of
// its moment.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.served.Load().config, nil },
	}
}

// Run looks at the files until ctx ends.
func (c *certificate) Run(ctx context.Context) error {
	again := time.NewTicker(c.every)
	defer again.Stop()
	for {
		c.warn(time.Now())
		select {
		case <-again.C:
			c.look(false)
		case <-ctx.Done():
			return nil
		}
	}
}

// look reads the files, and serves what they have if that is new and good.
// What is bad changes nothing and is logged once; unless at once, only if it is
// still there at the next look, because two files do not change in one moment.
func (c *certificate) look(atOnce bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	texts, err := c.files.read()
	var served *servedCertificate
	content := sha256.Sum256(fmt.Append(nil, err))
	if err == nil {
		if content = texts.sum(); content == c.served.Load().content {
			c.bad, c.seen = [sha256.Size]byte{}, content
			return
		}
		served, err = texts.serve()
	}
	if err != nil {
		if content != c.bad && (atOnce || content == c.seen) {
			c.bad = content
			c.log.Error("the TLS certificate was not reloaded, the old one stays", "listener", c.listener,
				"until", c.served.Load().until, "error", err)
		}
		c.seen = content
		return
	}
	c.bad, c.seen = [sha256.Size]byte{}, content
	c.served.Store(served)
	c.log.Info("TLS certificate reloaded", "listener", c.listener, "until", served.until)
}

// warn logs, once each, that the certificate ends soon, and that it has ended.
func (c *certificate) warn(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.served.Load()
	left := s.until.Sub(now)
	if !s.until.Equal(c.warned) {
		c.lost = false
	}
	switch {
	case left <= 0 && !c.lost:
		c.lost, c.warned = true, s.until
		c.log.Error("the TLS certificate has expired", "listener", c.listener, "until", s.until)
	case left > 0 && left < min(warnBefore, s.until.Sub(s.from)/3) && !s.until.Equal(c.warned):
		c.warned = s.until
		c.log.Warn("the TLS certificate expires soon", "listener", c.listener, "until", s.until, "left", left.Round(time.Second).String())
	}
}

// certificateTexts are the contents of the files.
type certificateTexts struct{ cert, key, clientCA []byte }

func (f certificateFiles) read() (t certificateTexts, err error) {
	for _, file := range []struct {
		path string
		into *[]byte
	}{{f.cert, &t.cert}, {f.key, &t.key}, {f.clientCA, &t.clientCA}} {
		if file.path == "" {
			continue
		}
		if *file.into, err = readPEM(file.path); err != nil {
			return t, err
		}
	}
	return t, nil
}

// readPEM reads a file of certificates or keys. Its errors name the file and
// repeat nothing of it. (I6)
func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPEM+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%s: has more than %s", path, bytesText(maxPEM))
	}
	return text, nil
}

func (t certificateTexts) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, text := range [][]byte{t.cert, t.key, t.clientCA} {
		part := sha256.Sum256(text)
		h.Write(part[:])
	}
	h.Sum(sum[:0])
	return sum
}

// serve makes the configuration of a listener. A new one has new keys for
// resumed sessions, so that a client that it does not trust any more is asked.
func (t certificateTexts) serve() (*servedCertificate, error) {
	pair, err := tls.X509KeyPair(t.cert, t.key)
	if err != nil {
		return nil, fmt.Errorf("the certificate and its key: %w", err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"http/1.1"},
	}
	if len(bytes.TrimSpace(t.clientCA)) > 0 {
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(t.clientCA) {
			return nil, errors.New("the CA of clients: has no certificate in PEM")
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	} else if t.clientCA != nil {
		return nil, errors.New("the CA of clients: is empty")
	}
	return &servedCertificate{config: c, content: t.sum(), from: pair.Leaf.NotBefore, until: pair.Leaf.NotAfter}, nil
}
