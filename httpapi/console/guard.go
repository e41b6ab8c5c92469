package console

import (
	"bytes"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// headerConsole is on every request of the page: its value is the proof that the sign-in gave to it, or 1 where nobody has signed
// in. A page of another site can send it only after a preflight, which nobody answers.
const headerConsole = "X-Console"

// ownPage refuses a request that another page may have sent. Each check alone keeps other sites out of a browser that knows
// it. A server on another port of the same host can have been sent the cookie, but not the proof.
func ownPage(h *fasthttp.RequestHeader) error {
	if len(h.Peek(headerConsole)) == 0 {
		return errNoConsoleHeader
	}
	for _, site := range h.PeekAll("Sec-Fetch-Site") {
		if string(site) != "same-origin" {
			return errOtherSite
		}
	}
	for _, origin := range h.PeekAll(fasthttp.HeaderOrigin) {
		scheme, host, found := strings.Cut(string(origin), "://")
		if !found || scheme != "http" && scheme != "https" || !strings.EqualFold(host, string(h.Host())) {
			return errOtherSite
		}
	}
	return nil
}

// opensPage says whether a browser opens the page in a tab of its own. A link anywhere may lead there, such as one that a
// colleague has sent: the page is the same for everybody, and asks as itself.
func opensPage(h *fasthttp.RequestHeader) bool {
	return h.IsGet() && string(h.Peek("Sec-Fetch-Mode")) == "navigate" && string(h.Peek("Sec-Fetch-Dest")) == "document"
}

// asJSON refuses a body that says it is something else: what a form can send is of other types.
func asJSON(h *fasthttp.RequestHeader) error {
	kind, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	if !bytes.EqualFold(bytes.TrimSpace(kind), []byte("application/json")) {
		return errContentType
	}
	return nil
}

// body reads the body, or returns server.ErrContinue for a client that waits for leave to send it.
func (r *request) body() ([]byte, error) {
	if r.http.Request.Header.ContentLength() > maxBody {
		return nil, server.TooLarge(maxBody)
	}
	if server.Expected(r.http) {
		return nil, server.ErrContinue
	}
	body, err := server.ReadBody(r.http, nil, maxBody)
	r.bodyRead = err == nil
	return body, err
}

// These refuse a request before its route is looked at.
var (
	errNoConsoleHeader = &refusal.Error{Code: refusal.Denied, Text: "a request to the console must have the header X-Console: the proof that the sign-in answered, or 1 where nobody has signed in"}
	errNotHere         = &refusal.Error{Code: refusal.Denied, Text: "on loopback the console is served by loopback names only: the Host must be localhost, 127.0.0.0/8 or [::1]; for a proxy on this machine set --admin-addr=unix:PATH"}
	errOtherSite       = &refusal.Error{Code: refusal.Denied, Text: "only the console's own page may send this: Sec-Fetch-Site must be same-origin, and the Origin that of the Host"}
	errContentType     = &refusal.Error{Code: refusal.Invalid, HTTP: fasthttp.StatusUnsupportedMediaType, Text: "the Content-Type must be application/json"}
)
