package httpapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/openapi"
)

// outsideRoutes are the paths that are answered and are no routes: verify stands before them, and the admin listener is another.
var outsideRoutes = []string{"GET /verify", "GET /verify/p/{policy}", "GET /livez", "GET /readyz", "GET /metrics"}

// Every route is documented, and nothing else is.
func TestOpenAPI_HasEveryRoute(t *testing.T) {
	want := slices.Clone(outsideRoutes)
	for _, r := range routes {
		want = append(want, r.method+" "+r.path)
	}
	var got []string
	ids := map[string]bool{}
	for _, op := range theContract().operations {
		got = append(got, op.method+" "+op.path)
		if ids[op.id] {
			t.Errorf("there are two operations %s", op.id)
		}
		ids[op.id] = true
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("documented:\n%s\nthere are:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, r := range routes {
		id := map[bool]string{true: "Connect"}[r.connect()] + map[bool]string{true: "Beta"}[r.beta] + r.call
		if op := theContract().find(r.method, r.path); op == nil || op.id != id {
			t.Errorf("%s %s is not %s", r.method, r.path, id)
		}
	}
}

// The headers that web pages may send and read are those that the document has, and some that say nothing here.
func TestOpenAPI_HasTheHeadersOfWebPages(t *testing.T) {
	unread := []string{"Accept-Language", "Authorization", "Content-Type", "X-Requested-With", "X-User-Agent", "X-Zitadel-Orgid"}
	sent, read := map[string]bool{}, map[string]bool{"Allow": true} // by answers to other methods than are documented
	for _, op := range theContract().operations {
		for _, p := range op.parameters {
			if p["in"] == "header" {
				sent[p["name"].(string)] = true
			}
		}
		for _, a := range op.answers {
			for name := range a.headers {
				read[name] = true
			}
		}
	}
	for name := range strings.SplitSeq(CORSHeaders, ", ") {
		if !sent[name] && !slices.Contains(unread, name) {
			t.Errorf("the header %s of requests is not documented", name)
		}
	}
	for name := range strings.SplitSeq(CORSExposed, ", ") {
		if !read[name] {
			t.Errorf("the header %s of answers is not documented", name)
		}
	}
}

// What the document says once for all answers names every header of CORS.
func TestOpenAPI_NamesTheHeadersOfCORS(t *testing.T) {
	text := theContract().document["info"].(map[string]any)["description"].(string)
	for _, name := range corsHeaders {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("the description does not name %s", name)
		}
	}
}

// The document is served to everybody, as what it is, and not again to those who have it.
func TestOpenAPI_IsServed(t *testing.T) {
	f := newFixture(t)
	want, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	r := f.want(http.StatusOK, "", "GET", "/openapi.json", "")
	if r.body != string(want) || r.header.Get("Content-Type") != contentTypeJSON || r.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("got %d bytes, %v", len(r.body), r.header)
	}
	page := f.want(http.StatusOK, "", "GET", "/docs", "")
	style := f.want(http.StatusOK, "", "GET", "/docs/style.css", "")
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "no-referrer",
	} {
		if page.header.Get(name) != want || style.header.Get(name) != want {
			t.Errorf("%s: %q and %q, want %q", name, page.header.Get(name), style.header.Get(name), want)
		}
	}
	for path, r := range map[string]reply{"/openapi.json": r, "/docs": page, "/docs/style.css": style} {
		etag := r.header.Get("Etag")
		if head := f.want(http.StatusOK, "", "HEAD", path, ""); head.header.Get("Etag") != etag || head.body != "" {
			t.Errorf("HEAD %s: %v", path, head.header)
		}
		for _, list := range []string{etag, `"x", W/` + etag, "*"} {
			if again := f.want(http.StatusNotModified, "", "GET", path, "", "If-None-Match", list); again.body != "" || again.header.Get("Etag") != etag {
				t.Errorf("%s with %s: %v", path, list, again.header)
			}
		}
		f.want(http.StatusOK, "", "GET", path, "", "If-None-Match", `"another"`)
		f.want(http.StatusMethodNotAllowed, "", "POST", path, "")
	}
}
