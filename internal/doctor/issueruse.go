package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc"
)

// shortLifetime is a session_max_lifetime that is worth a warning: many issuers give tokens for days.
const shortLifetime = 24 * time.Hour

// checkIntrospection asks about a token that nobody has made.
func (i *inspection) checkIntrospection(ctx context.Context) []Finding {
	s := i.Introspection
	if s == nil {
		return nil
	}
	began := time.Now()
	active, err := i.issuer.Ask(ctx, "cloakroom-doctor-"+rand.Text())
	took := time.Since(began)
	status, answered := oidc.StatusOf(err)
	switch {
	case err == nil && active:
		return []Finding{fail(s.URL+" says that a made-up token is active", remedy("whatever answers there takes every token: set introspection.url to %s", i.endpoint()))}
	case err == nil:
		return []Finding{ok("the issuer takes client_id and secret, and knows that a made-up token is not active; it took %v, timeout is %v", took.Round(100*time.Microsecond), s.Timeout)}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return []Finding{fail(fmt.Sprintf("the issuer refuses client_id or the secret in client_secret_file (%d): no opaque token is taken", status),
			remedy("give the id and the secret of a client that may introspect, by client_secret_basic: introspection.client_id, and the file client_secret_file"))}
	case answered:
		return []Finding{fail(fmt.Sprintf("%s answers %d", s.URL, status), remedy("introspection.url must be the one that takes questions; the issuer says: %s", i.endpoint()))}
	case isTimeout(err):
		return []Finding{fail(fmt.Sprintf("no answer within introspection.timeout, which is %v: opaque tokens are answered with 503", s.Timeout),
			remedy("see why the issuer is slow, or raise introspection.timeout, up to 5s"))}
	}
	return []Finding{i.unreached(err, s.URL, "introspection.url")}
}

// endpoint is where the issuer says that it is asked.
func (i *inspection) endpoint() string {
	if i.said == nil || i.said.IntrospectionURL == "" {
		return "nothing of where that is"
	}
	return shownURL(i.said.IntrospectionURL)
}

// checkLogout looks whether logout tokens can come.
func (i *inspection) checkLogout(context.Context) []Finding {
	switch {
	case i.Logout == nil && i.Verify != nil && !i.Verify.Required:
		return []Finding{warn("none is taken from this issuer: its JWTs pass until they expire, unless their sessions or users are ended by the API",
			remedy("logout: {audience: [CLIENT]} in the issuers file, and at the issuer, for this client, the URL of /backchannel-logout"))}
	case i.Logout == nil:
		return []Finding{ok("none is taken from this issuer: it has no section logout")}
	}
	takes := fmt.Sprintf("ends the session that %s names, else all of the user that %s names", i.Logout.SessionAt, i.Logout.UserAt)
	switch {
	case i.Logout.SessionAt == "":
		takes = fmt.Sprintf("ends all sessions of the user that %s names", i.Logout.UserAt)
	case i.Logout.AllLogins:
		takes += ", and all logins of the user that JWTs are of, which do not name this session"
	}
	var found []Finding
	switch {
	case i.said == nil:
		found = append(found, Finding{Status: Skip, Found: takes + "; whether the issuer sends any is not known, see discovery"})
	case !i.said.Logout:
		found = append(found, warn(takes+"; but the issuer does not say that it sends any (backchannel_logout_supported)",
			remedy("switch on back-channel logout at the issuer, for the client in logout.audience; or end sessions by the API")))
	case i.Logout.SessionAt != "" && !i.said.LogoutSession:
		found = append(found, warn(takes+"; but the issuer does not say that they name a session (backchannel_logout_session_supported): then each ends all logins of its user",
			remedy("have the issuer put the session into logout tokens: backchannel_logout_session_required of the client")))
	default:
		found = append(found, ok("%s; the issuer sends them", takes))
	}
	return append(found, i.checkReceiver())
}

// checkReceiver looks whether the issuer can reach the listener.
func (i *inspection) checkReceiver() Finding {
	const denies = "ZITADEL's default deny list refuses private and loopback receivers"
	near, kind := nearby(i.HTTPAddr)
	issuer, err := url.Parse(i.URL)
	here := err == nil && loopback(issuer.Hostname())
	text := fmt.Sprintf("the issuer must reach POST /backchannel-logout at --http-addr, %s", i.HTTPAddr)
	switch {
	case near && here && kind != "a unix socket":
		return ok("%s, which is %s, as the issuer is on this machine; %s", text, kind, denies)
	case near:
		return advise(Skip, fmt.Sprintf("%s: that is %s, which no issuer elsewhere reaches but by a gateway; %s", text, kind, denies), []advice{remedy(
			"have your gateway pass POST /backchannel-logout on, or give --http-addr an address that the issuer reaches; from there `curl -d logout_token=x URL/backchannel-logout` must show invalid_request")})
	}
	return ok("%s, or by a gateway", text)
}

// nearby says whether an address is one that others than neighbours cannot reach, and of which kind.
func nearby(addr string) (near bool, kind string) {
	if strings.HasPrefix(addr, "unix:") {
		return true, "a unix socket"
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, ""
	}
	if loopback(host) {
		return true, "loopback"
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast()), "private"
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// checkVerify looks at what verify makes of the issuer's JWTs.
func (i *inspection) checkVerify(context.Context) []Finding {
	v := i.Verify
	if v == nil {
		return nil
	}
	kind := "access tokens"
	if v.IDTokens {
		kind = "ID tokens"
	}
	mode := "unless their login has ended"
	if v.Required {
		mode = "while their session is stored here"
	}
	ids := fmt.Sprintf("IDs of its sessions and users begin with %q", v.Prefix)
	if v.Prefix == "" {
		ids = "IDs of its sessions and users are those of the store"
	}
	text := fmt.Sprintf("takes %s %s; %s", kind, mode, ids)
	if !i.JWTs {
		return []Finding{warn(text+"; but --verify-accept has no jwt, so verify takes none", remedy("--verify-accept=session,jwt for serve as well"))}
	}
	var lacks []string
	for _, c := range []struct {
		claim string
		shown bool
		means string
	}{
		{v.SessionAt, i.shown() != nil && i.shown().HasSession, "without it " + map[bool]string{true: "a token is refused", false: "a logout of the session does not end a token"}[v.Required]},
		{v.AuthTimeAt, i.shown() != nil && i.shown().HasAuthTime, "without it a token that was refreshed after a logout of its user passes"},
	} {
		listed := i.said != nil && slices.Contains(i.said.Claims, c.claim) && v.IDTokens // it speaks of ID tokens
		if c.shown || listed || v.Required && c.claim == v.AuthTimeAt {
			continue
		}
		why := "many access tokens have none"
		switch {
		case i.shown() != nil:
			why = "the token that was shown has none"
		case v.IDTokens && i.said == nil:
			why = "what the issuer says of it is not known, see discovery"
		case v.IDTokens:
			why = "the issuer does not say that its tokens have it (claims_supported), which some have though"
		}
		lacks = append(lacks, fmt.Sprintf("%s: %s; %s", c.claim, why, c.means))
	}
	switch {
	case len(lacks) == 0:
		return []Finding{ok("%s", text)}
	case i.shown() != nil:
		return []Finding{warn(text+"; "+strings.Join(lacks, "; "),
			remedy("bring ID tokens (verify: {tokens: id, audience: [CLIENT]}), or have the issuer add the claims to the tokens that the gateway brings"))}
	}
	return []Finding{warn(text+"; "+strings.Join(lacks, "; "),
		remedy("look whether a token that the gateway brings has the claims: `cloakroom doctor --auth-issuers-file FILE --token -`"))}
}

// checkPermissions looks at what roles grant.
func (i *inspection) checkPermissions(context.Context) []Finding {
	switch {
	case !i.Callers:
		return []Finding{ok("no access token of this issuer is a caller of the API: it has no audience")}
	case i.Roles == 0:
		return []Finding{ok("none: its users see and end their own sessions")}
	case i.PermissionsAt == "scope":
		return []Finding{warn("they are given by scope, which says what a client asked for, and not what was granted: an introspection of ZITADEL lists role scopes that nobody granted",
			remedy("claims: {permissions: CLAIM} with the claim that has the roles: urn:zitadel:iam:org:project:roles at ZITADEL, realm_access.roles at Keycloak"))}
	}
	return []Finding{ok("by the roles in %s, for which there are rules: %d", i.PermissionsAt, i.Roles)}
}

// checkLifetime looks how long it is kept that a login has ended.
func (i *inspection) checkLifetime(context.Context) []Finding {
	if i.Verify == nil && i.Logout == nil {
		return nil
	}
	longer := remedy("session_max_lifetime in the issuers file: as long as the issuer gives tokens to a login; 2160h for ZITADEL's 90 days")
	text := fmt.Sprintf("it is kept for %s that a login has ended", plainDuration(i.Lifetime))
	if shown := i.shown(); shown != nil && shown.Lasts > i.Lifetime {
		return []Finding{fail(fmt.Sprintf("%s, and the token that was shown lasts longer, %s: it passes again then", text, plainDuration(shown.Lasts.Round(time.Second))), longer)}
	}
	if i.Lifetime < shortLifetime {
		return []Finding{warn(text+": if the issuer refreshes its tokens for longer, they pass again then", longer)}
	}
	return []Finding{ok("%s: no login may be given tokens for longer", text)}
}

// plainDuration is d without the minutes and seconds that are zero.
func plainDuration(d time.Duration) string {
	text := d.String()
	if d >= time.Minute && d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
