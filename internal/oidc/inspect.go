package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"golang.org/x/time/rate"
)

// MaxKeys is the largest number of keys of an issuer that is taken.
const MaxKeys = maxKeys

// Inspector looks at issuers for somebody who asks what is wrong with them. It serves nobody and starts no
// goroutine. It is safe for concurrent use. Close it.
type Inspector struct{ v *Verifier }

// Inspect returns an Inspector of the issuers of a file. clock tells whether a token has expired; nil is time.Now.
func Inspect(s *Settings, clock func() time.Time) *Inspector {
	v := New(Config{Clock: clock})
	v.Set(s)
	for _, i := range v.current.Load().list {
		// Nobody follows the keys: one that is not among them is not waited for.
		i.ring.unknown = rate.NewLimiter(0, 0)
	}
	return &Inspector{v}
}

// Close closes idle connections.
func (in *Inspector) Close() { in.v.client.CloseIdleConnections() }

// Issuers returns the issuers in the order of the file.
func (in *Inspector) Issuers() (all []*Inspected) {
	for _, i := range in.v.current.Load().list {
		all = append(all, &Inspected{i})
	}
	return all
}

// Inspected is one issuer of an Inspector. It is safe for concurrent use.
type Inspected struct{ i *issuer }

// Facts are what the file says of an issuer, or its defaults.
type Facts struct {
	Name, URL string
	// DiscoveryURL is where the issuer says what it is. KeysURL is where its keys are, "" if discovery
	// tells; NoKeys says that it has none.
	DiscoveryURL, KeysURL string
	NoKeys                bool
	// Algorithms are those that a signature may have. AllAlgorithms says that none is left out.
	Algorithms    []string
	AllAlgorithms bool
	Leeway        time.Duration
	// Callers says that access tokens make callers of the API. Roles is how many roles grant something, and
	// PermissionsAt the claim that they are in.
	Callers       bool
	Roles         int
	PermissionsAt string
	// Introspection, Logout and Verify are nil where the file has no such section.
	Introspection *IntrospectionFacts
	Logout        *LogoutFacts
	Verify        *VerifyFacts
	// Lifetime is how long it is kept that a login has ended.
	Lifetime time.Duration
}

// IntrospectionFacts are what the section introspection says.
type IntrospectionFacts struct {
	URL     string
	Timeout time.Duration
}

// LogoutFacts are what the section logout says. SessionAt is "" if no claim names the session. AllLogins says
// that it is not the one that JWTs name, so that all logins of the user end.
type LogoutFacts struct {
	UserAt, SessionAt string
	AllLogins         bool
}

// VerifyFacts are what the section verify says.
type VerifyFacts struct {
	IDTokens, Required bool
	// Prefix begins the IDs of sessions and users, "" if they are the store's own.
	Prefix                string
	SessionAt, AuthTimeAt string
	// Cut says that the session is a part of its claim.
	Cut bool
}

// Facts returns what the file says.
func (n *Inspected) Facts() Facts {
	i := n.i
	f := Facts{
		Name: i.Name, URL: i.URL, DiscoveryURL: i.discoveryURL(), KeysURL: i.KeysURL, NoKeys: i.noKeys,
		Algorithms: i.algorithms, Leeway: i.leeway, Callers: len(i.audience) > 0, Roles: len(i.rules), PermissionsAt: i.permissionsAt.String(),
		Lifetime: i.lifetime,
	}
	f.AllAlgorithms = !slices.ContainsFunc(algorithms, func(a string) bool { return !slices.Contains(i.algorithms, a) })
	if s := i.Introspection; s != nil {
		f.Introspection = &IntrospectionFacts{s.url, s.timeout}
	}
	if s := i.logout; s != nil {
		f.Logout = &LogoutFacts{s.userAt.String(), s.sessionAt.String(), i.verify != nil && !i.namesLogins()}
	}
	if s := i.verify; s != nil {
		f.Verify = &VerifyFacts{s.idTokens, s.required, i.prefix, s.sessionAt.String(), s.authTimeAt.String(), s.sessionPattern != ""}
	}
	return f
}

// Heard is what an answer of an issuer says besides its body.
type Heard struct {
	// Date is the issuer's clock, zero if the answer has none; Between is the time of this machine halfway
	// between question and answer.
	Date, Between time.Time
	CacheControl  string
}

// Discovery is what an issuer says of itself.
type Discovery struct {
	Heard
	Issuer, KeysURL, IntrospectionURL string
	// KeysFault is why KeysURL is not used, nil if it is.
	KeysFault error
	// Logout and LogoutSession say that it sends logout tokens, and that these name the session.
	Logout, LogoutSession bool
	Claims                []string
}

// Discover asks an issuer what it is. It compares nothing.
func (n *Inspected) Discover(ctx context.Context) (*Discovery, error) {
	var answer struct {
		Issuer        string   `json:"issuer"`
		KeysURL       string   `json:"jwks_uri"`
		Introspection string   `json:"introspection_endpoint"`
		Logout        bool     `json:"backchannel_logout_supported"`
		LogoutSession bool     `json:"backchannel_logout_session_supported"`
		Claims        []string `json:"claims_supported"`
	}
	heard, err := n.hear(ctx, n.i.discoveryURL(), &answer)
	if err != nil {
		return nil, err
	}
	return &Discovery{
		heard, answer.Issuer, answer.KeysURL, answer.Introspection, checkURL(answer.KeysURL, n.i.allowHTTP),
		answer.Logout, answer.LogoutSession, answer.Claims,
	}, nil
}

// hear reads the JSON document at url into to.
func (n *Inspected) hear(ctx context.Context, url string, to any) (Heard, error) {
	ear := &listener{RoundTripper: n.i.client.Transport}
	client := *n.i.client
	client.Transport = ear
	err := getJSON(ctx, &client, url, to)
	return ear.heard, err
}

// listener is a RoundTripper that notes what the last answer says.
type listener struct {
	http.RoundTripper
	heard Heard
}

// RoundTrip sends a request.
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	res, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	l.heard = Heard{Between: began.Add(time.Since(began) / 2), CacheControl: res.Header.Get("Cache-Control")}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		l.heard.Date = date
	}
	return res, nil
}

// Published are the keys of an issuer.
type Published struct {
	Heard
	// All is how many there are, Usable how many can check a signature, and Private how many are there for
	// something else: to encrypt, or shared with a client.
	All, Usable, Private int
	// Algorithms are those that the usable keys can check.
	Algorithms []string
}

// Keys reads the keys at url.
func (n *Inspected) Keys(ctx context.Context, url string) (*Published, error) {
	var answer jwkset.JWKSMarshal
	heard, err := n.hear(ctx, url, &answer)
	if err != nil {
		return nil, err
	}
	p := &Published{Heard: heard, All: len(answer.Keys)}
	seen := map[string]bool{}
	able := map[string]bool{}
	for _, m := range answer.Keys {
		if m.KTY == jwkset.KtyOct || m.USE != "" && m.USE != jwkset.UseSig {
			p.Private++
			continue
		}
		one, err := newKeySet(ctx, []jwkset.JWKMarshal{m}, heard.Between)
		if err != nil || len(one.ids) == 0 || seen[m.KID] {
			continue
		}
		seen[m.KID] = true
		p.Usable++
		for _, a := range algorithmsOfKey(&m) {
			able[a] = true
		}
	}
	for _, a := range algorithms {
		if able[a] {
			p.Algorithms = append(p.Algorithms, a)
		}
	}
	return p, nil
}

// algorithmsOfKey returns the algorithms that a key can check.
func algorithmsOfKey(m *jwkset.JWKMarshal) []string {
	switch {
	case m.ALG != "":
		return []string{string(m.ALG)}
	case m.KTY == jwkset.KtyRSA:
		return slices.DeleteFunc(slices.Clone(algorithms), func(a string) bool { return a[1] != 'S' || a[0] == 'E' })
	case m.KTY == jwkset.KtyEC:
		return map[jwkset.CRV][]string{jwkset.CrvP256: {"ES256"}, jwkset.CrvP384: {"ES384"}, jwkset.CrvP521: {"ES512"}}[m.CRV]
	case m.KTY == jwkset.KtyOKP:
		return []string{"EdDSA"}
	}
	return nil
}

// Ask asks the issuer about a token, within the time-out of the file, and returns whether it is active. There
// must be a section introspection.
func (n *Inspected) Ask(ctx context.Context, token string) (active bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.i.Introspection.timeout)
	defer cancel()
	claims, err := n.i.ask(ctx, token)
	return claims["active"] == true, err
}

// StatusOf returns the status of an answer that was not 200; ok is false if err is no such answer.
func StatusOf(err error) (status int, ok bool) {
	s := statusError(0)
	ok = errors.As(err, &s)
	return int(s), ok
}

// String returns p as a file has it: with dots, and a backslash before those within names.
func (p path) String() string {
	var names []string
	for _, name := range p {
		names = append(names, strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name))
	}
	return strings.Join(names, ".")
}
