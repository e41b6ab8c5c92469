package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var (
	// ErrUnavailable: ZITADEL is away, late or answers what cannot be relied on. It says nothing about
	// any session. (I2) All errors of this package that come of a call wrap it; most are an
	// *UnavailableError.
	ErrUnavailable = errors.New("zitadel is unavailable")
	// ErrBusy is ErrUnavailable of a call that was not sent because too many wait already.
	ErrBusy = fmt.Errorf("%w: too many calls wait for their turn, so this one was not sent", ErrUnavailable)
)

// Reasons that somebody can do something about. Those of ReasonConnect and ReasonLate go on behind that.
const (
	ReasonResolve     = "its host cannot be resolved"
	ReasonConnect     = "it cannot be connected to"
	ReasonAuthority   = "its certificate is of no authority that is trusted here"
	ReasonOtherHost   = "its certificate is for another host"
	ReasonCertificate = "its certificate is not valid"
	ReasonNoTLS       = "it does not speak TLS"
	ReasonLate        = "it did not answer within"
	ReasonRefused     = "it refuses our credentials"
	ReasonNoToken     = "it gives us no access token"
)

// UnavailableError is ErrUnavailable, and why.
type UnavailableError struct {
	// Reason is a phrase. It repeats nothing of a request, and of an answer its status only. (I6)
	Reason string
	// Sent says that the call was to change something and may have reached ZITADEL, so that it may have happened. Else it
	// certainly has not.
	Sent bool
	// cause is the error of the caller's context, nil if another one has ended the call.
	cause error
	// refused says that the breaker did not let the call through.
	refused bool
}

// Error says why, and whether the call may have been carried out.
func (e *UnavailableError) Error() string {
	if e.Sent {
		return fmt.Sprintf("%v: %s; the call may have been carried out", ErrUnavailable, e.Reason)
	}
	return fmt.Sprintf("%v: %s", ErrUnavailable, e.Reason)
}

// Is says that e is ErrUnavailable.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the error of the caller's context, if that has ended the call.
func (e *UnavailableError) Unwrap() error { return e.cause }

// RetryLaterError is ErrUnavailable because ZITADEL has asked for fewer calls, just now or before. Of
// calls AsOurs none is made for a while after one of them was answered 429, and no call at all after any was answered 503 with
// Retry-After. A caller's own call that is answered 429 holds back nobody: the answer tells that caller.
type RetryLaterError struct {
	// After is how long to wait before the next call: more than 0, and a minute at most.
	After time.Duration
}

// Error says for how long.
func (e *RetryLaterError) Error() string {
	return fmt.Sprintf("%v: it asks for no calls for %v", ErrUnavailable, e.After.Round(time.Millisecond))
}

// Is says that e is ErrUnavailable.
func (e *RetryLaterError) Is(target error) bool { return target == ErrUnavailable }

// MayHaveHappened says of an error of a call whether it may have been carried out all the same. Of
// an error that is not of this package it says so.
func MayHaveHappened(err error) bool {
	var away *UnavailableError
	var later *RetryLaterError
	var refused *RefusedError
	switch {
	case err == nil, errors.Is(err, ErrBusy), errors.Is(err, errBadPath), errors.As(err, &later), errors.As(err, &refused):
		return false // 429 is said in place of an answer
	case errors.As(err, &away):
		return away.Sent
	}
	return true
}

// errLate is why a call's context ends when its time is over.
var errLate = errors.New("its time is over")

// errLarge is the error of an answer that is too large.
type errLarge int

func (e errLarge) Error() string { return fmt.Sprintf("its answer has more than %d bytes", int(e)) }

// failure is the error of a call that was not answered.
func (c *Client) failure(ctx context.Context, err error, sent bool) *UnavailableError {
	e := &UnavailableError{Sent: sent}
	switch {
	case ctx.Err() == nil:
		e.Reason = reason(err)
	case context.Cause(ctx) == errClosed:
		e.Reason = errClosed.Reason
	case errors.Is(context.Cause(ctx), errLate):
		e.Reason = fmt.Sprintf("%s %v", ReasonLate, c.timeout)
	default:
		e.Reason, e.cause = "its answer was not waited for", ctx.Err()
	}
	return e
}

// reason says why a call failed. Errors that could repeat a part of an answer are not shown. (I6)
func reason(err error) string {
	var network *net.OpError
	var resolve *net.DNSError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var certificate x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var large errLarge
	switch {
	case errors.As(err, &large):
		return large.Error()
	case errors.As(err, &authority):
		return ReasonAuthority
	case errors.As(err, &name):
		return ReasonOtherHost
	case errors.As(err, &certificate), errors.As(err, &verification):
		return ReasonCertificate
	case errors.As(err, &record):
		return ReasonNoTLS
	case errors.As(err, &resolve):
		return ReasonResolve
	case errors.As(err, &network) && network.Op == "dial":
		return ReasonConnect + ": " + network.Err.Error()
	case errors.As(err, &network):
		return "the connection failed: " + network.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete"
	}
	return "its answer is no HTTP, or the connection broke"
}
