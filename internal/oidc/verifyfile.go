package oidc

import (
	"regexp"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/strictyaml"
)

// verifySettings say which JWTs gateways may bring, and whose they are.
type verifySettings struct {
	audience []string
	// idTokens takes ID tokens in place of access tokens.
	idTokens bool
	// required refuses a token whose session does not live in the store.
	required bool
	// own says that the issuer's session and user IDs are the store's own.
	own bool

	sessionAt, organizationAt, loginAt, authTimeAt path
	// sessionPattern cuts the session ID out of its claim, by its only group; "" takes
	// all of it.
	sessionPattern string
	factors        map[string]session.FactorSet
}

const (
	// defaultLifetime is how long after its login a session may get tokens, where the file does
	// not say: as long as ZITADEL's refresh tokens live at most.
	defaultLifetime = 90 * 24 * time.Hour
	minLifetime     = time.Minute
	maxLifetime     = 3 * 365 * 24 * time.Hour
	// maxPattern is the longest pattern, in bytes.
	maxPattern = 256
)

// defaultFactors are values of amr (RFC 8176, and "fido" of Microsoft Entra ID) that prove a
// factor of a session. Others are left out: they say how, and not by which factor.
var defaultFactors = map[string]session.FactorSet{
	"pwd": factor("password"), "otp": factor("totp"), "sms": factor("otpSms"),
	"hwk": factor("webAuthN"), "swk": factor("webAuthN"), "fido": factor("webAuthN"),
}

func factor(name string) session.FactorSet {
	f, ok := session.FactorNamed(name)
	if !ok {
		panic("BUG: there is no factor " + name)
	}
	return f
}

// issuerName is the form of a name that session and user IDs begin with.
var issuerName = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,32}$`)

// readVerify reads which JWTs gateways may bring.
func readVerify(v strictyaml.Value) *verifySettings {
	s := &verifySettings{sessionAt: path{"sid"}, loginAt: path{"preferred_username"}, authTimeAt: path{"auth_time"}, factors: defaultFactors}
	v.Object(strictyaml.Fields{
		"audience": func(v strictyaml.Value) { s.audience = readNames(v) },
		"tokens":   func(v strictyaml.Value) { readChoice(v, &s.idTokens, "access", "id") },
		"session":  func(v strictyaml.Value) { readChoice(v, &s.required, "not-ended", "required") },
		"session_ids": func(v strictyaml.Value) {
			readChoice(v, &s.own, "prefixed", "own")
		},
		"claims": func(v strictyaml.Value) {
			v.Object(strictyaml.Fields{
				"session":      func(v strictyaml.Value) { readPath(v, &s.sessionAt) },
				"organization": func(v strictyaml.Value) { readPath(v, &s.organizationAt) },
				"login_name":   func(v strictyaml.Value) { readPath(v, &s.loginAt) },
				"auth_time":    func(v strictyaml.Value) { readPath(v, &s.authTimeAt) },
			})
		},
		"session_pattern": func(v strictyaml.Value) { readPattern(v, &s.sessionPattern) },
		"factors":         func(v strictyaml.Value) { s.factors = readFactors(v) },
	})
	return s
}

// completeVerify completes an issuer by what its section verify says, or says what is wrong.
func completeVerify(v strictyaml.Value, s *issuerSettings) {
	if s.logout != nil && s.logout.userAt == nil {
		if s.logout.userAt = (path{"sub"}); s.verify != nil {
			s.logout.userAt = s.userAt
		}
	}
	switch {
	case s.verify == nil:
		if !v.Field("audience").Given() {
			v.Field("audience").Fault("is missing")
		}
		return
	case s.verify.idTokens && len(s.verify.audience) == 0:
		v.Field("verify").Field("audience").Fault("is missing: with tokens: id it must be of its own, and none that access tokens are for")
	case s.verify.idTokens && slices.ContainsFunc(s.verify.audience, func(a string) bool { return slices.Contains(s.audience, a) }):
		v.Field("verify").Field("audience").Fault("has one of the issuer's audience: ID tokens and access tokens must not be for the same")
	case len(s.verify.audience) == 0 && len(s.audience) == 0:
		v.Field("audience").Fault("is missing, here and in verify")
	case len(s.verify.audience) == 0:
		s.verify.audience = s.audience
	}
	if s.logout == nil {
		return
	}
	if !slices.Equal(s.logout.userAt, s.userAt) {
		v.Field("logout").Field("user").Fault("is another claim than claims.user: a logout would not end the JWTs of its user")
	}
	// A logout token names the session as other tokens do, unless their claim is cut.
	if s.logout.sessionAt == nil && slices.Equal(s.verify.sessionAt, path{"sid"}) && s.verify.sessionPattern == "" {
		s.logout.sessionAt = s.verify.sessionAt
	}
}

// namesLogins says whether the session that a logout token names is the one that JWTs name.
func (s *issuerSettings) namesLogins() bool {
	return slices.Equal(s.verify.sessionAt, s.logout.sessionAt) && s.verify.sessionPattern == ""
}

// readChoice reads one of two words: no, which is the default, or yes.
func readChoice(v strictyaml.Value, to *bool, no, yes string) {
	var text string
	if !v.Text(&text) {
		return
	}
	if text != no && text != yes {
		v.Fault("must be %s or %s", no, yes)
	}
	*to = text == yes
}

// readPattern reads a regular expression with one group.
func readPattern(v strictyaml.Value, to *string) {
	if !v.Text(to) {
		return
	}
	switch re, err := regexp.Compile(*to); {
	case len(*to) > maxPattern:
		v.Fault("must have at most %d bytes", maxPattern)
	case err != nil:
		v.Fault("must be a regular expression, as RE2 has them")
	case re.NumSubexp() != 1:
		v.Fault("must have one group, which is the session ID")
	}
}

// readFactors reads which values of amr and acr prove which factors.
func readFactors(v strictyaml.Value) map[string]session.FactorSet {
	table := map[string]session.FactorSet{}
	v.Each(func(value string, v strictyaml.Value) {
		var set session.FactorSet
		for _, name := range readNames(v) {
			f, ok := session.FactorNamed(name)
			if !ok {
				v.Fault("may have only password, webAuthN, intent, totp, otpSms, otpEmail and recoveryCode")
			}
			set |= f
		}
		table[value] = set
	})
	return table
}

// separate gives the users and sessions of each issuer a space of their own, if one of
// them has verify: else a user of one could be taken for that of another.
func separate(issuers []issuerSettings, entries []strictyaml.Value) {
	if !slices.ContainsFunc(issuers, func(s issuerSettings) bool { return s.verify != nil }) {
		return
	}
	own := -1
	for k := range issuers {
		s := &issuers[k]
		if s.verify != nil && s.verify.own {
			if own >= 0 {
				entries[k].Field("verify").Field("session_ids").Fault("is own, which is also %s: of one issuer only", entries[own].At)
			}
			own = k
			continue
		}
		if !issuerName.MatchString(s.Name) {
			entries[k].Field("name").Fault("must have 1 to 32 letters, digits, dots, underscores, tildes and dashes, because an issuer has verify: IDs of sessions and users begin with it")
			continue
		}
		s.prefix = s.Name + ":"
	}
	if own < 0 {
		return
	}
	for k := range issuers {
		if k != own {
			issuers[own].others = append(issuers[own].others, issuers[k].prefix)
		}
	}
}

// factorsIn returns the factors that a token's amr and acr prove.
func (s *verifySettings) factorsIn(claims map[string]any) (set session.FactorSet) {
	for _, name := range []string{"amr", "acr"} {
		switch found := claims[name].(type) {
		case string:
			set |= s.factors[found]
		case []any:
			for _, value := range texts(found) {
				set |= s.factors[value]
			}
		}
	}
	return set
}
