package httpapi

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/imports"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// maxImports is how many imports run at a time.
	maxImports = 2
	// maxLineExtra is how much longer a line may be than twice a session: spaces,
	// escapes, creator and token.
	maxLineExtra = 4096
)

// importSessions answers POST /v2/sessions/import: one session per line, as
// PUT takes it. A broken line is told with its number and costs only itself.
//
// If the store stays away, the import ends with 503. Then, and where the body
// ends early, the message has the counts and names the first line that was not
// taken. To send everything again is safe.
func (s *Server) importSessions(base context.Context, c *call) error {
	if !c.caller.Write.All {
		return errDenied
	}
	ignoreUnknown, err := c.ignoreUnknown()
	if err != nil {
		return err
	}
	if !s.imports.Enter() {
		return &refusal.Error{Code: refusal.Exhausted, Text: fmt.Sprintf("at most %d imports may run at a time", maxImports), Close: true}
	}
	defer s.imports.Leave()
	into := &importer{
		s: s, by: c.caller, requestID: string(c.requestID), ignoreUnknown: ignoreUnknown,
		log: s.log.With("request_id", string(c.requestID), "caller", c.caller.Name),
	}
	run := imports.Import[*putRequest]{
		Body: func(ctx context.Context) (io.Reader, func() bool) {
			return server.StreamBody(ctx, c.http, s.limits.pause, errUnavailable)
		},
		MaxLine: 2*s.config.MaxSessionBytes + maxLineExtra,
		Decode:  into.decode,
		Store:   into.store,
		Refusal: asAPIError,
		Away:    errUnavailable,
		Log:     into.log,
	}
	counts, err := run.Run(base)
	c.logged = append(c.logged, slog.Uint64("lines", counts.Lines()), slog.Uint64("stored", counts.Stored),
		slog.Uint64("expired", counts.Expired), slog.Uint64("failed", counts.Failed))
	if err != nil {
		return err
	}
	c.bodyRead = true
	c.begin(0)
	c.out = counts.Append(c.out)
	return c.end(http.StatusOK)
}

// importer stores the lines of one import.
type importer struct {
	s   *Server
	by  *caller.Caller
	log *slog.Logger

	requestID     string
	ignoreUnknown bool
}

// decode reads one line.
func (i *importer) decode(text []byte) (_ *putRequest, id string, err error) {
	q := &putRequest{guessNew: true}
	if q.session, q.given, err = session.DecodeJSON(text, i.ignoreUnknown); err != nil {
		return nil, "", err
	}
	id = string(q.session.ID)
	return q, id, storableID(id)
}

// store stores one line. While the store is away it tries again, for some
// time; then it gives the import up.
func (i *importer) store(ctx context.Context, number uint64, q *putRequest) (expired bool, err error) {
	deadline := time.Now().Add(i.s.limits.patience)
	// Patience, not a number, bounds these attempts.
	for a := (attempts{ctx: ctx, pause: longestPause}); a.next(); {
		done, err := i.try(ctx, q)
		if err == nil || asAPIError(err) != errUnavailable {
			return done.expired, err
		}
		if time.Now().After(deadline) {
			i.log.Error("import gives up", "line", number, "error", err)
			break
		}
	}
	return false, errUnavailable
}

// try stores one line, within the time that any other write has.
func (i *importer) try(ctx context.Context, q *putRequest) (_ putResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = i.s.bug(p, i.requestID, "ImportSessions")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, i.s.limits.request)
	defer cancel()
	return i.s.put(ctx, i.by, q)
}
