package oidc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxShownNames bounds how many names of claims are shown, and maxShownName how much of each, in characters.
	maxShownNames = 60
	maxShownName  = 80
)

// kindLogout is how a logout token is called.
const kindLogout = "a logout token"

// short returns the beginning of a value that may be a secret, at most four characters and half of it, and its
// length. (I6)
func short(value string) string {
	runes := []rune(value)
	if len(runes) == 0 {
		return "an empty text"
	}
	return fmt.Sprintf("%s… (%s)", string(runes[:min(4, len(runes)/2)]), counted(len(runes), "character"))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shownID is an ID here, short but for the name of the issuer that it begins with.
func (s *issuerSettings) shownID(id string) string {
	return s.prefix + short(strings.TrimPrefix(id, s.prefix))
}

// explainClaims is about the claims of a token of i, or of an answer to introspection.
func (e *Explanation) explainClaims(i *issuer, claims map[string]any, now time.Time) {
	e.explainAudience(i, claims)
	e.explainDates(i, claims, now)
	kind := kindOf(claims)
	e.say("kind", Good, "%s", kind)
	if claims["cnf"] != nil {
		e.say("cnf", Bad, "is there: the token is bound to a key, whose proof does not come here")
	}
	e.explainUser(i, claims, kind)
	if i.verify != nil && kind != kindLogout {
		e.explainLogin(i, claims)
	}
	if kind == kindLogout {
		e.explainLogoutSession(i, claims)
	} else {
		e.explainPermissions(i, claims)
	}
	names := slices.Sorted(maps.Keys(claims))
	more := ""
	if n := len(names) - maxShownNames; n > 0 {
		names, more = names[:maxShownNames], fmt.Sprintf(" and %d more", n)
	}
	for k, name := range names {
		if utf8.RuneCountInString(name) > maxShownName {
			names[k] = string([]rune(name)[:maxShownName]) + "…"
		}
	}
	e.say("claims", Good, "%s%s", strings.Join(names, " "), more)
}

// kindOf says which kind of token claims are of.
func kindOf(claims map[string]any) string {
	if events, ok := claims["events"].(map[string]any); ok && events[logoutEvent] != nil {
		return kindLogout
	}
	if typ, ok := claims["typ"].(string); ok && slices.Contains(otherKinds, typ) {
		return fmt.Sprintf("the claim typ is %s: no access token", typ)
	}
	for _, name := range []string{"at_hash", "c_hash"} {
		if claims[name] != nil {
			return "an ID token: it has " + name
		}
	}
	for _, name := range []string{"nonce", "auth_time"} {
		if claims[name] != nil && claims["scope"] == nil && claims["scp"] == nil {
			return fmt.Sprintf("an access token, or an ID token: it has %s, and neither at_hash nor scope", name)
		}
	}
	return "an access token"
}

func (e *Explanation) explainAudience(i *issuer, claims map[string]any) {
	names, err := jwt.MapClaims(claims).GetAudience()
	if err != nil || len(names) == 0 {
		e.say("aud", Bad, "is not there, or no text and no list of texts")
		return
	}
	fields := map[string][]string{} // of the file, by the name that they have
	look := func(field string, list []string) {
		for _, a := range list {
			if slices.Contains(names, a) {
				fields[a] = append(fields[a], field)
			}
		}
	}
	look("audience", i.audience)
	if i.verify != nil && !slices.Equal(i.verify.audience, i.audience) {
		look("verify.audience", i.verify.audience)
	}
	if i.logout != nil {
		look("logout.audience", i.logout.audience)
	}
	var found []string
	for _, a := range slices.Sorted(maps.Keys(fields)) {
		found = append(found, a+" of "+strings.Join(fields[a], " and "))
	}
	if len(found) == 0 {
		e.say("aud", Bad, "has %s, and none that is configured for %s", counted(len(names), "name"), i.Name)
		return
	}
	text := strings.Join(found, ", ")
	if others := len(names) - len(fields); others > 0 {
		text += fmt.Sprintf(", and %s", counted(others, "other"))
	}
	e.say("aud", Good, "%s", text)
}

// explainDates is about exp, nbf and iat.
func (e *Explanation) explainDates(i *issuer, claims map[string]any, now time.Time) {
	for _, d := range []struct {
		name   string
		fault  string
		tells  func(at time.Time) bool // whether it is one
		absent string
	}{
		{"exp", "it has expired", func(at time.Time) bool { return !now.Before(at.Add(i.leeway)) }, "only a logout token may do without"},
		{"nbf", "it is not good yet", func(at time.Time) bool { return now.Before(at.Add(-i.leeway)) }, "it need not be there"},
		{"iat", "it is of the future", func(at time.Time) bool { return now.Before(at.Add(-i.leeway)) }, "verify and logouts need it unless another date is there"},
	} {
		claim, there := claims[d.name]
		t, ok := date(claim)
		switch {
		case !there:
			e.say(d.name, Absent, "is not there; %s", d.absent)
		case !ok:
			e.say(d.name, Bad, "is no number that is a date")
		case d.tells(t.Std()):
			e.say(d.name, Bad, "%s: %s", shownDate(t, now), d.fault)
		default:
			e.say(d.name, Good, "%s", shownDate(t, now))
		}
	}
}

// shownDate is a date, and how far it is from now.
func shownDate(t session.Time, now time.Time) string {
	at := t.Std().UTC()
	away := at.Sub(now).Round(time.Second)
	if away < 0 {
		return fmt.Sprintf("%s, %s ago", at.Format(time.RFC3339), -away)
	}
	return fmt.Sprintf("%s, in %s", at.Format(time.RFC3339), away)
}

// explainUser is about the user.
func (e *Explanation) explainUser(i *issuer, claims map[string]any, kind string) {
	at := i.userAt
	if kind == kindLogout && i.logout != nil {
		at = i.logout.userAt
	}
	sub, ok := at.text(claims)
	switch id, can := i.userID(sub); {
	case sub == "" && ok:
		e.say("user", map[bool]Verdict{true: Absent, false: Bad}[kind == kindLogout], "%s is not there", at)
	case !ok || !can:
		e.say("user", Bad, "%s is no name that a user can have here", at)
	default:
		e.say("user", Good, "%s is %s, the user %s here", at, short(sub), i.shownID(id))
	}
	if agent, ok := i.agentAt.text(claims); i.agentAt != nil && kind != kindLogout {
		switch {
		case !ok:
			e.say("agent", Bad, "%s is no name of a user agent", i.agentAt)
		case agent == "":
			e.say("agent", Absent, "%s is not there", i.agentAt)
		default:
			e.say("agent", Good, "%s is %s", i.agentAt, short(agent))
		}
	}
}

// explainLogin is about what verify reads: the session, the date of the login, factors and the organization.
func (e *Explanation) explainLogin(i *issuer, claims map[string]any) {
	v := i.verify
	switch sid, err := i.sidOf(claims); {
	case err != nil && v.sessionPattern != "":
		e.say("session", Bad, "%s does not match session_pattern, or is no text", v.sessionAt)
	case err != nil:
		e.say("session", Bad, "%s is no text", v.sessionAt)
	case sid != "":
		e.HasSession = true
		verb := "is"
		if v.sessionPattern != "" {
			verb = "has"
		}
		e.say("session", Good, "%s %s %s, the session %s here", v.sessionAt, verb, short(sid), i.shownID(string(i.sessionID(sid))))
	case v.required:
		e.say("session", Bad, "%s is not there, or empty: with session: required verify takes no such token", v.sessionAt)
	default:
		e.say("session", Odd, "%s is not there, or empty: a logout of the session does not end the token, one of the user does", v.sessionAt)
	}
	issued, _ := date(claims["iat"])
	began, ok := date(v.authTimeAt.find(claims))
	switch {
	case !ok:
		e.say("login", Bad, "%s is no number that is a date", v.authTimeAt)
	case began != 0 && began.Add(i.lifetime+i.leeway) <= session.TimeOf(i.clock()):
		e.say("login", Bad, "%s: %s, longer ago than session_max_lifetime", v.authTimeAt, began.Std().UTC().Format(time.RFC3339))
	case began != 0:
		e.HasAuthTime = true
		e.say("login", Good, "%s: %s", v.authTimeAt, began.Std().UTC().Format(time.RFC3339))
	case issued != 0:
		began = issued
		e.say("login", Odd, "%s is not there, so iat dates the login: a token that is refreshed after its user was logged out passes", v.authTimeAt)
	default:
		e.say("login", Bad, "neither %s nor iat is there", v.authTimeAt)
	}
	if ends, ok := date(claims["exp"]); ok && ends > began && began != 0 {
		e.Lasts = ends.Std().Sub(began.Std())
	}
	if names := slices.Collect(v.factorsIn(claims).Names()); len(names) > 0 {
		e.say("factors", Good, "%s", strings.Join(names, ", "))
	} else {
		e.say("factors", Absent, "amr and acr prove none, by verify.factors")
	}
	if v.organizationAt == nil {
		return
	}
	switch org, ok := v.organizationAt.text(claims); {
	case !ok && v.organizationAt.find(claims) != "":
		e.say("organization", Bad, "%s is no name of one", v.organizationAt)
	case org == "":
		e.say("organization", Absent, "%s is not there", v.organizationAt)
	default:
		e.say("organization", Good, "%s is %s", v.organizationAt, short(org))
	}
}

// explainLogoutSession is about the session that a logout token names.
func (e *Explanation) explainLogoutSession(i *issuer, claims map[string]any) {
	switch {
	case i.logout == nil:
	case i.logout.sessionAt == nil:
		e.say("session", Absent, "logout.session is not configured: the logout is one of the user")
	default:
		sid, ok := i.logout.sessionAt.find(claims).(string)
		switch {
		case ok && sid != "":
			e.say("session", Good, "%s is %s, the session %s here", i.logout.sessionAt, short(sid), i.shownID(string(i.sessionID(sid))))
		case i.logout.sessionAt.find(claims) == nil:
			e.say("session", Absent, "%s is not there: the logout is one of the user", i.logout.sessionAt)
		default:
			e.say("session", Bad, "%s is empty, or no text", i.logout.sessionAt)
		}
	}
}

// explainPermissions is about the roles.
func (e *Explanation) explainPermissions(i *issuer, claims map[string]any) {
	if len(i.rules) == 0 {
		return
	}
	var roles []string
	switch found := i.permissionsAt.find(claims).(type) {
	case nil:
		e.say("permissions", Absent, "%s is not there", i.permissionsAt)
		return
	case string:
		roles = strings.Fields(found)
	case []any:
		roles = texts(found)
	case map[string]any:
		roles = slices.Collect(maps.Keys(found))
	default:
		e.say("permissions", Odd, "%s is no text, no list and no object: it grants nothing", i.permissionsAt)
		return
	}
	var known []string
	for role := range i.rules {
		if slices.Contains(roles, role) {
			known = append(known, role)
		}
	}
	slices.Sort(known)
	if len(known) == 0 {
		e.say("permissions", Absent, "none of the %s in %s is among permissions", counted(len(roles), "role"), i.permissionsAt)
		return
	}
	var a Access
	i.grant(&a, claims)
	text := fmt.Sprintf("%s in %s: %s", strings.Join(known, ", "), i.permissionsAt, a.shown())
	if others := len(roles) - len(known); others > 0 {
		text += fmt.Sprintf("; %s that no rule names", counted(others, "role"))
	}
	if slices.Equal(i.permissionsAt, path{"scope"}) {
		e.say("permissions", Odd, "%s; scope says what a client asked for, and not what was granted", text)
		return
	}
	e.say("permissions", Good, "%s", text)
}
