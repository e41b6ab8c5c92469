package issuer

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/valyala/fasthttp"
)

// The paths of the issuer.
const (
	discoveryPath  = "/.well-known/openid-configuration"
	keysPath       = "/keys"
	introspectPath = "/introspect"
)

// server answers for an issuer.
type server struct {
	discovery, keys []byte
	authorization   string // of who introspects
	delay           time.Duration
	answers         map[string][]byte // to introspection, by token
}

// newServer makes a server that knows these tokens: to introspect one costs it a look into a map,
// not a signature.
func newServer(i *Issuer, delay time.Duration, known []*Tokens) (*server, error) {
	s := &server{authorization: i.authorization(), delay: delay, answers: map[string][]byte{}}
	var keys []map[string]string
	for _, algorithm := range Algorithms {
		jwk, err := i.keys[algorithm].jwk()
		if err != nil {
			return nil, err
		}
		keys = append(keys, jwk)
	}
	var errKeys, errDiscovery error
	s.keys, errKeys = json.Marshal(map[string]any{"keys": keys})
	s.discovery, errDiscovery = json.Marshal(map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + keysPath, "introspection_endpoint": i.URL + introspectPath,
		"id_token_signing_alg_values_supported": Algorithms, "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
	})
	if err := errors.Join(errKeys, errDiscovery); err != nil {
		return nil, err
	}
	for _, tokens := range known {
		for k := range tokens.Len() {
			token, _ := tokens.At(k)
			claims, err := ClaimsOf(string(token))
			if err != nil {
				return nil, err
			}
			if s.answers[string(token)], err = json.Marshal(Introspection{Active: true, Claims: *claims}); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// Introspection is what the issuer says of a token (RFC 7662).
type Introspection struct {
	Active bool `json:"active"`
	Claims
}

// authorization is the header of who introspects.
func (i *Issuer) authorization() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(introspectsAs+":"+i.Secret))
}

// IntrospectionRequest makes r ask the issuer for a token.
func (i *Issuer) IntrospectionRequest(r *fasthttp.Request, token []byte) {
	r.SetRequestURI(i.URL + introspectPath)
	r.Header.SetMethod(fasthttp.MethodPost)
	r.Header.Set(fasthttp.HeaderAuthorization, i.authorization())
	r.Header.SetContentType("application/x-www-form-urlencoded")
	r.SetBody(append([]byte("token="), token...)) // a JWT has nothing to escape
}

func (s *server) handle(http *fasthttp.RequestCtx) {
	http.SetContentType("application/json")
	switch string(http.Path()) {
	case discoveryPath:
		http.SetBody(s.discovery)
	case keysPath:
		http.SetBody(s.keys)
	case introspectPath:
		s.introspect(http)
	default:
		http.Error("{}", fasthttp.StatusNotFound)
	}
}

func (s *server) introspect(http *fasthttp.RequestCtx) {
	if string(http.Request.Header.Peek(fasthttp.HeaderAuthorization)) != s.authorization {
		http.Error("{}", fasthttp.StatusUnauthorized)
		return
	}
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	answer, ok := s.answers[strings.TrimPrefix(string(http.PostBody()), "token=")]
	if !ok {
		answer = []byte(`{"active":false}`)
	}
	http.SetBody(answer)
}

// serve answers on a listener until ctx ends.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	srv := &fasthttp.Server{Handler: s.handle, NoDefaultServerHeader: true, CloseOnShutdown: true, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	return cli.ServeUntil(ctx, func() error { return srv.Serve(listener) }, func() error {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		err := srv.ShutdownWithContext(end)
		_ = listener.Close() // Shutdown ends nothing where Serve has not begun yet
		return err
	})
}

const shutdownTimeout = 5 * time.Second
