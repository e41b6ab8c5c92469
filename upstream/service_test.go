package upstream_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/golang-jwt/jwt/v5"
)

// account is a service account, with the JSON of its key.
type account struct {
	key  *rsa.PrivateKey
	file string
}

var oneAccount = sync.OnceValue(func() account {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return account{key, keyFile("serviceaccount", "key-1", "user-1", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))}
})

func keyFile(kind, keyID, userID string, key []byte) string {
	text, err := json.Marshal(map[string]string{"type": kind, "keyId": keyID, "key": string(key), "expirationDate": "2030-01-01T00:00:00Z", "userId": userID})
	if err != nil {
		panic(err)
	}
	return string(text)
}

const tokenPath = "/oauth/v2/token"

// instance is a ZITADEL that gives tokens to the account, token-1 and so on, and takes those that have not been ended.
type instance struct {
	*server
	mu      sync.Mutex
	given   int
	lasts   string           // expires_in
	refuses http.HandlerFunc // in place of giving one
	ended   map[string]bool
	gate    http.HandlerFunc // what it does before it gives one
	first   http.HandlerFunc // what it does before it answers another call
}

func startInstance(t *testing.T) *instance {
	t.Helper()
	i := &instance{lasts: "43199", ended: map[string]bool{}}
	good := recorded(t, "connect v2 get")
	bad := recorded(t, "connect v2 list bad auth")
	i.server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		refuses, gate, first := i.refuses, i.gate, i.first
		i.mu.Unlock()
		if r.URL.Path == tokenPath {
			if gate != nil {
				gate(w, r)
			}
			if refuses != nil {
				refuses(w, r)
				return
			}
			i.mu.Lock()
			defer i.mu.Unlock()
			i.given++
			answered(fmt.Sprintf(`{"access_token":"token-%d","token_type":"Bearer","expires_in":%s,"id_token":"x"}`, i.given, i.lasts))(w, r)
			return
		}
		if first != nil {
			first(w, r)
		}
		i.mu.Lock()
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		ok = ok && (strings.HasPrefix(token, "token-") || token == pat) && !i.ended[token]
		i.mu.Unlock()
		if !ok {
			bad.answer(w)
			return
		}
		good.answer(w)
	})
	return i
}

func (i *instance) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func withKey(t *testing.T) func(*upstream.Config) {
	return func(c *upstream.Config) { c.Credentials = credentials(t, oneAccount().file) }
}

// get asks for a session as ourselves.
func get(t *testing.T, c *watched) error {
	_, err := c.GetSession(t.Context(), "401643068324842534", "", upstream.AsOurs())
	return err
}

// used are the tokens that were used, in order.
func (i *instance) used() (tokens []string) {
	for _, r := range i.requests(getPath) {
		tokens = append(tokens, strings.TrimPrefix(r.header.Get("Authorization"), "Bearer "))
	}
	return tokens
}

func TestServiceAccount_GetsATokenWithItsKey(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "id.example.com"} {
		i := startInstance(t)
		c := ask(t, i.URL, withKey(t), func(c *upstream.Config) { c.Host = host })
		for range 3 {
			if err := get(t, c); err != nil {
				t.Fatal(err)
			}
		}
		asked := i.requests(tokenPath)
		if len(asked) != 1 || !slices.Equal(i.used(), []string{"token-1", "token-1", "token-1"}) {
			t.Fatalf("%d tokens were asked for, %v used", len(asked), i.used())
		}
		r := asked[0]
		form, err := url.ParseQuery(r.body)
		if err != nil {
			t.Fatal(err)
		}
		if r.method != "POST" || r.header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.header.Get("Authorization") != "" ||
			form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || form.Get("scope") != "openid urn:zitadel:iam:org:project:id:zitadel:aud" || len(form) != 3 {
			t.Errorf("%+v", r)
		}
		if host == "" {
			host = strings.TrimPrefix(i.URL, "http://")
		}
		var claims jwt.RegisteredClaims
		token, err := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("user-1"), jwt.WithSubject("user-1"),
			jwt.WithAudience("https://"+host), jwt.WithIssuedAt(), jwt.WithExpirationRequired()).
			ParseWithClaims(form.Get("assertion"), &claims, func(*jwt.Token) (any, error) { return &oneAccount().key.PublicKey, nil })
		if err != nil || token.Header["kid"] != "key-1" || r.host != host {
			t.Errorf("%v, %v", token, err)
		}
		if !slices.Contains(claims.Audience, "http://"+host) { // the instance may know itself by the URL that it is asked by
			t.Errorf("audience %v", claims.Audience)
		}
		if lasts := claims.ExpiresAt.Sub(claims.IssuedAt.Time); lasts <= 0 || lasts > time.Hour {
			t.Errorf("it lasts %v", lasts)
		}
		if c.count(t, "cloakroom_upstream_token_renewals_total ok") != 1 {
			t.Error("it is not counted")
		}
	}
}

func TestServiceAccount_AHerdGetsOneToken(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	handler, let := hold(t, func(http.ResponseWriter, *http.Request) {})
	i.set(func() { i.gate = handler })
	c := ask(t, i.URL, withKey(t))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			q := write()
			q.As = upstream.AsOurs()
			if a, err := c.Call(t.Context(), q); err != nil || a.Status != 200 {
				t.Error(a, err)
			}
		})
	}
	eventually.Holds(t, "all wait", func() bool {
		return c.gauge(t, "cloakroom_upstream_in_flight")+c.gauge(t, "cloakroom_upstream_queued") == 100
	})
	let()
	group.Wait()
	if n := len(i.requests(tokenPath)); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestServiceAccount_RenewsItsTokenBeforeItEnds(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	i.set(func() { i.lasts = "1.5" })
	c := ask(t, i.URL, withKey(t))
	eventually.Holds(t, "the third token", func() bool {
		if err := get(t, c); err != nil {
			t.Error(err)
		}
		return slices.Contains(i.used(), "token-3")
	})
}

// While the renewal takes its time, the old token is used.
func TestServiceAccount_NobodyWaitsForARenewalWhileTheTokenIsGood(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	c := ask(t, i.URL, withKey(t))
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	upstream.RenewNow(c.Client)
	handler, let := hold(t, func(http.ResponseWriter, *http.Request) {})
	i.set(func() { i.gate = handler })
	eventually.Holds(t, "the renewal", func() bool {
		if err := get(t, c); err != nil {
			t.Error(err)
		}
		return len(i.requests(tokenPath)) == 2
	})
	if err := get(t, c); err != nil {
		t.Error(err)
	}
	if slices.Contains(i.used(), "token-2") {
		t.Error("it did not wait")
	}
	let()
	eventually.Holds(t, "the new token", func() bool {
		return get(t, c) == nil && slices.Contains(i.used(), "token-2")
	})
}

// A token may end early. What was answered 401 was not done, and so a write is sent again.
func TestServiceAccount_A401RenewsTheTokenOnce(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	c := ask(t, i.URL, withKey(t))
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.ended["token-1"] = true })
	q := write()
	q.As = upstream.AsOurs()
	eventually.Holds(t, "a token that is old enough for a new one", func() bool {
		a, err := c.Call(t.Context(), q)
		return err == nil && a.Status == 200
	})
	if n := len(i.requests(tokenPath)); n != 2 {
		t.Errorf("%d tokens were asked for", n)
	}
	// If the new one is refused as well, that is the answer.
	i.set(func() { i.ended["token-2"], i.ended["token-3"], i.ended["token-4"] = true, true, true })
	before := len(i.requests("/v2/sessions/1"))
	eventually.Holds(t, "a third token", func() bool {
		before = len(i.requests("/v2/sessions/1"))
		a, err := c.Call(t.Context(), q)
		if err != nil || a.Status != 401 {
			t.Errorf("%+v, %v", a, err)
		}
		return len(i.requests(tokenPath)) > 2
	})
	if n := len(i.requests("/v2/sessions/1")) - before; n != 2 {
		t.Errorf("it was sent %d times", n)
	}
	if c.log.Count("zitadel refuses our access token") != c.log.Count("zitadel accepts our access token again")+1 {
		t.Errorf("the log has\n%s", c.log.String())
	}
}

func TestServiceAccount_AHerdThatIsRefusedRenewsTheTokenOnce(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	c := ask(t, i.URL, withKey(t))
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	upstream.Age(c.Client)
	i.set(func() { i.ended["token-1"] = true })
	handler, let := hold(t, func(http.ResponseWriter, *http.Request) {})
	i.set(func() { i.first = handler })
	const herd = 20
	var group sync.WaitGroup
	for range herd {
		group.Go(func() {
			q := write()
			q.As = upstream.AsOurs()
			if a, err := c.Call(t.Context(), q); err != nil || a.Status != 200 {
				t.Error(a, err)
			}
		})
	}
	eventually.Holds(t, "all have asked with the old token", func() bool { return len(i.requests("/v2/sessions/1")) == herd })
	let()
	group.Wait()
	if n := len(i.requests(tokenPath)); n != 2 {
		t.Errorf("%d tokens were asked for", n)
	}
	if n := len(i.requests("/v2/sessions/1")); n != 2*herd {
		t.Errorf("%d calls were made", n)
	}
}

func TestServiceAccount_WithoutATokenCallsAreUnavailable(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	c := ask(t, i.URL, withKey(t))
	oauth := func(status int, kind, body string) http.HandlerFunc {
		return exchange{Status: status, Headers: [][2]string{{"Content-Type", kind}}, Body: body}.handler
	}
	for reason, h := range map[string]http.HandlerFunc{
		"it answered 400 (invalid_grant)": oauth(400, "application/json", `{"error":"invalid_grant","error_description":"`+sessionToken+`"}`),
		"it answered 401":                 oauth(401, "application/json", `{"error":"`+sessionToken+`"}`),
		"it answered 404":                 status(404),
		"its answer has no token":         oauth(200, "application/json", `{"access_token":"a b","token_type":"Bearer","expires_in":10}`),
	} {
		i.set(func() { i.refuses = h })
		eventually.Holds(t, reason, func() bool { // after its rest
			err := get(t, c)
			if !errors.Is(err, upstream.ErrUnavailable) || upstream.MayHaveHappened(err) || strings.Contains(fmt.Sprint(err), sessionToken) {
				t.Errorf("%s: %v", reason, err)
			}
			return strings.Contains(fmt.Sprint(err), "it gives us no access token: "+reason) && strings.Contains(c.State().Refused, reason)
		})
	}
	for _, body := range []string{`{"token_type":"Bearer","expires_in":10}`, `{"access_token":"a","token_type":"mac","expires_in":10}`, `{"access_token":"a","token_type":"Bearer"}`, `{`, `[]`} {
		fresh := ask(t, i.URL, withKey(t))
		i.set(func() { i.refuses = oauth(200, "application/json", body) })
		if err := get(t, fresh); err == nil || !strings.Contains(err.Error(), "its answer has no token") {
			t.Errorf("%s: %v", body, err)
		}
	}
	// They rest in between.
	before := len(i.requests(tokenPath))
	fresh := ask(t, i.URL, withKey(t))
	began := time.Now()
	for range 50 {
		if err := get(t, fresh); err == nil {
			t.Fatal("no error")
		}
	}
	if n, most := len(i.requests(tokenPath))-before, 1+int(time.Since(began)/time.Second); n < 1 || n > most {
		t.Errorf("%d tokens were asked for, want at most %d", n, most)
	}
	i.set(func() { i.refuses = nil })
	eventually.Holds(t, "recovery", func() bool { return get(t, c) == nil })
	if c.log.Count("zitadel gives us no access token") != 1 || c.log.Count("zitadel gives us access tokens again") != 1 || c.State().Refused != "" {
		t.Errorf("%+v, the log has\n%s", c.State(), c.log.String())
	}
	if n := len(i.requests(getPath)); n == 0 {
		t.Error("nothing was asked with the token")
	}
}

func TestServiceAccount_A429ToTheTokenHoldsBackOurCalls(t *testing.T) {
	t.Parallel()
	i := startInstance(t)
	i.set(func() {
		i.refuses = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(429)
		}
	})
	c := ask(t, i.URL, withKey(t))
	if err := get(t, c); err == nil {
		t.Error("no error")
	}
	if err := get(t, c); !errors.As(err, new(*upstream.RetryLaterError)) {
		t.Error(err)
	}
	if n := len(i.requests("")); n != 1 {
		t.Errorf("%d calls were made", n)
	}
}
