package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/forward"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

const (
	// maxRevocations is how many revocations run at a time.
	maxRevocations = 4
	// maxCounts is how many dry runs do: a count that nobody waits for any more keeps no session from being revoked.
	maxCounts = 4
	// progressPause is how long after its last line the log tells how far one is.
	progressPause = 5 * time.Second
	// zitadelPause is how long a ZITADEL is left alone that did not do what it was asked.
	zitadelPause = 250 * time.Millisecond
)

func decodeRevoke(c *call) (*request.Revoke, error) { return request.DecodeRevoke(c.body, c.caller) }

// revokeRun is one revocation under way.
type revokeRun struct {
	s        *Server
	log      *slog.Logger
	what     cache.Revocation
	zitadel  *forward.Revocation // nil: the sessions live here
	earlier  uint64              // revoked by attempts that have failed
	reported time.Time
	replicas acknowledgements
	told     func(revoked uint64) // whoever waits; nil if nobody asks
}

// revokeSessions answers POST /v2/sessions/revoke: it deletes every session
// that matches and that the caller may delete, however many these are.
//
// JWTs of sessions that are not stored end as well, as endLogins says; the answer then has notBefore or sessionsOfJwts.
//
// If the store stays away, or the server is told to end, the revocation ends
// with 503, and the message has the count. To send it again is to go on.
//
// Sessions that live in a ZITADEL are deleted there, and then here. If it refuses that for some, all others are
// revoked, and the answer is 502: who looks at nothing but the status must not take it for done.
func (s *Server) revokeSessions(base context.Context, c *call, q *request.Revoke) error {
	places, full := &s.revocations, errTooManyRevocations
	if q.DryRun {
		places, full = &s.counts, errTooManyCounts
	}
	if !places.Enter() {
		return full
	}
	defer places.Leave()
	c.logged = append(c.logged, slog.String("which", whose(&q.Query)), slog.Int("except", len(q.Except)), slog.Bool("dry_run", q.DryRun))
	may := c.caller.MayDelete
	if !c.caller.Delete.All && len(c.caller.Delete.Orgs) == 0 {
		// It does not look at anybody else's.
		q.Query.Predicates = append(q.Query.Predicates, index.ByUser(c.caller.UserID))
	}
	run := &revokeRun{s: s, reported: time.Now(), log: s.log.With("request_id", string(c.requestID), "caller", c.caller.Name)}
	if c.console != nil {
		run.told = c.console.Progress
	}
	run.what = cache.Revocation{
		Query: &q.Query, May: may, Except: q.Except, DryRun: q.DryRun, Reason: "revoked", Progress: run.progress,
		Replicated: run.replicas.add,
	}
	var err error
	if run.zitadel, err = s.atZITADEL(run.what); err != nil {
		return err
	}
	if c.console != nil && c.console.Began != nil {
		c.console.Began()
	}
	ctx, ended, stop := server.UntilDrained(base)
	defer stop()
	logins, err := s.endLogins(ctx, c.caller, q, run.replicas.add)
	var revoked uint64
	if err == nil {
		revoked, err = run.run(ctx)
	}
	c.logged = append(c.logged, slog.Uint64("revoked", revoked))
	if err == nil {
		err = run.left()
	}
	if err != nil {
		run.log.Error("revocation gives up", "revoked", revoked, "dry_run", q.DryRun, "error", err)
		return run.refuse(c, revoked, ended(), err)
	}
	c.begin(0)
	c.out = append(c.out, `{"revoked":`...)
	c.out = protojson.AppendUint64(c.out, revoked)
	if _, fewer := run.replicas.sum(); fewer > 0 {
		c.out = append(c.out, `,"unreplicated":`...)
		c.out = protojson.AppendUint64(c.out, fewer)
	}
	if logins.until != 0 {
		c.out = append(c.out, `,"notBefore":`...)
		c.out = protojson.AppendTime(c.out, int64(logins.until))
	}
	if logins.sessions > 0 {
		c.out = append(c.out, `,"sessionsOfJwts":`...)
		c.out = protojson.AppendUint64(c.out, uint64(logins.sessions))
	}
	return c.end(http.StatusOK)
}

var (
	errTooManyRevocations = &refusal.Error{Code: refusal.Exhausted, Text: fmt.Sprintf("at most %d revocations may run at a time in this process, whichever keys began them; try again when one has ended", maxRevocations)}
	errTooManyCounts      = &refusal.Error{Code: refusal.Exhausted, Text: fmt.Sprintf("at most %d dry runs of revocations may run at a time in this process, whichever keys began them; try again when one has ended", maxCounts)}
)

// atZITADEL is a revocation at the ZITADEL that the sessions live in, nil if there is none.
func (s *Server) atZITADEL(what cache.Revocation) (*forward.Revocation, error) {
	if s.config.Upstream == nil {
		return nil, nil
	}
	return forward.NewRevocation(what, s.config.Upstream, s.config.Store, s.log)
}

// left is the error of a revocation that has come to its end, and left sessions that ZITADEL refuses to delete; nil if
// there are none.
func (run *revokeRun) left() error {
	if run.zitadel == nil || run.what.DryRun {
		return nil
	}
	failed, _, why := run.zitadel.Failed()
	if failed == 0 {
		return nil
	}
	return &refusal.Error{Code: refusal.Precondition, HTTP: http.StatusBadGateway, Text: fmt.Sprintf("%d sessions are left: %v", failed, why)}
}

// refuse is the answer to a revocation that has failed.
func (run *revokeRun) refuse(c *call, revoked uint64, ended bool, err error) error {
	e := *asAPIError(err)
	if errors.Is(err, upstream.ErrUnavailable) {
		e = *forward.Unavailable(err)
	}
	if ended {
		e.Text = "the server ends"
	}
	if run.what.DryRun {
		e.Text += "; nothing was revoked"
		return &e
	}
	e.Text += fmt.Sprintf("; %d sessions were revoked", revoked)
	if run.zitadel != nil {
		refused, unsure, _ := run.zitadel.Failed()
		if unsure > 0 {
			e.Text += fmt.Sprintf(", and of %d it is not known", unsure)
		}
		failed := refused + uint64(unsure)
		c.logged = append(c.logged, slog.Uint64("failed", failed))
		e.Members = fmt.Sprintf(`,"revoked":"%d","failed":"%d"`, revoked, failed)
	}
	e.Text += "; to send the request again is to go on"
	return &e
}

// run revokes. While the store is away it tries again, for some time from the
// first failure on; what it gets done meanwhile gives it new time.
func (run *revokeRun) run(ctx context.Context) (revoked uint64, err error) {
	var deadline time.Time
	// Patience, not a number, bounds these attempts.
	for a := (attempts{ctx: ctx, pause: longestPause}); a.next(); {
		var n uint64
		if run.zitadel != nil {
			n, err = run.zitadel.Revoke(ctx)
		} else {
			n, err = run.s.config.Store.Revoke(ctx, run.what)
		}
		if !run.what.DryRun || err == nil {
			run.earlier += n
		}
		if err == nil || !errors.Is(err, session.ErrUnavailable) {
			break
		}
		if deadline.IsZero() || n > 0 && !run.what.DryRun {
			deadline = time.Now().Add(run.s.limits.patience)
		}
		if time.Now().After(deadline) {
			break
		}
		if run.zitadel != nil {
			select {
			case <-time.After(zitadelPause):
			case <-ctx.Done():
			}
		}
	}
	return run.earlier, err
}

// progress tells whoever waits how far a revocation is, and logs it now and then if it is long.
func (run *revokeRun) progress(revoked uint64) {
	if run.told != nil {
		run.told(run.earlier + revoked)
	}
	if time.Since(run.reported) > progressPause {
		run.reported = time.Now()
		run.log.Info("revocation goes on", "revoked", run.earlier+revoked, "dry_run", run.what.DryRun)
	}
}
