package gateways

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// double is what the doubles of gateways share: an HTTP server that asks verify, and proxies to the application. What a
// double asks and makes of the answer is written from the documentation that its type names, and from our configuration
// for that gateway, which it reads.
type double struct {
	verify, application string
	client              *http.Client // of verify

	// clean removes from a client's request what this gateway, so configured, passes on from nobody. It is called first.
	clean func(http.Header)
	// ask makes the request for verify.
	ask func(r *http.Request) *http.Request
	// decide lets r pass, with its headers changed, and returns 0; or returns the status for the client. err is why there
	// is no answer. header may be changed.
	decide func(r *http.Request, answer *http.Response, body []byte, err error) (status int)
	// copyDenial says that a refusal reaches the client as verify answered it, with its body.
	copyDenial bool
	// login is where 401 sends the client; nowhere if empty.
	login string
	// next is where a request goes that passes. If nil, it goes to the application as it came.
	next http.Handler
}

// start serves d until the end of the test. timeout is for verify, 0 has none.
func (d *double) start(t *testing.T, timeout time.Duration) (addr string) {
	t.Helper()
	d.client = asker(t, timeout, 32)
	return serve(t, d)
}

// asker returns a client that keeps so many connections while nobody needs them. timeout is for a whole answer, 0 has none.
func asker(t *testing.T, timeout time.Duration, idle int) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: idle}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.clean != nil {
		d.clean(r.Header)
	}
	status := http.StatusUnauthorized // if there is nothing to ask about
	var answer *http.Response
	var body []byte
	if question := d.ask(r); question != nil {
		var err error
		answer, err = d.client.Do(question.WithContext(r.Context()))
		if err == nil {
			body, err = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
		status = d.decide(r, answer, body, err)
	}
	switch {
	case status == 0 && d.next != nil:
		d.next.ServeHTTP(w, r)
	case status == 0:
		d.pass(w, r)
	case status == http.StatusUnauthorized && d.login != "":
		http.Redirect(w, r, d.login, http.StatusFound)
	case d.copyDenial && answer != nil && status == answer.StatusCode:
		maps.Copy(w.Header(), answer.Header)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	default:
		w.WriteHeader(status)
	}
}

// pass proxies r to the application, with the client's target byte for byte. Connection is for one hop; what it names stays.
func (d *double) pass(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI, out.URL = "", rawURL(d.application, r.RequestURI)
	out.Header.Del("Connection")
	answer, err := (&http.Client{Transport: d.client.Transport}).Do(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// question returns a request to verify with a method and a target, exactly as given, and no headers.
func (d *double) question(method, target string) *http.Request {
	return &http.Request{Method: method, URL: rawURL(d.verify, target), Header: http.Header{}}
}

// rawURL returns a URL whose target is sent as it is.
func rawURL(addr, target string) *url.URL {
	u := &url.URL{Scheme: "http", Host: addr, Opaque: target}
	if strings.HasPrefix(target, "//") { // net/http would take that for a host
		path, query, _ := strings.Cut(target, "?")
		u.Opaque, u.RawPath, u.RawQuery = "", path, query
		u.Path, _ = url.PathUnescape(path)
	}
	return u
}

// replace gives r the named headers as the answer has them; what it does not have, r has no more.
func replace(r *http.Request, answer *http.Response, names []string) {
	for _, name := range names {
		r.Header.Del(name)
		for _, v := range answer.Header.Values(name) {
			r.Header.Add(name, v)
		}
	}
}

// object is a YAML or JSON object.
type object = map[string]any

// readYAML reads a file of deploy/, changed as with.deployed changes it, into an object or a list.
func readYAML[T any](t *testing.T, with *recipe, name string, oldNew ...string) (v T) {
	t.Helper()
	content, err := os.ReadFile(with.deployed(t, t.TempDir(), name, oldNew...))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &v); err != nil {
		t.Fatalf("deploy/%s: %v", name, err)
	}
	return v
}

// at returns what is in v at a path of names, and indexes of lists, with a slash between. It fails if that is not there.
func at[T any](t *testing.T, v any, path string) T {
	t.Helper()
	for part := range strings.SplitSeq(path, "/") {
		switch in := v.(type) {
		case object:
			v = in[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(in) {
				t.Fatalf("%s: there is no %s", path, part)
			}
			v = in[i]
		default:
			t.Fatalf("%s: there is no %s", path, part)
		}
	}
	found, ok := v.(T)
	if !ok {
		t.Fatalf("%s is %T", path, v)
	}
	return found
}

// texts returns the strings of a list, or the exact ones of a list of Envoy's matchers.
func texts(list []any) []string {
	var all []string
	for _, v := range list {
		switch v := v.(type) {
		case string:
			all = append(all, v)
		case object:
			if s, ok := v["exact"].(string); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// deleteMatching deletes the headers whose name, in lower case, f wants gone.
func deleteMatching(h http.Header, f func(name string) bool) {
	for name := range h {
		if f(strings.ToLower(name)) {
			delete(h, name)
		}
	}
}

// hops deletes what a client's Connection names, as Go's proxies do before anything else; an upgrade stays.
func hops(h http.Header) {
	upgrade := ""
	for name := range strings.SplitSeq(strings.Join(h.Values("Connection"), ","), ",") {
		if name = strings.TrimSpace(name); strings.EqualFold(name, "Upgrade") {
			upgrade = h.Get("Upgrade")
		}
		h.Del(name)
	}
	h.Del("Connection")
	if upgrade != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", upgrade)
	}
}
