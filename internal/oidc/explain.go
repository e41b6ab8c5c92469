package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Explanation says what a token is, and what is made of it. No text in it has the token or its signature. Of claims
// it shows whole values only if they are dates or are in the issuers file, too. (I6)
type Explanation struct {
	// Issuer is the configured name of the issuer, "" if the token is of none.
	Issuer string
	Lines  []Line
	// Good says that the signature is that of the issuer, or that it was asked and says that the token is active.
	Good bool
	// Taken says that the token is good for something.
	Taken bool
	// HasSession and HasAuthTime say that the claims of verify for these are there.
	HasSession, HasAuthTime bool
	// Lasts is from the login, as far as the token dates it, to the token's end, 0 if a date is missing.
	Lasts time.Duration
}

// Line is about one claim, one check or one use of a token.
type Line struct {
	Name string
	Verdict
	Text string
}

// Verdict is what a Line says.
type Verdict uint8

// The verdicts.
const (
	Good   Verdict = iota
	Odd            // it is taken, and may not do what is wanted
	Bad            // it is not taken
	Absent         // it is not there, or does not matter
)

func (e *Explanation) say(name string, v Verdict, format string, args ...any) {
	e.Lines = append(e.Lines, Line{name, v, fmt.Sprintf(format, args...)})
}

// Explain explains a token, as this package's other methods would take it. It fetches keys, and shows the token to
// the issuers with introspection if it is no JWT that is checked here.
func (in *Inspector) Explain(ctx context.Context, token string) *Explanation {
	e := &Explanation{}
	in.explain(ctx, e, token)
	for k := range e.Lines {
		if l := &e.Lines[k]; e.Taken && l.Verdict == Bad { // only for one of its uses
			l.Verdict = Odd
		}
	}
	return e
}

func (in *Inspector) explain(ctx context.Context, e *Explanation, token string) {
	s := in.v.current.Load()
	parts := strings.Count(token, ".") + 1
	i := s.byURL[issuerOf([]byte(token))]
	switch {
	case len(token) > MaxTokenBytes:
		e.say("token", Bad, "has more than %d bytes, and is not looked at", MaxTokenBytes)
		return
	case i != nil:
		e.Issuer = i.Name
		e.say("token", Good, "a JWT of %d bytes", len(token))
		in.explainJWT(ctx, e, i, token)
		return
	case parts == 5:
		e.say("token", Good, "five parts, %d bytes: it is encrypted, so it is opaque here and no JWT", len(token))
	case parts == 3:
		e.explainForeign(s, token)
	default:
		e.say("token", Good, "%d bytes, no JWT: it is opaque, or a session token that a session was stored with", len(token))
	}
	in.explainOpaque(ctx, e, s, token)
	if in.v.Bears() {
		e.say("verify", Absent, "not as a JWT; as a session token only if a session is stored with it")
	}
	if !e.Taken {
		e.say("result", Bad, "good for nothing, unless a session is stored with it")
	}
}

// decodeClaims reads a part of a JWT, with numbers as they are written.
func decodeClaims(part string) (claims map[string]any, err error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("it is no base64url")
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if d.Decode(&claims) != nil || claims == nil {
		return nil, errors.New("it is no JSON object")
	}
	return claims, nil
}

// explainForeign is about three parts that are no JWT of a configured issuer.
func (e *Explanation) explainForeign(s *issuers, token string) {
	parts := strings.Split(token, ".")
	if _, err := decodeClaims(parts[0]); err != nil {
		e.say("token", Odd, "three parts, %d bytes, but no JWT: the header cannot be read, %v", len(token), err)
		return
	}
	claims, err := decodeClaims(parts[1])
	if err != nil {
		e.say("token", Odd, "three parts, %d bytes, but no JWT: the claims cannot be read, %v", len(token), err)
		return
	}
	e.say("token", Good, "a JWT of %d bytes", len(token))
	iss, ok := claims["iss"].(string)
	if !ok {
		e.say("iss", Bad, "is not there, or no text: the token is of no issuer")
		return
	}
	var urls []string
	for _, i := range s.list {
		urls = append(urls, i.URL)
		if strings.EqualFold(strings.TrimSuffix(iss, "/"), strings.TrimSuffix(i.URL, "/")) {
			e.say("iss", Bad, "differs from that of %s only in a slash at its end or in capital letters, and must be the same", i.Name)
			return
		}
	}
	e.say("iss", Bad, "%s is no configured issuer: %s", short(iss), strings.Join(urls, ", "))
}

// explainJWT is about a JWT whose iss is that of i.
func (in *Inspector) explainJWT(ctx context.Context, e *Explanation, i *issuer, token string) {
	parts := strings.Split(token, ".")
	header, err := decodeClaims(parts[0])
	claims, err2 := decodeClaims(parts[1])
	if err != nil || err2 != nil { // never: its issuer was read
		e.say("token", Bad, "cannot be read")
		return
	}
	e.say("iss", Good, "the issuer %s", i.Name)
	if !i.noKeys {
		fetchCtx, cancel := context.WithTimeout(ctx, fetchTimeout)
		err := i.fetch(fetchCtx)
		cancel()
		in.explainSignature(ctx, e, i, header, token, err)
	} else {
		e.say("signature", Absent, "jwks_url is none: the issuer is asked about its JWTs")
	}
	e.explainHeader(header)
	e.explainClaims(i, claims, in.v.clock())
	in.judge(ctx, e, i, token)
}

// explainSignature is about alg, kid and the signature. fetched is why there are no keys.
func (in *Inspector) explainSignature(ctx context.Context, e *Explanation, i *issuer, header map[string]any, token string, fetched error) {
	alg, _ := header["alg"].(string)
	switch {
	case !slices.Contains(algorithms, alg):
		shown := short(alg)
		if slices.Contains([]string{"none", "HS256", "HS384", "HS512"}, alg) {
			shown = alg
		}
		e.say("alg", Bad, "%s is none that is ever taken: %s", shown, strings.Join(algorithms, ", "))
	case !slices.Contains(i.algorithms, alg):
		e.say("alg", Bad, "%s is not among algorithms: %s", alg, strings.Join(i.algorithms, ", "))
	default:
		e.say("alg", Good, "%s", alg)
	}
	kid, named := header["kid"].(string)
	which := "without kid"
	if named {
		which = "kid " + short(kid)
	}
	if fetched != nil {
		e.say("kid", Absent, "%s: the keys of the issuer cannot be had, see keys", which)
		e.say("signature", Absent, "cannot be checked without keys")
		return
	}
	known := false
	p := jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	_, err := p.Parse(token, func(t *jwt.Token) (any, error) {
		verifies, key, err := i.keyOf(ctx, t)
		known = key != nil
		return verifies, err
	})
	switch {
	case !known && slices.Contains(algorithms, alg):
		e.say("kid", Bad, "%s: the issuer has no such key", which)
		e.say("signature", Absent, "cannot be checked without the key")
		return
	case known:
		e.say("kid", Good, "%s: the issuer has this key", which)
	}
	if e.Good = err == nil; e.Good {
		e.say("signature", Good, "is by this key")
	} else {
		e.say("signature", Bad, "is not by a key of the issuer for this algorithm")
	}
}

// explainHeader is about the rest of the header.
func (e *Explanation) explainHeader(header map[string]any) {
	typ, there := header["typ"]
	text, isText := typ.(string)
	known := []string{"JWT", "at+jwt", "logout+jwt", "application/at+jwt", "application/logout+jwt"}
	switch at := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, text) }); {
	case !there:
		e.say("typ", Absent, "the header has none")
	case at >= 0:
		e.say("typ", Good, "%s in the header", known[at])
	case isText:
		e.say("typ", Bad, "%s in the header: it is a token of another kind", short(text))
	default:
		e.say("typ", Bad, "in the header is no text")
	}
	if _, there := header["crit"]; there {
		e.say("crit", Bad, "the header requires an extension that is not known here")
	}
}

// use is one that a token may have.
type use struct {
	name string
	took string // what is said if it is taken, "" if not
	err  error  // why not
}

// judge says what a JWT of i is as a caller of the API, at verify, and as a logout.
func (in *Inspector) judge(ctx context.Context, e *Explanation, i *issuer, token string) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	caller, verify, logout := use{name: "caller"}, use{name: "verify"}, use{name: "logout"}
	a, err := in.v.JWT(ctx, []byte(token))
	if caller.err = err; err == nil {
		caller.took = "is taken: user " + i.shownID(a.UserID) + "; " + a.shown()
	}
	uses := []use{caller}
	if i.verify != nil {
		b, err := in.v.Bearer(ctx, []byte(token), TokenHash(sha256.Sum256([]byte(token))))
		switch verify.err = err; {
		case err != nil:
		case b.Required:
			verify.took = "is taken while the session " + i.shownID(string(b.Session.ID)) + " is stored here, too"
		case b.Session.ID == "":
			verify.took = "is taken until all logins of the user are ended; a logout of its session does not touch it"
		default:
			verify.took = "is taken until its session or all logins of the user are ended"
		}
		uses = append(uses, verify)
	}
	if slices.ContainsFunc(e.Lines, func(l Line) bool { return l.Name == "kind" && l.Text == kindLogout }) {
		l, err := in.v.Logout(ctx, token)
		switch logout.err = err; {
		case err != nil:
		case l.SessionID != "":
			logout.took = "is taken, once: it ends the session " + i.shownID(string(l.SessionID))
		default:
			logout.took = "is taken, once: it ends all sessions and logins of the user " + i.shownID(l.UserID)
		}
		uses = append(uses, logout)
	}
	e.Taken = slices.ContainsFunc(uses, func(u use) bool { return u.err == nil })
	for _, u := range uses {
		e.sayUse(u)
	}
	if i.verify == nil {
		e.say("verify", Absent, "takes no JWTs of this issuer: it has no section verify")
	}
}

func (e *Explanation) sayUse(u use) {
	refusal := Bad
	if e.Taken { // it is not for this
		refusal = Absent
	}
	switch wrong, ok := errors.AsType[*InvalidError](u.err); {
	case u.err == nil:
		e.say(u.name, Good, "%s", u.took)
	case ok && wrong.Later && u.name == "logout":
		e.say(u.name, refusal, "is answered with 503, and may come again: %s", wrong.Reason)
	case ok:
		e.say(u.name, refusal, "is refused: %s", wrong.Reason)
	default:
		e.say(u.name, refusal, "is answered with 503: the issuer is unavailable")
	}
}

// explainOpaque asks the issuers about a token, as for a caller.
func (in *Inspector) explainOpaque(ctx context.Context, e *Explanation, s *issuers, token string) {
	if !s.asked {
		e.say("caller", Absent, "no issuer is asked about opaque tokens: none has a section introspection")
		return
	}
	for _, i := range s.list {
		if i.Introspection == nil {
			continue
		}
		timed, cancel := context.WithTimeout(ctx, i.Introspection.timeout)
		claims, err := i.ask(timed, token)
		cancel()
		switch {
		case err != nil:
			e.say("active", Absent, "%s gives no answer that counts, see introspection", i.Name)
			continue
		case claims["active"] != true:
			e.say("active", Absent, "%s says that it is not", i.Name)
			continue
		}
		e.Issuer, e.Good = i.Name, true
		e.say("active", Good, "%s says so", i.Name)
		e.explainClaims(i, numbered(claims), in.v.clock())
		a, _, err := i.read(claims, in.v.clock())
		if err != nil {
			e.sayUse(use{name: "caller", err: err})
			continue
		}
		e.Taken = true
		e.sayUse(use{name: "caller", took: "is taken: user " + i.shownID(a.UserID) + "; " + a.shown()})
		return
	}
}

// numbered returns claims with numbers as they are written.
func numbered(claims map[string]any) map[string]any {
	text, err := json.Marshal(claims)
	if err != nil {
		return nil // never: it was JSON
	}
	again, _ := decodeClaims(base64.RawURLEncoding.EncodeToString(text))
	return again
}

// shown says what a caller may do.
func (a *Access) shown() string {
	var parts []string
	for _, g := range []struct {
		name string
		Grant
	}{{"session.read", a.Read}, {"session.write", a.Write}, {"session.delete", a.Delete}} {
		switch n := len(g.Organizations); {
		case g.All:
			parts = append(parts, g.name+" for the instance")
		case n > 0:
			parts = append(parts, fmt.Sprintf("%s for %s", g.name, counted(n, "organization")))
		}
	}
	if len(parts) == 0 {
		return "no permission: sees and ends its own sessions"
	}
	return strings.Join(parts, ", ")
}
