package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

// Verdict is whether verify would let somebody pass, and why. It is for people, and so says in plain English what
// gateways are told in a word.
type Verdict struct {
	// Passes, Status, Reason and Detail are those of verify's answer by the default policy. Status is 503 if it is
	// not known whether verify would let pass; then there is nothing else. (I2)
	Passes bool   `json:"passes"`
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	// Now is the time that counted, by the store's clock. All dates are as in the API.
	Now string `json:"now"`
	// By is what was judged: "id", or what the token was taken for: "session_token", "jwt", "pair" or "login_cookie".
	By string `json:"by"`
	// Session is the session as in the API, if one is stored. What follows is known of it, or of what a JWT says in place of one;
	// left out if nothing was found.
	Session        json.RawMessage `json:"session,omitempty"`
	SessionID      session.ID      `json:"sessionId,omitempty"`
	UserID         string          `json:"userId,omitempty"`
	OrganizationID string          `json:"organizationId,omitempty"`
	Factors        []string        `json:"factors,omitzero"`
	AuthTime       string          `json:"authTime,omitempty"`
	Expires        string          `json:"expires,omitempty"`
	// Checks are what verify asks of every session, in its order; up to the one that fails if nothing was found.
	Checks []Check `json:"checks"`
	// Policies are all policies by name, each with what it asks for in addition; none if nothing was found.
	Policies []PolicyVerdict `json:"policies"`
	// Of is what was found, for who decides who may see the verdict; nil if nothing was found.
	Of *session.Facts `json:"-"`
}

// Check is one requirement. Asks and Has are what it asks for, and what is there of it; Says is a sentence, "" where
// those two say all.
type Check struct {
	Name   string `json:"name"`
	Passes bool   `json:"passes"`
	Asks   string `json:"asks,omitempty"`
	Has    string `json:"has,omitempty"`
	Says   string `json:"says,omitempty"`
}

// PolicyVerdict is what a policy alone says. The answer on its Path is that by the default policy if this refuses, and
// else 200, or 403 and "predicate" unless it Passes.
type PolicyVerdict struct {
	Name    string  `json:"name"`
	Default bool    `json:"default"`
	Path    string  `json:"path"`
	Passes  bool    `json:"passes"`
	Checks  []Check `json:"checks"`
}

// by is what a verdict is about, or what a token was taken for.
type by uint8

const (
	bySessionToken by = iota
	byJWT
	byPair
	byLoginCookie
	byID
)

func (b by) String() string {
	return [...]string{"session_token", "jwt", "pair", "login_cookie", "id"}[b]
}

// JudgeToken says whether verify would let a token pass. It looks where verify does: in the copies of this process, in
// Redis, at issuers and at a ZITADEL, and no longer than verify may. Metrics and the log of verify do not show it, and nothing of the
// token is kept. (I6) It ends with base. Of http it takes the address of the client that asks, for whom a ZITADEL may be asked.
func (s *Endpoint) JudgeToken(base context.Context, http *fasthttp.RequestCtx, token []byte) *Verdict {
	v := verification{s: s, http: http}
	if len(token) == 0 || len(token) > s.longest {
		return v.judge(reasonMalformed, errMalformed)
	}
	stored, err := v.find(base, time.Now(), token)
	return v.judge(v.found(token, stored, err), err)
}

// JudgeID is JudgeToken of the token that the session with this ID has now. An ID that no session can have is not found.
func (s *Endpoint) JudgeID(base context.Context, http *fasthttp.RequestCtx, id string) *Verdict {
	v := verification{s: s, http: http, by: byID}
	parsed, err := session.ParseID(id)
	if err != nil {
		return v.judge(reasonNotFound, session.ErrNotFound)
	}
	v.stored, err = v.ask(base, time.Now(), func(ctx context.Context) (*session.Stored, error) { return s.Store.Lookup(ctx, parsed) })
	if err != nil {
		return v.judge(reasonOf(err), err)
	}
	return v.judge(reasonGood, nil)
}

// judge makes the verdict. why says whether something was found that is to be weighed; else err says what found says of it.
func (v *verification) judge(why reason, err error) *Verdict {
	now := v.s.Store.Now()
	at := func() session.Time { return now }
	found := why.passes()
	if found {
		v.reason = v.weigh(why, nil, true, at)
	} else {
		v.reason = why
	}
	accepted := v.acceptedCheck()
	if found && !accepted.Passes {
		v.reason = reasonNotFound // as verify answers a token that it does not accept
	}
	r := refusals[v.reason]
	out := &Verdict{
		Passes: v.reason.passes(), Status: r.status, Reason: r.name, Detail: r.detail, Now: dateText(now), By: v.by.String(),
		Checks: []Check{}, Policies: []PolicyVerdict{},
	}
	switch {
	case r.status == http.StatusServiceUnavailable:
		return out
	case !found:
		if out.Checks = v.unfound(why, err); why == reasonNotFound && !accepted.Passes {
			out.Checks = []Check{accepted}
		}
		return out
	}
	s := v.stored
	out.Session, out.Of = s.Doc, &s.Facts // a JWT has no document
	out.SessionID, out.UserID, out.OrganizationID = s.ID, s.UserID, s.OrgID
	out.Factors = slices.AppendSeq([]string{}, v.proof.Factors.Names())
	out.AuthTime, out.Expires = dateText(v.proof.AuthTime), dateText(v.expiration())
	out.Checks = append(v.foundChecks(why), accepted, v.proofCheck(), headersCheck(s))
	if v.s.config.Assertions != nil {
		out.Checks = append(out.Checks, v.assertionCheck())
	}
	for _, a := range v.s.config.Asked() {
		p := v.s.config.Policies[a.Name]
		out.Policies = append(out.Policies, PolicyVerdict{
			Name: a.Name, Default: a.Default, Path: policyPath + a.Name, Passes: p.holds(s, &v.proof, at), Checks: p.checks(s, &v.proof, now),
		})
	}
	return out
}

// unfound are the checks where nothing was found.
func (v *verification) unfound(why reason, err error) []Check {
	found := func(format string, args ...any) []Check {
		return []Check{{Name: "found", Says: fmt.Sprintf(format, args...)}}
	}
	token := func(format string, args ...any) []Check {
		return []Check{{Name: "token", Says: fmt.Sprintf(format, args...)}}
	}
	invalid, _ := errors.AsType[*oidc.InvalidError](err)
	switch {
	case invalid != nil:
		return token("the JWT is refused: %s", invalid.Reason)
	case why == reasonMissing:
		return token("the cookie has no session")
	case why == reasonMalformed:
		return token("it is longer than any token, or has characters that no token has")
	case why == reasonWrongToken:
		return []Check{{Name: "found", Passes: true, Says: "the session is stored and lives"}, {Name: "token", Says: "the session has another token now: each change of it makes a new one"}}
	case why == reasonExpired:
		return found("the session has expired")
	case why == reasonRevoked && v.by == byJWT:
		return found("the login of the JWT was ended")
	case why == reasonRevoked:
		return found("the session was revoked")
	case v.by == byID:
		return found("no session has this ID; a session that has expired is forgotten soon, a revoked one after 24 hours")
	}
	return found("no session has this token; it may have expired, or have been revoked more than 24 hours ago")
}

// acceptedCheck says whether verify accepts tokens of this kind, or by ID, the session's token in any form.
func (v *verification) acceptedCheck() Check {
	asked := [...]Accepts{
		bySessionToken: AcceptSessions, byJWT: AcceptJWTs, byPair: AcceptPairs, byLoginCookie: AcceptLoginCookies,
		byID: AcceptSessions | AcceptPairs | AcceptLoginCookies,
	}[v.by]
	c := Check{Name: "accepted", Passes: v.s.config.Accepts&asked != 0, Says: fmt.Sprintf("verify takes such tokens: --verify-accept is %s", v.s.config.Accepts)}
	if !c.Passes {
		c.Says = fmt.Sprintf("verify does not accept session tokens here: --verify-accept is %s", v.s.config.Accepts)
	}
	return c
}

// briefly returns d as text for a page, 15m in place of 15m0s.
func briefly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// foundChecks say what was found, which why says.
func (v *verification) foundChecks(why reason) []Check {
	found, token := "the session is stored and lives", "it is the session's token now"
	if v.bearer != nil {
		token = "an issuer has signed the JWT, and it has not expired"
		if v.bearer.Required {
			found = "the session that the JWT names is stored and lives, and its login was not ended"
		} else {
			found = "the login of the JWT was not ended"
		}
	}
	if why == reasonStale {
		found = fmt.Sprintf("the session store is unavailable; a copy lets pass that was right %v ago", v.stale.Truncate(time.Second))
	}
	checks := []Check{{Name: "found", Passes: true, Says: found}}
	if v.by != byID {
		checks = append(checks, Check{Name: "token", Passes: true, Says: token})
	}
	return checks
}

// proofCheck says whether the user has proven anything.
func (v *verification) proofCheck() Check {
	c := Check{Name: "proof", Passes: v.proves(), Asks: "a user, and another verified factor", Has: list(v.proof.Factors)}
	switch {
	case v.stored.UserID == "":
		c.Says = "the session has no user"
	case v.proof.Factors != 0:
	case v.issuerProves():
		c.Says = "the issuer of the JWT vouches for the user"
	case v.s.config.AllowUnproven:
		c.Says = "the user has proven nothing, which is allowed"
	default:
		c.Says = "the user has proven nothing" + ofLater(v.stored, ^session.FactorSet(0))
	}
	return c
}

// headersCheck says whether applications can be told who the user is.
func headersCheck(s *session.Stored) Check {
	c := Check{Name: "headers", Passes: fitsHeaders(s)}
	if !c.Passes {
		c.Says = fmt.Sprintf("the ID of the user, or of the user's organization, is too long for a header, which takes %d bytes", maxIdentityHeader)
	}
	return c
}

// assertionCheck says whether there is an assertion of the session.
func (v *verification) assertionCheck() Check {
	c := Check{Name: "assertion", Passes: v.assertion != nil || v.assert()} // weigh may have made it
	if !c.Passes {
		c.Says = "what is to be asserted is too long"
	}
	return c
}

// checks are what p asks for, each with what there is of it.
func (p *Policy) checks(s *session.Stored, proof *session.Proof, now session.Time) []Check {
	checks := []Check{}
	if p.Factors != 0 {
		missing := p.Factors &^ proof.Factors
		c := Check{Name: "factors", Passes: missing == 0, Asks: list(p.Factors), Has: list(proof.Factors)}
		if !c.Passes {
			verb := " is missing"
			if missing&(missing-1) != 0 {
				verb = " are missing"
			}
			c.Says = list(missing) + verb + ofLater(s, missing)
		}
		checks = append(checks, c)
	}
	if p.MaxAge > 0 {
		c := Check{Name: "max_age", Passes: p.isRecent(proof, func() session.Time { return now }), Asks: briefly(p.MaxAge)}
		if proof.AuthTime == 0 {
			c.Says = "no factor says when it was verified"
		} else {
			age := max(now.Sub(proof.AuthTime), 0)
			if short := age.Truncate(time.Second); short != p.MaxAge { // else a fraction of a second is what is too much
				age = short
			}
			if c.Has = briefly(age); !c.Passes {
				c.Says = fmt.Sprintf("the last factor was verified %s ago; at most %s is allowed", c.Has, c.Asks)
			}
		}
		checks = append(checks, c)
	}
	if len(p.Organizations) > 0 {
		c := Check{Name: "organizations", Passes: p.hasUserOf(s), Asks: strings.Join(p.Organizations, ", "), Has: s.OrgID}
		switch {
		case c.Passes:
		case s.OrgID == "":
			c.Says = "it is not known of which organization the user is"
		default:
			c.Says = "the user is of another organization"
		}
		checks = append(checks, c)
	}
	return checks
}

// ofLater adds to a sentence about missing factors those that count later, because their dates have not come.
func ofLater(s *session.Stored, missing session.FactorSet) string {
	all, _, err := session.ProofOf(s.Doc, session.Never)
	if later := all.Factors & missing; err == nil && later != 0 {
		return fmt.Sprintf("; %s counts only from its date on, which has not come", list(later))
	}
	return ""
}

// list has the names of factors, with commas between.
func list(f session.FactorSet) string { return strings.Join(slices.Collect(f.Names()), ", ") }

// dateText is a date as in JSON, without quotes; "" for one that is not known, or never comes.
func dateText(t session.Time) string { return string(appendDate(nil, t)) }

// Asked is a policy in a few words.
type Asked struct {
	Name string `json:"name"`
	// Asks is what it asks for: "factors password, totp; max_age 15m; organizations 1, 2", or some of these.
	Asks string `json:"asks"`
	// Default says that it holds for every request.
	Default bool `json:"default"`
}

// Asked are the policies in a few words, by name.
func (c *Config) Asked() []Asked {
	all := make([]Asked, 0, len(c.Policies))
	for name, p := range c.Policies {
		var parts []string
		for _, check := range p.checks(new(session.Stored), new(session.Proof), 0) {
			parts = append(parts, check.Name+" "+check.Asks)
		}
		all = append(all, Asked{name, strings.Join(parts, "; "), name == c.Default})
	}
	slices.SortFunc(all, func(a, b Asked) int { return strings.Compare(a.Name, b.Name) })
	return all
}
