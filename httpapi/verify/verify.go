// Package verify is the endpoint that gateways ask whether a session token is good.
// Look here for where a token is looked for, what a session must prove, and what the
// answer says; how a token is found is in cache.
//
// Its answers are 200, 401, 403 and 503, whatever comes. It is the hot path: it works
// with a concrete store, and what it allocates is counted by tests.
package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/assertion"
	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/cloakroom-dev/cloakroom/internal/deadline"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// Config configures verify, the endpoint that gateways ask whether a
// session token is good. The zero value accepts any good session, by bearer
// token or X-Session-Token.
//
// Good is a token that is the current one of a session that lives and has a
// user and at least one other verified factor.
type Config struct {
	// Credentials are where a token is looked for, in this order:
	// the first that is present decides. Default: CredentialBearer,
	// CredentialHeader.
	Credentials []Credential
	// Accepts is what may stand there; default AcceptSessions.
	Accepts Accepts
	// Policies are what else may be asked of a session, by name.
	Policies map[string]*Policy
	// Default is the name of the policy that holds for every request; "" has none.
	// A policy that the path names is asked for as well: gateways hand us paths that
	// their clients have chosen, and no path can make anything easier.
	Default string
	// AllowUnproven accepts sessions of a user that has proven nothing.
	AllowUnproven bool
	// HideReason leaves the reason of a refusal out of the answer.
	HideReason bool
	// Metadata are the keys of session metadata that answers have.
	Metadata []string
	// Claims are those of JWTs whose values answers have, in a header each. The issuers are asked for the
	// same ones.
	Claims []oidc.NamedClaim
	// UpstreamTimeout is how long a verify may take, in place of Dependencies.Timeout, where the sessions live in a
	// ZITADEL that may have to be asked; 0: they do not.
	UpstreamTimeout time.Duration
	// Assertions makes the assertion of each answer that lets pass; nil has none.
	Assertions *assertion.Signer
}

// maxJWTs is how many JWTs that are not known are checked at a time.
const maxJWTs = 256

// MaxClaims is how many Claims there may be.
const MaxClaims = 20

// Check says what is wrong with c.
func (c *Config) Check() error {
	if _, named := c.Policies[c.Default]; c.Default != "" && !named {
		return fmt.Errorf("there is no policy named %q", c.Default)
	}
	return nil
}

const (
	// DefaultTimeout is how long a verify may take: half of the patience that Envoy
	// has when nobody tells it otherwise.
	DefaultTimeout = 100 * time.Millisecond
	// leastVerifyTime is the shortest time that a gateway can ask for.
	leastVerifyTime = 20 * time.Millisecond
	// Path is the path of verify on the API listener, policyPath is
	// followed by the name of a policy.
	Path       = "/verify"
	policyPath = Path + "/p/"
)

// Dependencies are what an endpoint works with. All but Issuers, Reads,
// Route and Metrics are required.
type Dependencies struct {
	// Store knows the sessions.
	Store *cache.Store
	// Issuers returns those whose JWTs are accepted; nil if there are none. It is not asked
	// unless Config.Accepts has AcceptJWTs.
	Issuers func() *oidc.Verifier
	// Reads are the places of verifies that no copy answers; nil has any number.
	Reads *server.Budget
	// Overloaded is called for each verify that finds no place, by its goroutine.
	Overloaded func()
	// Proxies are believed how long they wait, and where a request came from.
	Proxies *caller.TrustedProxies
	// Timeout is how long a verify may take; DefaultTimeout, but in tests.
	Timeout time.Duration
	// Logger hears of refusals, and that the store is away. It hears no token. (I6)
	Logger *slog.Logger
	// Route counts verifies as requests, Metrics registers the metrics of their
	// reasons; nil has none.
	Route   *server.RouteMetrics
	Metrics prometheus.Registerer
}

// Endpoint answers whether session tokens are good. Make it with New.
// It is safe for concurrent use, if its fields stay as they are meanwhile.
type Endpoint struct {
	Dependencies
	config   Config
	fallback *Policy // that of every request; nil if there is none
	longest  int     // token, in bytes
	claims   []claimHeader
	names    []string // of claims
	metrics  *metrics
	away     server.OncePerSecond
	probes   server.OncePerSecond
	jwts     server.Budget // places of JWTs that are not known
}

// New checks c and returns an Endpoint. It starts no goroutine.
func New(c Config, d Dependencies) (*Endpoint, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if len(c.Credentials) == 0 {
		c.Credentials = []Credential{CredentialBearer, CredentialHeader}
	}
	if c.Accepts == 0 {
		c.Accepts = AcceptSessions
	}
	longest := maxTokenLen
	if c.Accepts&AcceptJWTs != 0 {
		longest = oidc.MaxTokenBytes
	}
	if c.Accepts&AcceptPairs != 0 {
		longest = max(longest, session.MaxIDLen+1+maxTokenLen)
	}
	if c.Accepts&AcceptLoginCookies != 0 {
		longest = max(longest, maxLoginCookie)
	}
	names := make([]string, len(c.Claims))
	for i, claim := range c.Claims {
		names[i] = claim.Name
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	return &Endpoint{Dependencies: d, config: c, fallback: c.Policies[c.Default], longest: longest, claims: claimHeaders(c.Claims), names: names, metrics: m, jwts: server.Budget{Limit: maxJWTs}}, nil
}

// Answer answers whether the request's session token is good. Its answer is 200,
// 401, 403 or 503 and nothing else, whatever comes. named is the policy that the
// path names, nil if it names none; known is false if there is none of that name. base
// ends what is under way.
func (s *Endpoint) Answer(base context.Context, http *fasthttp.RequestCtx, named *Policy, known bool) {
	s.AnswerAs(base, http, named, known, s.Route)
}

// AnswerAs is Answer, and counts the request by route.
func (s *Endpoint) AnswerAs(base context.Context, http *fasthttp.RequestCtx, named *Policy, known bool, route *server.RouteMetrics) {
	start := time.Now()
	v := verification{s: s, http: http}
	v.answer(base, start, named, known)
	if server.AnnouncedBody(&http.Request.Header) {
		server.CloseUnread(http)
	}
	took := time.Since(start)
	s.metrics.answered(v.reason, route, took)
	v.audit(base, took)
}

// verification is one verify under way.
type verification struct {
	s      *Endpoint
	http   *fasthttp.RequestCtx
	reason reason
	// by is what the token was taken for.
	by by
	// stored and proof are of the session, if one was found, or what a JWT says in place of one.
	stored *session.Stored
	proof  session.Proof
	// bearer is what the token says, if it is a JWT; nil if it is none.
	bearer *oidc.Bearer
	// stale is how old the answer is, 0 if it is not.
	stale time.Duration
	// assertion is that of the answer, nil if it has none.
	assertion []byte
	// err is why the store could not answer.
	err error
	// guessed says that the token that is refused may have been guessed.
	guessed bool
}

// answer decides, and writes the answer. A bug of ours is no answer: the store
// counts as away.
func (v *verification) answer(base context.Context, start time.Time, named *Policy, known bool) {
	defer func() {
		if p := recover(); p != nil {
			v.s.Logger.Error("a request failed by a bug", "call", "Verify", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
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
func (v *verification) decide(base context.Context, start time.Time, named *Policy, known bool) (why reason) {
	token, why := findCredential(&v.http.Request.Header, v.s.config.Credentials, v.s.longest)
	if why != reasonGood {
		return why
	}
	stored, err := v.find(base, start, token)
	if why = v.found(token, stored, err); !why.passes() {
		return why
	}
	return v.weigh(why, named, known, v.s.Store.Now)
}

// found takes over what find has found, and says why it is good enough to be weighed, or why not.
func (v *verification) found(token []byte, stored *session.Stored, err error) (why reason) {
	if err != nil {
		if why = reasonOf(err); why == reasonOverloaded || why == reasonProbes { // asked again, it is answered right
			return why
		}
		if !why.unknown() {
			v.guessed = why != reasonMalformed && v.guesses(token, why, err)
			return why
		}
		var ok bool
		v.err = err
		if stored, v.stale, ok = v.findStale(token); !ok {
			return why // I2
		}
		why = reasonStale
	}
	v.stored = stored
	return why
}

// weigh says whether what was found proves all that is asked for at the time that now tells: why if it does.
func (v *verification) weigh(why reason, named *Policy, known bool, now func() session.Time) reason {
	stored := v.stored
	if stored.Proof != nil {
		v.proof = *stored.Proof
	} else {
		var err error
		if v.proof, _, err = session.ProofOf(stored.Doc, now()); err != nil {
			v.err = session.BrokenDoc(stored.ID, err)
			return reasonUnavailable
		}
	}
	switch {
	case !v.proves():
		return reasonUnproven
	case !fitsHeaders(stored), !known, !v.s.fallback.holds(stored, &v.proof, now), !named.holds(stored, &v.proof, now),
		v.s.config.Assertions != nil && !v.assert():
		return reasonPredicate
	}
	return why
}

// proves says whether the user has proven anything: one who has only typed a name has not.
func (v *verification) proves() bool {
	return v.stored.UserID != "" && (v.proof.Factors != 0 || v.s.config.AllowUnproven || v.issuerProves())
}

// fitsHeaders says whether the user can be told to applications: an empty header for a name that is too long would
// be nobody to them.
func fitsHeaders(s *session.Stored) bool { return fitsHeader(s.UserID) && fitsHeader(s.OrgID) }

// find finds the session of a token, or what a JWT says in place of one.
func (v *verification) find(base context.Context, start time.Time, token []byte) (*session.Stored, error) {
	issuers := v.s.jwtsOf(token)
	var hash oidc.TokenHash
	if issuers != nil {
		v.by = byJWT
		var stored *session.Stored
		var err error
		if stored, hash, err = v.knownJWT(issuers, token); stored != nil || err != nil {
			return stored, err
		}
	}
	if id, of, ok, err := v.s.loginPair(token); ok {
		v.by = byLoginCookie
		if err != nil {
			return nil, err
		}
		return v.findPair(base, start, id, of)
	}
	if !plainToken(token) { // what is known was found to be plain before
		return nil, errMalformed
	}
	if issuers != nil {
		if stored, err := v.findJWT(base, start, issuers, token, hash); !errors.Is(err, oidc.ErrForeign) {
			return stored, err
		}
		v.by = bySessionToken
	}
	if id, of, ok := v.s.pairOf(token); ok {
		v.by = byPair
		return v.findPair(base, start, id, of)
	}
	if v.s.config.Accepts&AcceptSessions == 0 {
		return nil, session.ErrNotFound
	}
	text := string(token) // I8
	if stored, held := v.s.Store.VerifyCopy(text); held {
		return stored, nil
	}
	return v.ask(base, start, func(ctx context.Context) (*session.Stored, error) { return v.s.Store.GetByToken(ctx, text) })
}

// findStale finds the session of a token by what was last known, if that may be answered.
func (v *verification) findStale(token []byte) (stored *session.Stored, age time.Duration, ok bool) {
	if v.bearer != nil {
		return v.staleJWT()
	}
	return v.s.Store.Stale(string(token))
}

// ask asks, for as long as the gateway waits.
func (v *verification) ask(base context.Context, start time.Time, question func(context.Context) (*session.Stored, error)) (*session.Stored, error) {
	reads := v.s.Reads
	if !reads.Enter() {
		return nil, errNoPlace
	}
	defer reads.Leave()
	if v.s.config.UpstreamTimeout > 0 {
		base = cache.WithClient(base, v.s.Proxies.ClientNet(v.http))
	}
	ctx := deadline.Lazy(base, start.Add(v.patience()))
	defer ctx.End()
	return question(ctx)
}

// errMalformed says that a token has bytes that no token has.
var errMalformed = errors.New("the token is malformed")

// errNoPlace says that too many verifies ask the store.
var errNoPlace = errors.New("no place")

// errBug takes the place of what a panic says.
var errBug = errors.New("a bug of ours")

// patience is how long the answer may take. A trusted gateway may say that it
// waits for less; then the answer is there a little before. It can never get
// more, and a client that forges what its gateway hands on only harms itself.
func (v *verification) patience() time.Duration {
	most := max(v.s.Timeout, v.s.config.UpstreamTimeout)
	said := v.http.Request.Header.PeekCanonical(envoyTimeoutName)
	if len(said) == 0 || !v.s.Proxies.Trusts(v.http.RemoteAddr()) {
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
	case errors.Is(err, oidc.ErrUnavailable):
		return reasonIssuer
	case err == errNoPlace:
		return reasonOverloaded
	case err == errMalformed:
		return reasonMalformed
	case err == errNoLogin:
		return reasonMissing
	case errors.Is(err, cache.ErrProbes):
		return reasonProbes
	}
	if e, ok := errors.AsType[*oidc.InvalidError](err); ok {
		if e.Expired {
			return reasonExpired
		}
		return reasonInvalidJWT
	}
	return reasonUnavailable
}

// audit logs a refusal: of a token that may have been guessed, as a warning; any
// other at the level debug, because sessions end every day. It also logs that the
// store is away, now and then. It has neither the token nor the path. (I6)
func (v *verification) audit(ctx context.Context, took time.Duration) {
	switch v.reason {
	case reasonGood:
	case reasonOverloaded:
		v.s.Overloaded()
	case reasonProbes:
		if left, tell := v.s.probes.Tell(); tell {
			v.s.Logger.LogAttrs(ctx, slog.LevelWarn, "verify: more tokens come that are not known here than ZITADEL is asked about (--upstream-probe-rate)", v.withRequestID(
				slog.Int("more_since_the_last_line", left))...)
		}
	case reasonStale, reasonUnavailable, reasonIssuer:
		if left, tell := v.s.away.Tell(); tell {
			v.s.Logger.LogAttrs(ctx, slog.LevelWarn, awayText(v.reason), v.withRequestID(
				slog.String("reason", v.reason.String()), slog.Any("error", v.err),
				slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.Int("more_since_the_last_line", left))...)
		}
	default:
		if v.guessed {
			v.s.Proxies.LogStranger(ctx, v.s.Logger, v.http, slog.LevelWarn, caller.CredentialRefused, v.withRequestID(
				slog.String("call", "Verify"), slog.Int("status", refusals[v.reason].status), slog.String("reason", v.reason.String()))...)
		}
		if v.s.Logger.Enabled(ctx, slog.LevelDebug) {
			id := session.ID("")
			if v.stored != nil {
				id = v.stored.ID
			}
			v.s.Logger.LogAttrs(ctx, slog.LevelDebug, "verify: refused", v.withRequestID(
				slog.String("reason", v.reason.String()), slog.String("session_id", string(id)), slog.Int("status", refusals[v.reason].status))...)
		}
	}
}

// awayText says what is away.
func awayText(why reason) string {
	if why == reasonIssuer {
		return "verify: the issuer of a token is unavailable"
	}
	return "verify: the session store is unavailable"
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
