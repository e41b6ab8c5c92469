// Package upstream asks a running ZITADEL over HTTP: single sessions with Client.GetSession, and with
// Client.Call whatever a caller of ours, or we ourselves, want of it.
//
// It passes on what ZITADEL answers and decides nothing by itself. An answer that is not
// clearly one of ZITADEL's is ErrUnavailable, never "not found". (I2) A call that changes something is
// sent once at most; MayHaveHappened says of an error whether it may have been carried out.
//
// Calls at a time, calls that wait for their turn, answers and time are bounded. While ZITADEL is away
// a breaker lets calls fail at once.
package upstream

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What a Config has that says nothing else.
const (
	// DefaultTimeout is how long a call takes at most.
	DefaultTimeout = 5 * time.Second
	// DefaultConcurrency is how many calls are under way at a time.
	DefaultConcurrency = 64
	// DefaultQueue is how many calls wait for one of these to end.
	DefaultQueue = 256
	// DefaultAnswerBytes is the size of the largest body of an answer.
	DefaultAnswerBytes = 16 << 20
	// DefaultSessionBytes is the size of the largest session that can be kept.
	DefaultSessionBytes = 16 << 10
)

// Config says where ZITADEL is, and how it is asked.
type Config struct {
	// URL is where ZITADEL is: scheme, host and, behind some proxies, the path that all of its own begin
	// with.
	URL string
	// Host is the Host header, by which ZITADEL finds its instance; "" is the URL's.
	Host string
	// AllowHTTP lets the URL be http where its host is not loopback. Session tokens and our
	// credentials then go in the clear.
	AllowHTTP bool
	// Credentials are ours, for calls AsOurs. nil: there are none, and these calls fail. SetCredentials
	// replaces them.
	Credentials *Credentials
	// RootCAs are whom ZITADEL's certificate may come from, nil the system's. SetRootCAs replaces them.
	RootCAs *x509.CertPool
	// Timeout is how long a call takes at most, with all that belongs to it: its wait for its turn and
	// for our access token, the connection, the answer and its body. 0 is DefaultTimeout.
	Timeout time.Duration
	// Concurrency is how many calls are under way at a time; 0 is DefaultConcurrency.
	Concurrency int
	// Queue is how many calls wait for their turn at most; 0 lets none wait.
	Queue int
	// AnswerBytes is the size of the largest body of an answer; 0 is DefaultAnswerBytes.
	AnswerBytes int
	// SessionBytes is the size of the largest session that can be kept; 0 is DefaultSessionBytes.
	SessionBytes int
	// Logger is told when ZITADEL is away, and when our credentials are refused; nil tells nobody.
	Logger *slog.Logger
	// Metrics takes the client's metrics; nil: nobody sees them.
	Metrics prometheus.Registerer
}

// Check says what is wrong with c.
func (c *Config) Check() error {
	_, err := c.base()
	switch {
	case err != nil:
		return err
	case c.Timeout < 0 || c.Concurrency < 0 || c.Queue < 0 || c.AnswerBytes < 0 || c.SessionBytes < 0:
		return errors.New("no limit may be negative")
	}
	return checkHost(c.Host)
}

// Client asks one ZITADEL. It is safe for concurrent use. It starts no goroutine before it is asked;
// Close ends those that it has started. Run, in a goroutine of the caller's, finds out when a ZITADEL that was away is back.
type Client struct {
	base         *url.URL
	host         string
	timeout      time.Duration
	answerBytes  int
	sessionBytes int
	connections  int
	log          *slog.Logger

	transport     atomic.Pointer[http.Transport]
	places        places
	circuit       circuit
	pauses        pauses
	service       service
	tasks         *tasks
	forbiddenTies atomic.Pointer[forbiddenTies]
	metrics       *measures
}

// New returns a client. Its error is that of Config.Check.
func New(config Config) (*Client, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	base, err := config.base()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, host: config.Host, log: config.Logger, tasks: newTasks(),
		timeout:      either(config.Timeout, DefaultTimeout),
		answerBytes:  either(config.AnswerBytes, DefaultAnswerBytes),
		sessionBytes: either(config.SessionBytes, DefaultSessionBytes),
	}
	if c.host == "" {
		c.host = base.Host
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.connections = either(config.Concurrency, DefaultConcurrency)
	c.places.init(c.connections, config.Queue)
	c.circuit.init(c.log)
	c.metrics = newMeasures(config.Metrics, c)
	c.service.credentials = config.Credentials
	c.SetRootCAs(config.RootCAs)
	return c, nil
}

// either is v, or its default.
func either[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Close ends what the client has started: a renewal of our access token, and connections that nobody uses. It returns
// when all has ended.
func (c *Client) Close() {
	c.tasks.stop()
	c.transport.Load().CloseIdleConnections()
}
