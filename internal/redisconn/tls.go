package redisconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
)

// TLSFiles say whom to trust and who we are. Empty names are of no file.
type TLSFiles struct{ CA, Cert, Key, ServerName string }

// tlsSessions is for how many servers a TLS session is kept.
const tlsSessions = 64

// tlsMaterial is what the files hold.
type tlsMaterial struct {
	roots *x509.CertPool // nil: the system's
	certs []tls.Certificate
}

// load reads the files. Its errors name the setting and the file, and never
// quote what is in it. (I6)
func (f *TLSFiles) load() (tlsMaterial, error) {
	var m tlsMaterial
	if f.CA != "" {
		b, err := followed.Read(f.CA, nil)
		if err != nil {
			return m, fmt.Errorf("--redis-tls-ca-file: %w", err)
		}
		m.roots = x509.NewCertPool()
		if !m.roots.AppendCertsFromPEM(b) {
			return m, fmt.Errorf("--redis-tls-ca-file: %s has no certificate in PEM", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return m, errHalfPair
	}
	if f.Cert != "" {
		cert, err := followed.Read(f.Cert, nil)
		key, keyErr := followed.Read(f.Key, nil)
		var pair tls.Certificate
		if err = errors.Join(err, keyErr); err == nil {
			pair, err = tls.X509KeyPair(cert, key)
		}
		if err != nil {
			return m, fmt.Errorf("--redis-tls-cert-file %s and --redis-tls-key-file %s: %w", f.Cert, f.Key, err)
		}
		m.certs = []tls.Certificate{pair}
	}
	return m, nil
}

// tlsSource gives the configuration of each new connection, by files as they
// are now. It is safe for concurrent use.
type tlsSource struct {
	files TLSFiles
	base  *tls.Config
	log   *slog.Logger

	mu      sync.Mutex
	made    *tls.Config
	stamps  [3]stamp
	failing bool
}

// stamp tells whether a file has changed.
type stamp struct {
	at   time.Time
	size int64
}

// config reads the files again if they have changed. If they cannot be used,
// those that were read before go on being used, and it is logged.
func (s *tlsSource) config() (*tls.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var stamps [3]stamp
	for i, name := range []string{s.files.CA, s.files.Cert, s.files.Key} {
		if info, err := os.Stat(name); name != "" && err == nil {
			stamps[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	if s.made != nil && stamps == s.stamps {
		return s.made, nil
	}
	m, err := s.files.load()
	if err != nil {
		if s.made == nil {
			return nil, err
		}
		if !s.failing {
			s.failing = true
			s.log.Warn("the TLS files for redis cannot be used: connections are made with what they held before", "error", err)
		}
		return s.made, nil
	}
	made := s.base.Clone()
	made.MinVersion = max(made.MinVersion, tls.VersionTLS12)
	made.RootCAs, made.Certificates = m.roots, m.certs
	made.ServerName = s.files.ServerName // "": the dialed host's
	// Each bound has new connections (package endpoint); a resumed session spares
	// Redis, which has one thread, the signature.
	made.ClientSessionCache = tls.NewLRUClientSessionCache(tlsSessions)
	if s.made != nil {
		s.log.Info("the TLS files for redis were read again")
	}
	s.made, s.stamps, s.failing = made, stamps, false
	return made, nil
}
