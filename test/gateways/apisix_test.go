package gateways

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// apisix is a double of Apache APISIX's forward-auth plugin with deploy/apisix. Written from
// https://apisix.apache.org/docs/apisix/plugins/forward-auth/ and …/proxy-rewrite/: GET to a fixed address with the first value
// of each of request_headers, and X-Forwarded-Method, -Proto, -Host, -Uri, -For of its own. 2xx passes, with upstream_headers
// in the place of the client's (older versions: those that the answer has); another answer goes to the client with
// client_headers and its body; without an answer, or if it is late, the status is status_on_error. proxy-rewrite without
// use_real_request_uri_unsafe sends the path on as nginx has it: decoded, cleaned, and encoded again. serverless-pre-function
// runs first: a function in Lua, with OpenResty's ngx.
type apisix struct{ with *recipe }

func (apisix) Name() string { return "APISIX" }

func (g apisix) Start(t *testing.T, verify, application string) string {
	t.Helper()
	route := at[object](t, readYAML[object](t, g.with, "apisix/apisix.yaml"), "routes/0")
	if !at[bool](t, route, "enable_websocket") {
		t.Fatal("websockets become plain GETs")
	}
	plugins := at[object](t, route, "plugins")
	if at[string](t, plugins, "serverless-pre-function/phase") != "rewrite" {
		t.Fatal("the function may run after forward-auth")
	}
	first := at[string](t, plugins, "serverless-pre-function/functions/0")
	auth := at[object](t, plugins, "forward-auth")
	asks := texts(at[[]any](t, auth, "request_headers"))
	gives := texts(at[[]any](t, auth, "upstream_headers"))
	removes := texts(at[[]any](t, plugins, "proxy-rewrite/headers/remove"))
	onError := at[int](t, auth, "status_on_error")
	timeout := time.Duration(at[int](t, auth, "timeout")) * time.Millisecond
	target, ok := strings.CutPrefix(at[string](t, auth, "uri"), "http://127.0.0.1:8081")
	if !ok || at[bool](t, auth, "allow_degradation") {
		t.Fatal("the address is not that of the example, or errors would pass")
	}
	if v := at[string](t, readYAML[object](t, nil, "apisix/config.yaml"), "nginx_config/http/underscores_in_headers"); v != "off" {
		t.Fatalf("underscores_in_headers is %s", v)
	}
	d := &double{verify: verify, application: application, copyDenial: true}
	d.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, query, asked := strings.Cut(r.RequestURI, "?")
		if decoded, err := url.PathUnescape(path); err == nil {
			u := (&url.URL{Path: decoded}).JoinPath() // cleans
			u.RawQuery, u.ForceQuery = query, asked
			r.RequestURI = u.RequestURI()
		}
		d.pass(w, r)
	})
	d.clean = func(h http.Header) {
		deleteMatching(h, func(name string) bool { return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" })
		serverless(t, first, h)
		for _, name := range removes {
			h.Del(name)
		}
		h.Del("X-Forwarded-Proto") // these two APISIX sets itself
		h.Del("X-Forwarded-Host")
	}
	d.ask = func(r *http.Request) *http.Request {
		q := d.question(http.MethodGet, target)
		for _, name := range asks {
			if v := r.Header.Get(name); v != "" {
				q.Header.Set(name, v)
			}
		}
		forwarded(q.Header, r)
		return q
	}
	d.decide = func(r *http.Request, answer *http.Response, _ []byte, err error) int {
		switch {
		case err != nil:
			return onError
		case answer.StatusCode >= 300:
			return answer.StatusCode
		}
		for _, name := range gives {
			if answer.Header.Values(name) != nil {
				replace(r, answer, []string{name})
			}
		}
		return 0
	}
	return d.start(t, timeout)
}

// serverless runs a function of the plugin on a request's headers. Of ngx it has what gets their names, in lower case, and what clears one.
func serverless(t *testing.T, function string, h http.Header) {
	t.Helper()
	state := lua.NewState()
	defer state.Close()
	headers := state.NewTable()
	for name, values := range h {
		headers.RawSetString(strings.ToLower(name), lua.LString(values[0]))
	}
	request, ngx := state.NewTable(), state.NewTable()
	request.RawSetString("get_headers", state.NewFunction(func(l *lua.LState) int {
		if l.CheckInt(1) != 0 {
			t.Error("it reads only some of the headers")
		}
		l.Push(headers)
		return 1
	}))
	request.RawSetString("clear_header", state.NewFunction(func(l *lua.LState) int {
		h.Del(l.CheckString(1))
		return 0
	}))
	ngx.RawSetString("req", request)
	state.SetGlobal("ngx", ngx)
	err := state.DoString(function)
	if err == nil {
		err = state.CallByParam(lua.P{Fn: state.Get(-1), Protect: true})
	}
	if err != nil {
		t.Error(err)
	}
}

func (apisix) Status(o outcome) int { return nginx{}.Status(o) }
