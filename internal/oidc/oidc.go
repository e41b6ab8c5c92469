// Package oidc decides what an access token or a logout token of an OpenID
// Connect issuer is worth: by the issuer's keys for a JWT, by asking the issuer
// for an opaque token (RFC 7662, introspection).
//
// Every answer is one of three: what the token says, an *InvalidError, or
// ErrUnavailable where the issuer could not be asked. "Unavailable" is never
// "invalid", and neither lets anybody in. (I2) No error and no log line holds a
// token or a part of one. (I6)
//
// Operating range: up to MaxIssuers issuers, tokens up to MaxTokenBytes.
// Everything that is kept is bounded: verified tokens by their memory, keys by
// their number, answers of issuers by their size.
package oidc

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/bounded"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// MaxTokenBytes is the longest token that is looked at.
const MaxTokenBytes = 16 << 10

// ErrUnavailable says that the issuer could not be asked, so that it is not
// known what the token is worth.
var ErrUnavailable = errors.New("the issuer is unavailable")

// ErrForeign says that a token is no JWT, or not one of a configured issuer.
var ErrForeign = errors.New("not a JWT of a configured issuer")

// InvalidError says why a token is refused. It repeats nothing of the token. (I6)
type InvalidError struct {
	// Reason is a phrase that names the claim or header.
	Reason string
	// Expired says that the token's time is over by its own dates, which nobody
	// has to believe: such a token lets nobody in, whoever signed it.
	Expired bool
	// Inactive says that the issuer was asked and does not take the token. It does
	// not tell whether it ever did.
	Inactive bool
	// Later says that the same token may be good later: its key is not known yet, or its
	// algorithm not configured, or the clocks differ.
	Later bool
	// Genuine says that the issuer has signed the token: nobody has guessed it.
	Genuine bool
}

// Error returns the reason.
func (e *InvalidError) Error() string { return "invalid token: " + e.Reason }

func invalid(reason string) error { return &InvalidError{Reason: reason} }

// genuine is err of a token whose signature is good.
func genuine(err error) error {
	e, ok := errors.AsType[*InvalidError](err)
	if !ok {
		return err
	}
	of := *e
	of.Genuine = true
	return &of
}

// Access is what an access token says. It is immutable: callers share it.
type Access struct {
	// Issuer is the configured name of the issuer.
	Issuer string
	UserID string
	// AgentID is "" if the token names no user agent.
	AgentID string
	// Read, Write and Delete are the permissions session.read, session.write
	// and session.delete.
	Read, Write, Delete Grant
	// Login is what may have ended; nil where the issuer has no verify.
	Login *session.Login
}

// Grant is one permission: for the whole instance, or for organizations.
type Grant struct {
	All           bool
	Organizations []string
}

// Config configures a Verifier. Zero fields mean their defaults.
type Config struct {
	// Clock tells whether a token has expired; default time.Now.
	Clock func() time.Time
	// Claims are those whose values Bearer answers.
	Claims []NamedClaim
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Verifier verifies tokens. Make it with New. It is safe for concurrent use.
type Verifier struct {
	clock   func() time.Time
	claims  []NamedClaim
	log     *slog.Logger
	client  *http.Client
	current atomic.Pointer[issuers]
	setting sync.Mutex
	changed chan struct{}
	// age is the clock by which keys grow old.
	age func() time.Time
	// patience is how long a token whose key is not known waits for the keys to
	// be fetched.
	patience time.Duration
}

// issuers are those in force and what is known of their tokens. A change of
// the settings begins with nothing known.
type issuers struct {
	list  []*issuer
	byURL map[string]*issuer
	// asked says that some issuer is asked about opaque tokens.
	asked bool
	known results
	// bearers are the JWTs that gateways have brought; nil if no issuer has verify.
	bearers bounded.Cache[tokenHash, knownBearer]
}

// New returns a Verifier without issuers. It starts no goroutine; Run does the
// work in the background.
func New(c Config) *Verifier {
	v := &Verifier{clock: c.Clock, claims: c.Claims, log: c.Logger, client: newClient(), changed: make(chan struct{}, 1), age: time.Now, patience: unknownWait}
	if v.clock == nil {
		v.clock = time.Now
	}
	if v.log == nil {
		v.log = slog.Default()
	}
	v.current.Store(newIssuers(nil))
	return v
}

func newIssuers(list []*issuer) *issuers {
	s := &issuers{list: list, byURL: make(map[string]*issuer, len(list)), known: newResults()}
	for _, i := range list {
		s.byURL[i.URL] = i
		s.asked = s.asked || i.Introspection != nil
		if i.verify != nil && s.bearers == nil {
			s.bearers = bounded.InBytes(knownBearerBytes, weighBearer)
		}
	}
	return s
}

// Set replaces the issuers, for calls that begin after it; nil has none. An
// issuer whose keys are where they were goes on with those that it has.
func (v *Verifier) Set(s *Settings) {
	v.setting.Lock()
	defer v.setting.Unlock()
	before := v.current.Load()
	var list []*issuer
	if s != nil {
		for k := range s.issuers {
			settings := &s.issuers[k]
			old := before.byURL[settings.URL]
			if old != nil && old.issuerSettings.equal(settings) {
				list = append(list, old)
				continue
			}
			i := newIssuer(settings, v)
			if old != nil && old.KeysURL == i.KeysURL && old.allowHTTP == i.allowHTTP {
				i.ring.keys, _ = old.usableKeys()
			}
			list = append(list, i)
		}
	}
	v.current.Store(newIssuers(list))
	select {
	case v.changed <- struct{}{}:
	default:
	}
}

// Run fetches the issuers' keys, again and again, until ctx ends. It returns
// nil then. Without it no JWT can be verified. It must be called once, and end
// after all callers of the other methods.
func (v *Verifier) Run(ctx context.Context) error {
	type running struct {
		stop context.CancelFunc
		done chan struct{}
	}
	run := map[*issuer]running{}
	end := func(i *issuer) {
		run[i].stop()
		<-run[i].done // I7
		delete(run, i)
	}
	defer func() {
		for i := range run {
			end(i)
		}
		v.client.CloseIdleConnections()
	}()
	for {
		wanted := map[*issuer]bool{}
		for _, i := range v.current.Load().list {
			wanted[i] = true
			if _, ok := run[i]; ok || i.noKeys {
				continue
			}
			ctx, stop := context.WithCancel(ctx)
			r := running{stop, make(chan struct{})}
			run[i] = r
			go func() {
				defer close(r.done)
				i.follow(ctx)
			}()
		}
		for i := range run {
			if !wanted[i] {
				end(i)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-v.changed:
		}
	}
}
