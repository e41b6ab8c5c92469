// Package oidctest is an OpenID Connect issuer on loopback for tests: it has
// discovery, keys that can be rotated, and introspection; it signs whatever it
// is told to; and it can be stalled, broken and stopped.
package oidctest

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/golang-jwt/jwt/v5"
)

// ClientID and ClientSecret are what introspection asks for. Both need to be
// encoded on their way (RFC 6749, 2.3.1).
const (
	ClientID     = "cloak:room"
	ClientSecret = "s3cret/+%: ü"
)

// LogoutEvent is the member of events that a logout token has.
const LogoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// Issuer is a running issuer. It is safe for concurrent use.
type Issuer struct {
	URL string

	t      testing.TB
	server *http.Server
	served chan error

	mu        sync.Mutex
	key       *Key            // signs
	published map[string]*Key // by ID
	tokens    map[string]any  // what introspection answers, by token
	said      map[string]any  // in the discovery document, besides where things are
	override  map[string]http.HandlerFunc
	counts    map[string]int
	stalled   chan struct{} // closed when it goes on; nil if it does
}

// Start starts an issuer with an RS256 key; it ends with the test.
func Start(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{
		t: t, published: map[string]*Key{}, tokens: map[string]any{}, said: map[string]any{},
		override: map[string]http.HandlerFunc{}, counts: map[string]int{},
	}
	i.Rotate(NewKey(t, "RS256"))
	i.listen("127.0.0.1:0")
	t.Cleanup(i.Stop)
	return i
}

func (i *Issuer) listen(addr string) {
	i.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		i.t.Fatal(err)
	}
	i.URL = "http://" + ln.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(i.serve), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	i.server, i.served = server, served
	go func() { served <- server.Serve(ln) }()
}

// Stop stops the issuer: connections to it are refused.
func (i *Issuer) Stop() {
	if i.server == nil {
		return
	}
	i.Resume()
	_ = i.server.Close()
	if err := <-i.served; !errors.Is(err, http.ErrServerClosed) {
		i.t.Errorf("the issuer ended: %v", err)
	}
	i.server = nil
}

// Restart starts a stopped issuer again, at the same address.
func (i *Issuer) Restart() {
	i.t.Helper()
	u, err := url.Parse(i.URL)
	if err != nil {
		i.t.Fatal(err)
	}
	i.listen(u.Host)
}

// Stall lets requests wait until Resume.
func (i *Issuer) Stall() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stalled == nil {
		i.stalled = make(chan struct{})
	}
}

// Resume answers what waits.
func (i *Issuer) Resume() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.stalled != nil {
		close(i.stalled)
		i.stalled = nil
	}
}

// Answer lets f answer requests for a path; nil takes it away again.
func (i *Issuer) Answer(path string, f http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.override[path] = f
}

// The paths of the issuer.
const (
	DiscoveryPath  = "/.well-known/openid-configuration"
	KeysPath       = "/keys"
	IntrospectPath = "/introspect"
)

// Count is how many requests for a path have come.
func (i *Issuer) Count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.counts[path]
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.counts[r.URL.Path]++
	stalled, override := i.stalled, i.override[r.URL.Path]
	i.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-r.Context().Done():
			return
		}
	}
	if override != nil {
		override(w, r)
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET " + DiscoveryPath:
		write(w, i.discovery())
	case "GET " + KeysPath:
		write(w, map[string]any{"keys": i.keys()})
	case "POST " + IntrospectPath:
		i.introspect(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) discovery() map[string]any {
	document := map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + KeysPath, "introspection_endpoint": i.URL + IntrospectPath,
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.Copy(document, i.said)
	return document
}

// Say has the discovery document say something else.
func (i *Issuer) Say(field string, value any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.said[field] = value
}

func write(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	if !ok || err1 != nil || err2 != nil || id != ClientID || secret != ClientSecret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	token := r.PostFormValue("token")
	if token == "" || r.URL.Query().Has("token") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	answer, known := i.tokens[token]
	i.mu.Unlock()
	if !known {
		answer = map[string]any{"active": false}
	}
	write(w, answer)
}

// Opaque lets introspection answer this about a token.
func (i *Issuer) Opaque(token string, answer map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens[token] = answer
}

// Rotate makes a key the one that signs, and publishes it alone.
func (i *Issuer) Rotate(k *Key) {
	i.Publish(k)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = k
}

// Publish makes keys the published ones.
func (i *Issuer) Publish(keys ...*Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = map[string]*Key{}
	for _, k := range keys {
		i.published[k.ID] = k
	}
}

func (i *Issuer) keys() []map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := []map[string]string{}
	for _, k := range i.published {
		list = append(list, k.public())
	}
	return list
}

// Sign makes a JWT of claims with the key that signs. Changes change its header.
func (i *Issuer) Sign(claims map[string]any, changes ...func(header map[string]any)) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.key
	i.mu.Unlock()
	return key.Sign(i.t, claims, changes...)
}

// Sign makes a JWT of claims.
func (k *Key) Sign(t testing.TB, claims map[string]any, changes ...func(header map[string]any)) string {
	t.Helper()
	return SignWith(t, jwt.GetSigningMethod(k.Algorithm), k.private, claims, append([]func(map[string]any){
		func(header map[string]any) { header["kid"] = k.ID },
	}, changes...)...)
}

// SignIndented is Sign with a header that is written on several lines, as JSON may be.
func (i *Issuer) SignIndented(claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	key := i.key
	i.mu.Unlock()
	method := jwt.GetSigningMethod(key.Algorithm)
	header, _ := json.MarshalIndent(map[string]any{"alg": key.Algorithm, "kid": key.ID, "typ": "JWT"}, "", "  ")
	payload, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := method.Sign(signed, key.private)
	if err != nil {
		i.t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// SignWith makes a JWT of claims with any method and key that it takes.
func SignWith(t testing.TB, method jwt.SigningMethod, key any, claims map[string]any, changes ...func(header map[string]any)) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	for _, change := range changes {
		change(token.Header)
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Key is a key that an issuer signs with.
type Key struct {
	ID, Algorithm string
	private       crypto.Signer
}

// Public is the public half.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// WaitFor waits until requests for a path have come this often.
func (i *Issuer) WaitFor(path string, n int) {
	i.t.Helper()
	eventually.Holds(i.t, fmt.Sprintf("%d requests for %s", n, path), func() bool { return i.Count(path) >= n })
}
