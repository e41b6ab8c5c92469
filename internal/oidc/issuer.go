package oidc

import (
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"
)

// issuerSettings are what the file says of one issuer.
type issuerSettings struct {
	Name     string
	URL      string
	audience []string
	// KeysURL is where the keys are, "" if discovery tells. noKeys says that
	// there are none: all tokens are asked about.
	KeysURL    string
	noKeys     bool
	algorithms []string
	leeway     time.Duration
	allowHTTP  bool

	userAt, agentAt, permissionsAt, organizationsAt path
	rules                                           map[string]rule

	Introspection *introspection
	logout        *logoutSettings
	// verify says which JWTs gateways may bring; nil: none.
	verify *verifySettings
	// lifetime is how long after its login a session may still get tokens.
	lifetime time.Duration
	// prefix begins the IDs of this issuer's users and sessions here, and others those of other
	// issuers. Both are empty unless an issuer has verify.
	prefix string
	others []string
}

// introspection says how the issuer is asked about opaque tokens.
type introspection struct {
	url, clientID, clientSecret string
	timeout                     time.Duration
	// noAudience takes an answer that does not say whom the token is for.
	noAudience bool
}

// logoutSettings say which logout tokens are taken.
type logoutSettings struct {
	audience          []string
	userAt, sessionAt path
}

func (s *issuerSettings) equal(other *issuerSettings) bool { return reflect.DeepEqual(s, other) }

// issuer is one issuer at work.
type issuer struct {
	*issuerSettings
	ring   keyring
	client *http.Client
	log    *slog.Logger
	age    func() time.Time
	// clock is the Verifier's.
	clock func() time.Time
	// patience is the Verifier's.
	patience time.Duration

	access, logouts *jwt.Parser
	bearers         *jwt.Parser // nil without verify
	sessionPattern  *regexp.Regexp

	asking singleflight.Group
	places chan struct{}
	// outage says whether questions about opaque tokens are answered.
	outage outage
}

func newIssuer(s *issuerSettings, v *Verifier) *issuer {
	i := &issuer{
		issuerSettings: s, ring: newKeyring(), client: v.client, log: v.log, age: v.age, clock: v.clock, patience: v.patience,
		places: make(chan struct{}, maxQuestions),
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(s.algorithms), jwt.WithIssuer(s.URL), jwt.WithIssuedAt(), jwt.WithLeeway(s.leeway),
		jwt.WithTimeFunc(v.clock), jwt.WithStrictDecoding(),
	}
	i.access = jwt.NewParser(append(options, jwt.WithAudience(s.audience...), jwt.WithExpirationRequired())...)
	if s.verify != nil {
		i.bearers = jwt.NewParser(append(options, jwt.WithAudience(s.verify.audience...), jwt.WithExpirationRequired(), jwt.WithJSONNumber())...)
		if s.verify.sessionPattern != "" {
			i.sessionPattern = regexp.MustCompile(s.verify.sessionPattern)
		}
	}
	if s.logout != nil {
		i.logouts = jwt.NewParser(append(options, jwt.WithAudience(s.logout.audience...))...)
	}
	return i
}

// isLoopback says whether a host is this machine and cannot be made another
// by DNS.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
