package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// AuditKey is the attribute that every line of the log about a write of a known
// caller has: true for each request, done, refused or failed. No such line may be
// left out.
const AuditKey = "audit"

// audit logs a write, done or refused, every credential that may have been guessed, and
// every failure of ours. It has neither the path nor the query, and of the
// headers only those with addresses: the others hold tokens. (I6)
func (s *Server) audit(ctx context.Context, c *call, e *refusal.Error, err error, took time.Duration) {
	shed := e != nil && isShed(e)
	if shed {
		s.tellShed()
	}
	status := c.http.Response.StatusCode()
	failed := status >= http.StatusInternalServerError && status != http.StatusNotImplemented
	stranger := c.caller == nil // so nothing was done
	if stranger && e != nil && (!failed || e.Guessed) {
		s.auditStranger(ctx, c, e)
		return
	}
	level, message := slog.LevelInfo, "write"
	switch {
	case (stranger || !c.route.writes) && (!failed || shed || status == http.StatusGatewayTimeout):
		return
	case stranger || !c.route.writes:
		level, message = slog.LevelError, "request failed"
	case e == protocol.ErrTooLate: // it may have been done
		level, message = slog.LevelWarn, "write failed"
	case failed && !shed:
		level, message = slog.LevelError, "write failed"
	case e != nil:
		message = "write refused"
	}
	attrs := make([]slog.Attr, 0, 12)
	attrs = append(attrs,
		slog.String("request_id", string(c.requestID)),
		slog.String("call", c.route.call),
		slog.Int("status", status),
		slog.Float64("took_ms", float64(took.Microseconds())/1000))
	if c.route.writes && !stranger {
		attrs = append(attrs, slog.Bool(AuditKey, true))
	}
	if !stranger {
		attrs = append(attrs, slog.String("caller", c.caller.Name), slog.String("user_id", c.caller.UserID))
	}
	if c.console != nil {
		attrs = append(attrs, c.console.From...)
	}
	if c.session != "" {
		attrs = append(attrs, slog.String("session_id", string(c.session)))
	}
	attrs = append(attrs, c.logged...)
	if e != nil {
		attrs = append(attrs, slog.Int("code", int(e.Code)), slog.String("reason", e.Error()))
	}
	if level == slog.LevelError && err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.log.LogAttrs(ctx, level, message, attrs...)
}

// auditStranger logs what is refused before the caller is known: a credential
// that may have been guessed, and any other refusal of a write.
func (s *Server) auditStranger(ctx context.Context, c *call, e *refusal.Error) {
	level, message := slog.LevelInfo, "request refused"
	switch {
	case e.Guessed:
		level, message = slog.LevelWarn, caller.CredentialRefused
	case !c.route.writes:
		return
	}
	s.config.TrustedProxies.LogStranger(ctx, s.log, c.http, level, message,
		slog.String("request_id", string(c.requestID)), slog.String("call", c.route.call), slog.Int("status", c.http.Response.StatusCode()),
		slog.Int("code", int(e.Code)), slog.String("reason", e.Error()))
}

// maxLoggedIDs is how many session IDs of a revocation are logged.
const maxLoggedIDs = 10

// whose says which sessions a revocation is about, for the log: the queries
// with their values, none of which is a secret. (I6)
func whose(q *index.Query) string {
	if len(q.Predicates) == 0 {
		return "all"
	}
	var b strings.Builder
	for i := range q.Predicates {
		p := &q.Predicates[i]
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(p.Kind.String())
		switch p.Kind {
		case index.KindIDs:
			ids := p.IDs()
			for j, id := range ids[:min(len(ids), maxLoggedIDs)] {
				b.WriteString([]string{" ", ","}[min(j, 1)])
				b.WriteString(strconv.Quote(string(id)))
			}
			if more := len(ids) - maxLoggedIDs; more > 0 {
				b.WriteString(" and " + strconv.Itoa(more) + " more")
			}
		case index.KindCreation, index.KindExpiration:
			b.WriteString(" " + loggedDate(p.Dates.Min) + ".." + loggedDate(p.Dates.Max))
		default:
			b.WriteString(" " + strconv.Quote(p.Value))
		}
	}
	return b.String()
}

// loggedDate is a date, or nothing where there is no bound.
func loggedDate(t session.Time) string {
	if t == session.Never || t < 0 {
		return ""
	}
	return t.Std().UTC().Format(time.RFC3339Nano)
}

// requestIDKey is where a context has the ID of its request.
type requestIDKey struct{}

// withRequestID returns ctx with the request's ID, for the log of what the
// request causes.
func (c *call) withRequestID(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestIDKey{}, string(c.requestID)) // I8
}

// RequestIDOf returns the ID of the request that ctx belongs to, "" if it
// belongs to none, or to a read: reads cause nothing that is logged apart.
func RequestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
