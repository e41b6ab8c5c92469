package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

// VerifyConfig configures verify, the endpoint that gateways ask whether a
// session token is good. The zero value accepts any good session, by bearer
// token or X-Session-Token.
//
// Good is a token that is the current one of a session that lives and has a
// user and at least one other verified factor.
type VerifyConfig struct {
	// Credentials are the places that a token is looked for at, in this order:
	// the first that has anything decides. Default: CredentialBearer,
	// CredentialHeader.
	Credentials []Credential
	// Policies are what may be asked of a session besides, by name.
	Policies map[string]*VerifyPolicy
	// Default is the name of the policy that holds for every request; "" has none.
	// A policy that the path names holds besides: gateways hand us paths that
	// their clients have chosen, which so can not make anything easier.
	Default string
	// AllowUnproven accepts sessions of a user that has proven nothing.
	AllowUnproven bool
	// HideReason leaves the reason of a refusal out of the answer.
	HideReason bool
	// Metadata are the keys of session metadata that answers have.
	Metadata []string
}

const (
	// verifyTime is how long a verify may take: half of the patience that Envoy
	// has when nobody tells it otherwise.
	verifyTime = 100 * time.Millisecond
	// leastVerifyTime is the shortest time that a gateway can ask for.
	leastVerifyTime = 20 * time.Millisecond
	// verifyPath is the path of verify on the API listener, policyPath is
	// followed by the name of a policy.
	verifyPath = "/verify"
	policyPath = verifyPath + "/p/"
)

// verify answers whether the request's session token is good. Its answer is 200,
// 401, 403 or 503 and nothing else, whatever comes. named is the policy that the
// path names; known is false if there is none of that name.
func (s *Server) verify(base context.Context, http *fasthttp.RequestCtx, named *VerifyPolicy, known bool) {
	start := time.Now()
	v := verification{s: s, http: http}
	v.answer(base, start, named, known)
	if server.AnnouncedBody(&http.Request.Header) {
		server.CloseUnread(http)
	}
	took := time.Since(start)
	s.verifyMetrics.answered(v.reason, took)
	v.audit(base, took)
}

// verification is one verify under way.
type verification struct {
	s      *Server
	http   *fasthttp.RequestCtx
	reason reason
	// stored and proof are of the session, if one was found.
	stored *session.Stored
	proof  session.Proof
	// stale is how old the answer is, 0 if it is not.
	stale time.Duration
	// err is why the store could not answer.
	err error
	// guessed says that the token that is refused may have been guessed.
	guessed bool
}

// answer decides, and writes the answer. A bug of ours is no answer: the store
// counts as away.
func (v *verification) answer(base context.Context, start time.Time, named *VerifyPolicy, known bool) {
	defer func() {
		if p := recover(); p != nil {
			v.s.log.Error("a request failed by a bug", "call", "Verify", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			v.http.Response.Reset()
			v.reason, v.err = reasonUnavailable, errBug
			v.refuse()
		}
	}()
	if v.reason = v.decide(base, start, named, known); v.reason.passes() {
		v.accept()
	} else {
		v.refuse()
	}
}

// decide says why, or why not.
func (v *verification) decide(base context.Context, start time.Time, named *VerifyPolicy, known bool) (why reason) {
	var err error
	config := &v.s.config.Verify
	token, why := findCredential(&v.http.Request.Header, config.Credentials)
	if why != reasonGood {
		return why
	}
	stored, held := v.s.config.Store.VerifyCopy(token)
	if !held {
		stored, err = v.ask(base, start, token)
	}
	if err != nil {
		if why = reasonOf(err); why != reasonUnavailable {
			v.guessed = caller.Guess([]byte(token), why == reasonNotFound)
			return why
		}
		if err == errShed {
			return reasonOverloaded // asked again, it is answered right
		}
		var ok bool
		v.err = err
		if stored, v.stale, ok = v.s.config.Store.Stale(token); !ok {
			return reasonUnavailable // I2
		}
		why = reasonStale
	}
	v.stored = stored
	if stored.Proof != nil {
		v.proof = *stored.Proof
	} else if v.proof, _, err = session.ProofOf(stored.Doc, v.s.config.Store.Now()); err != nil {
		v.err = session.BrokenDoc(stored.ID, err)
		return reasonUnavailable
	}
	// Somebody who typed a name has proven nothing.
	if stored.UserID == "" || v.proof.Factors == 0 && !config.AllowUnproven {
		return reasonUnproven
	}
	// An empty header for a name that is too long would be nobody to an application.
	if !fitsHeader(stored.UserID) || !fitsHeader(stored.OrgID) {
		return reasonPredicate
	}
	now := v.s.config.Store.Now
	if !known || !v.s.verifyDefault.holds(stored, &v.proof, now) || !named.holds(stored, &v.proof, now) {
		return reasonPredicate
	}
	return why
}

// ask asks the store, for as long as the gateway waits.
func (v *verification) ask(base context.Context, start time.Time, token string) (*session.Stored, error) {
	reads := v.s.budgets[classRead]
	if !reads.Enter() {
		return nil, errShed
	}
	defer reads.Leave()
	ctx := server.WithLateDeadline(base, start.Add(v.patience()))
	defer ctx.End()
	return v.s.config.Store.GetByToken(ctx, token)
}

// errBug takes the place of what a panic says.
var errBug = errors.New("a bug of ours")

// patience is how long the answer may take. A trusted gateway may say that it
// waits for less; then the answer is there a little before. It can never get
// more, and a client that forges what its gateway hands on only harms itself.
func (v *verification) patience() time.Duration {
	most := v.s.limits.verify
	said := v.http.Request.Header.PeekCanonical(envoyTimeoutName)
	if len(said) == 0 || !v.s.config.TrustedProxies.Trusts(v.http.RemoteAddr()) {
		return most
	}
	ms, err := strconv.ParseUint(string(said), 10, 32)
	if err != nil {
		return most
	}
	return min(most, max(leastVerifyTime, time.Duration(ms)*time.Millisecond*9/10))
}

// reasonOf says why the store has not found a session. What it does not know
// means that the answer is not known. (I2)
func reasonOf(err error) reason {
	switch {
	case errors.Is(err, session.ErrRevoked):
		return reasonRevoked
	case errors.Is(err, session.ErrExpired):
		return reasonExpired
	case errors.Is(err, session.ErrWrongToken):
		return reasonWrongToken
	case errors.Is(err, session.ErrNotFound):
		return reasonNotFound
	}
	return reasonUnavailable
}

// audit logs a refusal: of a token that may have been guessed, for all to see; any
// other for who looks for it, because sessions end every day. It also logs that the
// store is away, now and then. It has neither the token nor the path. (I6)
func (v *verification) audit(ctx context.Context, took time.Duration) {
	switch v.reason {
	case reasonGood:
	case reasonOverloaded:
		v.s.tellShed()
	case reasonStale, reasonUnavailable:
		if left, tell := v.s.verifyAway.Tell(); tell {
			v.s.log.LogAttrs(ctx, slog.LevelWarn, "verify: the session store is unavailable", v.withRequestID(
				slog.String("reason", v.reason.String()), slog.Any("error", v.err),
				slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.Int("more_since_the_last_line", left))...)
		}
	default:
		if v.guessed {
			v.s.config.TrustedProxies.LogStranger(ctx, v.s.log, v.http, slog.LevelWarn, caller.CredentialRefused, v.withRequestID(
				slog.String("call", "Verify"), slog.Int("status", refusals[v.reason].status), slog.String("reason", v.reason.String()))...)
		}
		if v.s.log.Enabled(ctx, debugLevel) {
			id := session.ID("")
			if v.stored != nil {
				id = v.stored.ID
			}
			v.s.log.LogAttrs(ctx, debugLevel, "verify: refused", v.withRequestID(
				slog.String("reason", v.reason.String()), slog.String("session_id", string(id)), slog.Int("status", refusals[v.reason].status))...)
		}
	}
}

// withRequestID puts the ID that the gateway has given to the request before
// attrs, if it is one that may stand in a log.
func (v *verification) withRequestID(attrs ...slog.Attr) []slog.Attr {
	given := server.GivenRequestID(&v.http.Request.Header)
	if len(given) == 0 {
		return attrs
	}
	return append([]slog.Attr{slog.String("request_id", string(given))}, attrs...)
}
