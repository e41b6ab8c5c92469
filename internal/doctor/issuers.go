package doctor

import (
	"context"
	"strings"
	"sync"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// Issuers says which issuers of tokens to examine.
type Issuers struct {
	Inspector *oidc.Inspector
	// HTTPAddr is where serve takes logouts: HOST:PORT, or unix:PATH.
	HTTPAddr string
	// JWTs says that verify takes JWTs.
	JWTs bool
	// Token is a token that was shown, nil if none was.
	Token *oidc.Explanation
}

// inspection is one issuer while it is examined.
type inspection struct {
	*Issuers
	issuer *oidc.Inspected
	oidc.Facts
	// said is what the issuer says of itself, nil if that is not known.
	said *oidc.Discovery
	// heard is an answer of the issuer, zero if there is none.
	heard oidc.Heard
}

// ExamineIssuers does all checks of all issuers, several at a time, and tells what each has found, in their order. It
// returns when ctx ends, at the latest.
func ExamineIssuers(ctx context.Context, c Issuers, tell func(Finding)) {
	all := c.Inspector.Issuers()
	found := make([][]Finding, len(all))
	var wait sync.WaitGroup
	for k, issuer := range all {
		wait.Go(func() {
			i := &inspection{Issuers: &c, issuer: issuer, Facts: issuer.Facts()}
			found[k] = i.examine(ctx)
		})
	}
	wait.Wait() // I7
	for _, findings := range found {
		for _, f := range findings {
			tell(f)
		}
	}
}

// examine does the checks of one issuer.
func (i *inspection) examine(ctx context.Context) (found []Finding) {
	do := func(name string, check func(context.Context) []Finding) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		for _, f := range check(ctx) {
			f.Check, f.Issuer = name, i.Name
			found = append(found, f)
		}
	}
	do("discovery", i.checkDiscovery)
	do("keys", i.checkKeys)
	do("clock", i.checkIssuerClock)
	do("introspection", i.checkIntrospection)
	do("logout", i.checkLogout)
	do("verify", i.checkVerify)
	do("permissions", i.checkPermissions)
	do("lifetime", i.checkLifetime)
	return found
}

// shown is the token that was shown, if it is one of this issuer and is signed by it; else nil.
func (i *inspection) shown() *oidc.Explanation {
	if i.Token == nil || i.Token.Issuer != i.Name || !i.Token.Good {
		return nil
	}
	return i.Token
}

// BadIssuers is the finding where the file of issuers cannot be used.
func BadIssuers(err error) Finding {
	f := fail("no issuer is looked at: "+strings.ReplaceAll(err.Error(), "\n", "; "), remedy("correct the file of --auth-issuers-file; docs/credentials.md has its fields"))
	f.Check = "issuers"
	return f
}

// ExplainToken returns the lines about a token. jwts says that verify takes JWTs.
func ExplainToken(e *oidc.Explanation, jwts bool) (found []Finding) {
	for _, l := range e.Lines {
		status := map[oidc.Verdict]Status{oidc.Good: OK, oidc.Odd: Warn, oidc.Bad: Fail, oidc.Absent: Skip}[l.Verdict]
		if l.Name == "verify" && status == OK && !jwts {
			status, l.Text = Warn, l.Text+"; but --verify-accept has no jwt, so verify takes none"
		}
		found = append(found, Finding{Check: l.Name, Status: status, Found: l.Text})
	}
	return found
}

// OwnToken is the line about a token of our own making, of which no issuer knows anything.
func OwnToken(kind string) Finding {
	article := "a"
	if kind == "API key" {
		article = "an"
	}
	f := ok("by its form %s %s that cloakroom makes: no issuer is asked about it", article, kind)
	f.Check = "token"
	return f
}
