package httpapi

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// The errors with a fixed text. Those with an ID are ZITADEL's, word for word.
var (
	errDenied         = &refusal.Error{Code: refusal.Denied, ID: "AUTH-5mWD2", Text: "No matching permissions found"}
	errGetToken       = &refusal.Error{Code: refusal.Denied, ID: "QUERY-dsfr3", Text: "Permission denied"}
	errDeleteToken    = &refusal.Error{Code: refusal.Denied, ID: "COMMAND-sGr42", Text: "Session Token is invalid"}
	errUnknownSession = &refusal.Error{Code: refusal.NotFound, ID: "QUERY-SFeaa", Text: "Session does not exist"}
	errExplain        = &refusal.Error{Code: refusal.Denied, Text: "explain needs session.read for the whole instance"}
	errLimit          = &refusal.Error{Code: refusal.Invalid, ID: "QUERY-4M0fs", Text: "Limit exceeded"}

	errUnavailable     = &refusal.Error{Code: refusal.Unavailable, Text: "the session store is unavailable"}
	errUpstreamOurs    = &refusal.Error{Code: refusal.Denied, Text: "sessions are written with credentials of the ZITADEL that they live in; these are Cloakroom's own"}
	errUpstreamOwns    = &refusal.Error{Code: refusal.Exists, Text: "the sessions are those of --upstream-url: they cannot be stored here"}
	errUpstreamExplain = &refusal.Error{Code: refusal.Invalid, Text: "explain: searches are passed on to the ZITADEL of --upstream-url, which does not explain them"}
	errUpstreamRevoke  = &refusal.Error{Code: refusal.Denied, Text: "a revocation is made with the account of --upstream-token-file, for callers whose permissions are known here: with an API key, or a token of an issuer in --auth-issuers-file; delete with credentials of ZITADEL one by one"}

	errConflict     = &refusal.Error{Code: refusal.Aborted, Text: "the session is being changed by others; try again"}
	errStale        = &refusal.Error{Code: refusal.Exists, Text: "a version with a higher sequence is stored"}
	errDeleted      = &refusal.Error{Code: refusal.Exists, Text: session.ErrDeleted.Error()}
	errEnded        = &refusal.Error{Code: refusal.Precondition, Text: session.ErrEnded.Error()}
	errFull         = &refusal.Error{Code: refusal.Exhausted, Text: session.ErrFull.Error() + ": it holds as many sessions as it may, which are 10,000 with memory:"}
	errPrecondition = &refusal.Error{Code: refusal.Precondition, HTTP: http.StatusPreconditionFailed, Text: "the stored session has another sequence than If-Match asks for"}
)

// userLimit names the limit that refuses a session, and its setting.
func userLimit(e *session.UserLimitError) *refusal.Error {
	return &refusal.Error{Code: refusal.Exhausted, Text: "the user has as many sessions as --max-sessions-per-user allows, which is " + strconv.Itoa(e.Limit)}
}

// asAPIError is the one place where an error of a lower layer gets its answer.
// What it does not know means that the answer is not known. (I2)
func asAPIError(err error) *refusal.Error {
	if e, ok := errors.AsType[*refusal.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*protojson.Error](err); ok {
		return &refusal.Error{Code: refusal.Invalid, Text: e.Error()}
	}
	if e, ok := errors.AsType[*session.InvalidError](err); ok {
		return &refusal.Error{Code: refusal.Invalid, Text: e.Error()}
	}
	if e, ok := errors.AsType[*index.TooCostlyError](err); ok {
		return &refusal.Error{Code: refusal.Exhausted, Text: e.Error()}
	}
	if e, ok := errors.AsType[*session.UserLimitError](err); ok {
		return userLimit(e)
	}
	if e := asBusy(err); e != nil {
		return e
	}
	switch {
	case errors.Is(err, session.ErrNotFound):
		return errUnknownSession
	case errors.Is(err, session.ErrConflict):
		return errConflict
	case errors.Is(err, session.ErrDeleted):
		return errDeleted
	case errors.Is(err, session.ErrEnded):
		return errEnded
	case errors.Is(err, session.ErrFull):
		return errFull
	}
	return errUnavailable
}
