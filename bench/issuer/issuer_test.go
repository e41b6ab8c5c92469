package issuer

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"
)

// start starts bench issuer with a few tokens, and returns its directory and where it listens.
func start(t *testing.T) (dir, url string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "issuer")
	ctx, stop := context.WithCancel(t.Context())
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Command(ctx, []string{"--dir", dir, "--rs256", "3", "--rs256-cold", "2", "--es256", "5", "--es256-cold", "4"}, w, io.Discard)
		w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, _, _ := strings.Cut(strings.TrimPrefix(line, "listening on "), ",")
	return dir, "http://" + addr
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	status, body, err := new(fasthttp.Client).Get(nil, url)
	if err != nil || status != fasthttp.StatusOK {
		t.Fatalf("%s: status %d, %v", url, status, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

func TestIssuer_SaysWhereItsKeysAre(t *testing.T) {
	dir, url := start(t)
	var discovery struct {
		Issuer string
		Keys   string `json:"jwks_uri"`
	}
	get(t, url+discoveryPath, &discovery)
	if discovery.Issuer != url || discovery.Keys != url+keysPath {
		t.Errorf("%+v", discovery)
	}
	var set struct {
		Keys []struct{ Kid, Alg, Kty, N, E, Crv, X, Y string }
	}
	get(t, discovery.Keys, &set)
	if len(set.Keys) != 2 || len(set.Keys[0].N) != 342 || set.Keys[0].E != "AQAB" || len(set.Keys[1].X) != 43 || len(set.Keys[1].Y) != 43 {
		t.Errorf("%+v", set)
	}
	text, err := os.ReadFile(filepath.Join(dir, cloakroomFile))
	if err != nil || !strings.Contains(string(text), "issuer: "+url+"\n") {
		t.Errorf("%s, %v", text, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 8 {
		t.Errorf("%v, %v", files, err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestTokens_AreWhatTheyShouldBe(t *testing.T) {
	dir, url := start(t)
	i, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range []struct {
		algorithm, kind string
		count, first    int
	}{{"RS256", Live, 3, 0}, {"RS256", Cold, 2, coldFrom}, {"ES256", Live, 5, 0}, {"ES256", Cold, 4, coldFrom}} {
		tokens, err := ReadTokens(dir, c.algorithm, c.kind, 0)
		if err != nil || tokens.Len() != c.count {
			t.Fatal(err)
		}
		for k := range c.count {
			token, n := tokens.At(k)
			if taken, _ := tokens.Take(); string(taken) != string(token) || tokens.Taken() != k+1 {
				t.Error("Take returns another token")
			}
			claims := new(Claims)
			parsed, err := i.Parser().ParseWithClaims(string(token), claims, i.Key)
			if err != nil || parsed.Method.Alg() != c.algorithm || n != c.first+k {
				t.Fatalf("token %d: %v", n, err)
			}
			if seen[string(token)] || len(token) < 1200 || len(token) > 1600 {
				t.Errorf("token %d has %d bytes, or was there before", n, len(token))
			}
			seen[string(token)] = true
			if claims.Issuer != url || claims.Subject != User(n) || claims.SessionID != Session(n) || len(claims.Audience) != 5 ||
				!strings.Contains(claims.Username, "visitor") || claims.AuthTime >= claims.IssuedAt.Unix() || len(User(n)) != len(UserPrefix)+Digits {
				t.Errorf("token %d: %+v", n, claims)
			}
			if again, err := ClaimsOf(string(token)); err != nil || again.Subject != claims.Subject {
				t.Errorf("%+v, %v", again, err)
			}
		}
		if again, _ := tokens.Take(); string(again) == "" || tokens.Taken() != c.count+1 {
			t.Error("no token is left, and that is not counted")
		}
	}
	for _, c := range []struct {
		algorithm, kind string
		count           int
	}{{"RS256", Live, 4}, {"HS256", Live, 1}, {"RS256", "other", 1}} {
		if _, err := ReadTokens(dir, c.algorithm, c.kind, c.count); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
	if _, err := ClaimsOf("a.b"); err == nil {
		t.Error("a.b is a JWT")
	}
	token, err := i.AccessToken("ES256", 7, time.Now().Add(-2*time.Hour), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Parser().ParseWithClaims(token, new(Claims), i.Key); err == nil {
		t.Error("a token that has expired is good")
	}
}

func TestLogoutTokens_NameTheSession(t *testing.T) {
	dir, url := start(t)
	i, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range Algorithms {
		token, err := i.LogoutToken(algorithm, 7, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		claims := jwt.MapClaims{}
		if _, err := jwt.NewParser(jwt.WithAudience(gateway), jwt.WithIssuer(url)).ParseWithClaims(token, claims, i.Key); err != nil || claims["sid"] != Session(7) || claims["jti"] == "" || claims["events"] == nil {
			t.Errorf("%v, %v", claims, err)
		}
	}
}

func TestIntrospection_KnowsLiveTokens(t *testing.T) {
	dir, _ := start(t)
	i, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token []byte, change func(*fasthttp.Request)) (int, Introspection) {
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		i.IntrospectionRequest(request, token)
		change(request)
		if err := new(fasthttp.Client).Do(request, response); err != nil {
			t.Fatal(err)
		}
		var answer Introspection
		if err := json.Unmarshal(response.Body(), &answer); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode(), answer
	}
	asIs := func(*fasthttp.Request) {}
	tokens, err := ReadTokens(dir, "ES256", Live, 2)
	if err != nil {
		t.Fatal(err)
	}
	token, _ := tokens.At(1)
	if status, answer := ask(token, asIs); status != 200 || !answer.Active || answer.Subject != User(1) || answer.SessionID != Session(1) || answer.ExpiresAt == nil {
		t.Errorf("status %d, %+v", status, answer)
	}
	if status, answer := ask([]byte("other"), asIs); status != 200 || answer.Active {
		t.Errorf("another token: status %d, %+v", status, answer)
	}
	if status, answer := ask(token, func(r *fasthttp.Request) { r.Header.Set("Authorization", "Basic eDp5") }); status != 401 || answer.Active {
		t.Errorf("another client: status %d, %+v", status, answer)
	}
	if status, answer := ask(token, func(r *fasthttp.Request) { r.SetRequestURI(i.URL + "/other") }); status != 404 || answer.Active {
		t.Errorf("another path: status %d, %+v", status, answer)
	}
}

func TestIssuer_RefusesBadArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"--dir", t.TempDir(), "--lifetime", "0s"}, {"--dir", t.TempDir(), "--addr", "127.0.0.1:99999"}, {"x"}} {
		if err := Command(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("an empty directory has an issuer")
	}
}
