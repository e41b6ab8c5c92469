package gateways

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
)

// zitadelHost is the name of the base URL that ZITADEL and Cloakroom share, and of ZITADEL's instance.
const zitadelHost = "zitadel.example"

// backends are where a gateway before ZITADEL sends requests to.
type backends struct{ api, grpc, zitadel string }

// splits are the gateways that run for real with a file for that. Each returns where it listens, for HTTP/1.1 and for HTTP/2 without TLS.
var splits = map[string]func(*testing.T, backends) (http1, http2 string){
	"nginx": func(t *testing.T, b backends) (string, string) {
		bin, addr, addr2, dir := program(t, "nginx"), redistest.FreeAddr(t), redistest.FreeAddr(t), t.TempDir()
		included := deployed(t, dir, "nginx/zitadel.conf", "listen 8000;", "listen "+addr+"; listen "+addr2+" http2;",
			"127.0.0.1:8080", b.api, "127.0.0.1:8082", b.grpc, "127.0.0.1:9080", b.zitadel)
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, []byte("daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {}\nhttp { access_log off;\n"+
			"client_body_temp_path body 1; proxy_temp_path proxy 1; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\ninclude "+included+";\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, bin, "-t", "-p", dir, "-c", conf, "-e", "stderr")
		programtest.Start(t, "nginx", "http://"+addr+"/", bin, "-p", dir, "-c", conf, "-e", "stderr")
		return addr, addr2
	},
	"Caddy": func(t *testing.T, b backends) (string, string) {
		bin, addr, dir := program(t, "caddy"), redistest.FreeAddr(t), t.TempDir()
		conf := deployed(t, dir, "caddy/zitadel.Caddyfile", "\n{\n", "\n{\n\tadmin off\n", "\n:8000 {", "\n:"+portOf(t, addr)+" {\n\tbind 127.0.0.1",
			"127.0.0.1:8080", b.api, "127.0.0.1:8082", b.grpc, "127.0.0.1:9080", b.zitadel)
		check(t, bin, "validate", "--adapter", "caddyfile", "--config", conf)
		programtest.Start(t, "caddy", "http://"+addr+"/", program(t, "env"), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir, bin, "run", "--adapter", "caddyfile", "--config", conf)
		return addr, addr
	},
}

// split is a request, and where it has to go: api, grpc or zitadel, or the status that the gateway answers.
type split struct{ method, path, content, to string }

var wantSplits = []split{
	{"POST", "/v2/sessions", "application/json", "api"},
	{"POST", "/v2/sessions/search", "application/json", "api"},
	{"GET", "/v2/sessions/1?sessionToken=x", "", "api"},
	{"PATCH", "/v2/sessions/1", "application/json", "api"},
	{"DELETE", "/v2beta/sessions/1", "", "api"},
	{"POST", "/v2beta/sessions", "application/json", "api"},
	{"POST", "/zitadel.session.v2.SessionService/ListSessions", "application/json", "api"},
	{"POST", "/zitadel.session.v2beta.SessionService/GetSession", "application/json; charset=utf-8", "api"},
	{"POST", "/zitadel.session.v2.SessionService/GetSession", "application/proto", "grpc"},
	{"POST", "/zitadel.session.v2.SessionService/GetSession", "application/grpc-web+proto", "grpc"},
	{"POST", "/zitadel.session.v2beta.SessionService/GetSession", "application/grpc", "grpc"},
	{"POST", "/zitadel.session.v2.SessionService/GetSession", "application/grpc+proto", "grpc"},
	{"POST", "/events/zitadel", "application/json", "api"},
	{"POST", "/v2/sessions/import", "application/x-ndjson", "404"},
	{"POST", "/v2/sessions/revoke", "application/json", "404"},
	{"PUT", "/v2/sessions/1", "application/json", "405"},
	{"GET", "/", "", "zitadel"},
	{"GET", "/debug/healthz", "", "zitadel"},
	{"GET", "/v2/sessionsettings", "", "zitadel"},
	{"POST", "/v2/users/human", "application/json", "zitadel"},
	{"PUT", "/v2/actions/executions", "application/json", "zitadel"},
	{"POST", "/oauth/v2/token", "application/x-www-form-urlencoded", "zitadel"},
	{"POST", "/backchannel-logout", "application/x-www-form-urlencoded", "zitadel"},
	{"GET", "/verify", "", "zitadel"},
	{"GET", "/readyz", "", "zitadel"},
	{"POST", "/zitadel.user.v2.UserService/GetUserByID", "application/json", "zitadel"},
	{"POST", "/zitadel.user.v2.UserService/GetUserByID", "application/grpc", "zitadel"},
	{"POST", "/zitadel.session.v3alpha.SessionService/GetSession", "application/grpc", "zitadel"},
}

// startBackend starts a server that says its name, the host that it was asked for, and what a client must not choose.
func startBackend(t *testing.T, name string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, ReadHeaderTimeout: programtest.StartTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Backend", name+" for "+r.Host+r.Header.Get("X-Zitadel-Instance-Host")+r.Header.Get("X-Zitadel-Forward-Host")+r.Header.Get("X-Envoy-Expected-Rq-Timeout-Ms"))
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return ln.Addr().String()
}

// Each gateway sends what is about sessions to Cloakroom, and all else to ZITADEL, for the host that the client has asked for.
func TestZITADEL_SplitByPath(t *testing.T) {
	b := backends{startBackend(t, "api"), startBackend(t, "grpc"), startBackend(t, "zitadel")}
	for name, begin := range splits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, addr2 := begin(t, b)
			one, two := client(false), client(true)
			defer one.CloseIdleConnections()
			defer two.CloseIdleConnections()
			for _, s := range wantSplits {
				c, at := one, addr
				if strings.HasPrefix(s.content, "application/grpc") && !strings.Contains(s.content, "web") {
					c, at = two, addr2
				}
				r, err := http.NewRequestWithContext(t.Context(), s.method, "http://"+at+s.path, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				r.Host = zitadelHost
				r.Header.Set("Content-Type", s.content)
				for _, forged := range []string{"X-Zitadel-Instance-Host", "X-Zitadel-Forward-Host", "X-Envoy-Expected-Rq-Timeout-Ms"} {
					r.Header.Set(forged, "1")
				}
				response, err := c.Do(r)
				if err != nil {
					t.Errorf("%v: %v", s, err)
					continue
				}
				response.Body.Close()
				got := response.Header.Get("X-Backend")
				if want := s.to + " for " + zitadelHost; got != want && (got != "" || response.Status[:3] != s.to) {
					t.Errorf("%v: got %s from %q", s, response.Status, got)
				}
			}
		})
	}
}

// client returns one that speaks HTTP/2 without TLS, or HTTP/1.1.
func client(http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: programtest.StartTimeout}
}

// The routes of the files for Envoy and Kubernetes, read as their documents say, lead to the same places.
func TestZITADEL_SplitByPathInFiles(t *testing.T) {
	t.Parallel()
	manager := at[object](t, readYAML[object](t, nil, "envoy/zitadel.yaml"), "static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
	routes := at[[]any](t, manager, "route_config/virtual_hosts/0/routes")
	envoyTo := map[string]string{"cloakroom": "api", "cloakroom_grpc": "grpc", "zitadel": "zitadel"}
	for _, s := range wantSplits {
		path, _, _ := strings.Cut(s.path, "?")
		got := "none"
		for _, route := range routes {
			match := at[object](t, route, "match")
			if !envoyMatches(t, match, s, path) {
				continue
			}
			if direct, ok := route.(object)["direct_response"].(object); ok {
				text, err := json.Marshal(direct["status"])
				if err != nil {
					t.Fatal(err)
				}
				got = string(text)
			} else {
				got = envoyTo[at[string](t, route, "route/cluster")]
				if d, err := time.ParseDuration(at[string](t, route, "route/timeout")); err != nil || d <= 5*time.Second {
					t.Errorf("%v: a time-out of %v", s, d)
				}
			}
			break
		}
		if got != s.to {
			t.Errorf("Envoy: %v: got %s", s, got)
		}
	}

	rules := at[[]any](t, readYAML[object](t, nil, "kubernetes/zitadel-httproute.yaml"), "spec/rules")
	for _, s := range wantSplits {
		path, _, _ := strings.Cut(s.path, "?")
		best, got := -1, "none"
		for _, rule := range rules { // the longest match wins
			for _, match := range at[[]any](t, rule, "matches") {
				value, kind := at[string](t, match, "path/value"), at[string](t, match, "path/type")
				prefix := strings.TrimSuffix(value, "/")
				if (path == value || kind == "PathPrefix" && strings.HasPrefix(path, prefix+"/")) && len(value) > best {
					best, got = len(value), at[string](t, rule, "backendRefs/0/name")
				}
			}
		}
		want := "cloakroom" // it cannot refuse, nor is its rule for gRPC in force
		if s.to == "zitadel" {
			want = s.to
		}
		if got != want {
			t.Errorf("Kubernetes: %v: got %s", s, got)
		}
	}
}

// envoyMatches says whether a match of a route takes a request.
func envoyMatches(t *testing.T, match object, s split, path string) bool {
	t.Helper()
	whole := func(pattern, text string) bool { return regexp.MustCompile("^(?:" + pattern + ")$").MatchString(text) }
	takes := false
	switch {
	case match["prefix"] != nil:
		takes = strings.HasPrefix(path, at[string](t, match, "prefix"))
	case match["path"] != nil:
		takes = path == at[string](t, match, "path")
	default:
		takes = whole(at[string](t, match, "safe_regex/regex"), path)
	}
	headers, _ := match["headers"].([]any)
	for _, h := range headers {
		switch at[string](t, h, "name") {
		case ":method":
			takes = takes && s.method == at[string](t, h, "string_match/exact")
		case "content-type":
			takes = takes && whole(at[string](t, h, "string_match/safe_regex/regex"), s.content)
		default:
			t.Fatalf("a header that is not known: %v", h)
		}
	}
	return takes
}

// A login application with one base URL: its sessions go through Cloakroom, and are verified without ZITADEL being asked; the rest
// reaches ZITADEL.
func TestZITADEL_OneBaseURL(t *testing.T) {
	for name, begin := range splits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := zitadeltest.Start(t)
			z.Change(func(s *zitadeltest.Settings) { s.Host = zitadelHost })
			user := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
			z.AddUser(user)
			ours := startZITADELCloakroom(t, z)
			addr, addr2 := begin(t, backends{ours.api, ours.check, strings.TrimPrefix(z.URL, "http://")})
			c := client(false)
			defer c.CloseIdleConnections()
			call := func(method, url, bearer, body string) (int, string) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Host = zitadelHost
				r.Header.Set("Authorization", "Bearer "+bearer)
				r.Header.Set("Content-Type", "application/json")
				response, err := c.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				text, err := io.ReadAll(response.Body)
				if err != nil {
					t.Fatal(err)
				}
				return response.StatusCode, string(text)
			}
			base := "http://" + addr
			status, text := call("POST", base+"/v2/sessions", z.Login.Token, `{"checks":{"user":{"userId":"`+user.ID+`"},"password":{"password":"Password1!"}}}`)
			var made struct{ SessionID, SessionToken string }
			if err := json.Unmarshal([]byte(text), &made); err != nil || status/100 != 2 {
				t.Fatalf("%d %s: %v", status, text, err)
			}
			asked := z.Count(zitadeltest.GetSession)
			pair := made.SessionID + ":" + made.SessionToken
			if status, text := call("GET", "http://"+ours.verify, pair, ""); status != http.StatusOK || z.Count(zitadeltest.GetSession) != asked {
				t.Errorf("verify: %d %s, and ZITADEL was asked %d times", status, text, z.Count(zitadeltest.GetSession)-asked)
			}
			if status, text := call("POST", base+"/zitadel.session.v2.SessionService/ListSessions", z.Login.Token, "{}"); status != http.StatusOK || !strings.Contains(text, made.SessionID) {
				t.Errorf("ListSessions by Connect: %d %s", status, text)
			}
			if got := grpcGet(t, addr2, z.Login.Token, made.SessionID); got != made.SessionID {
				t.Errorf("GetSession by gRPC: %q", got)
			}
			if status, text := call("GET", base+"/debug/healthz", "", ""); status != http.StatusOK || text != "ok" {
				t.Errorf("healthz: %d %s", status, text)
			}
			users := z.Count(zitadeltest.Users)
			if status, text := call("POST", base+"/v2/users/human", z.Admin.Token, `{"username":"mia","profile":{"givenName":"Mia","familyName":"B"}}`); status != http.StatusOK || z.Count(zitadeltest.Users) != users+1 {
				t.Errorf("a user: %d %s", status, text)
			}
			if status, text := call("DELETE", base+"/v2/sessions/"+made.SessionID, z.Login.Token, ""); status != http.StatusOK {
				t.Errorf("DELETE: %d %s", status, text)
			}
			if status, _ := call("GET", "http://"+ours.verify, pair, ""); status != http.StatusUnauthorized {
				t.Errorf("verify after the deletion: %d", status)
			}
		})
	}
}

// startZITADELCloakroom starts a Cloakroom in front of z.
func startZITADELCloakroom(t *testing.T, z *zitadeltest.Server, flags ...string) *cloakroom {
	t.Helper()
	return startCloakroom(t, redistest.Start(t).Addr, append([]string{
		"--grpc-services", "api,check", "--upstream-url", z.URL, "--upstream-host", zitadelHost,
		"--upstream-token-file", testfile.Write(t, z.Admin.Token), "--verify-accept", "id-token-pair", "--verify-credentials", credentials,
	}, flags...)...)
}

// grpcGet gets a session by gRPC, and returns its ID.
func grpcGet(t *testing.T, addr, token, id string) string {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(zitadelHost))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token), programtest.StartTimeout)
	defer cancel()
	answer := &sessionv2.GetSessionResponse{}
	if err := conn.Invoke(ctx, "/zitadel.session.v2.SessionService/GetSession", &sessionv2.GetSessionRequest{SessionId: id}, answer); err != nil {
		t.Error(err)
	}
	return answer.GetSession().GetId()
}

// zitadelPatience are the changes that the files propose for a verify that may have to ask ZITADEL.
var zitadelPatience = map[string]*recipe{
	"nginx": change("nginx/cloakroom.conf", []string{"proxy_read_timeout 200ms", "proxy_read_timeout 1500ms"}),
	"HAProxy": {
		file: "haproxy/haproxy.cfg", oldNew: []string{"timeout server 200ms", "timeout server 1500ms", "timeout client 1s", "timeout client 2s"},
		also: change("haproxy/cloakroom.lua", []string{"timeout = 300", "timeout = 1600"}),
	},
	"Caddy": change("caddy/Caddyfile", []string{"response_header_timeout 200ms", "response_header_timeout 1500ms"}),
}

// A session that is not known here, and a ZITADEL that takes longer than the files' time-outs: with what they propose the request passes.
func TestZITADEL_GatewaysWaitForIt(t *testing.T) {
	z := zitadeltest.Start(t)
	z.Change(func(s *zitadeltest.Settings) {
		s.Host = zitadelHost
		s.Latency = map[string]func() time.Duration{zitadeltest.GetSession: func() time.Duration { return 400 * time.Millisecond }}
	})
	user := zitadeltest.User{ID: z.NewID(), Password: "Password1!"}
	z.AddUser(user)
	// News of the session that was just made would have it asked for twice.
	ours, app := startZITADELCloakroom(t, z, "--upstream-poll", "0"), startApplication(t)
	documented, err := os.ReadFile("../../docs/zitadel.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range zitadelPatience {
		t.Run(name, func(t *testing.T) { // one after the other: their time counts
			for r := with; r != nil; r = r.also {
				for _, text := range r.oldNew {
					if _, value, _ := strings.Cut(text, "response_header_timeout "); value != "1500ms" && !strings.Contains(string(documented), "`"+text+"`") {
						t.Errorf("docs/zitadel.md does not have %s", text)
					}
				}
			}
			g := map[string]gateway{"nginx": nginx{with}, "HAProxy": haproxy{with}, "Caddy": caddy{with}}[name]
			addr := g.Start(t, ours.verify, app.addr)
			app.take()
			for try := 1; ; try++ { // on a machine with other work to do even that may be too short; each time it is another session
				id, token := z.CreateSession(zitadeltest.Session{UserID: user.ID, Password: true})
				response, _ := send(t, addr, request{}.with("Authorization: Bearer "+id+":"+token))
				reached := len(app.take())
				if response.StatusCode == http.StatusOK && reached == 1 {
					return
				}
				if reached != 0 || try == 5 {
					t.Fatalf("status %d, it reached the application %d times", response.StatusCode, reached)
				}
			}
		})
	}
}
