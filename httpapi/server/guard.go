package server

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// Guard refuses requests that are not to be understood, before their route is
// looked at. loopbackOnly refuses what FromHere does, too. Its errors are
// *refusal.Error.
func Guard(http *fasthttp.RequestCtx, loopbackOnly bool) error {
	h := &http.Request.Header
	if loopbackOnly {
		if err := FromHere(h); err != nil {
			return err
		}
	}
	return framing(h.RawHeaders())
}

// FromHere refuses what a web page may have sent that is open in a browser on
// this machine: a request for another host name than this machine's own, which
// DNS can point here, and one that the browser says another site has made. A
// page needs no leave for a request of type text/plain, whose body we read all
// the same; it does not get to see the answer, but the request is done. The error is a
// *refusal.Error.
func FromHere(h *fasthttp.RequestHeader) error {
	if err := ForHere(h); err != nil {
		return err
	}
	for _, origin := range h.PeekAll(fasthttp.HeaderOrigin) {
		if !loopbackOrigin(string(origin)) {
			return errOrigin
		}
	}
	for _, site := range h.PeekAll("Sec-Fetch-Site") {
		if s := string(site); s != "same-origin" && s != "none" {
			return errOrigin
		}
	}
	return nil
}

// ForHere refuses a request for another host name than this machine's own, which DNS can point here. The error is a
// *refusal.Error.
func ForHere(h *fasthttp.RequestHeader) error {
	if !loopbackHost(string(h.Host())) {
		return errHost
	}
	return nil
}

// loopbackOrigin says whether an Origin (RFC 6454) is a page of this machine.
// "null" may be anybody's.
func loopbackOrigin(origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")) && loopbackHost(host)
}

// framing refuses a request whose body may end elsewhere for a proxy before us,
// so that the rest would be read as the next request: one that states a length
// and a transfer coding, of which the server keeps only one, one whose coding is
// not chunked, and one with a header that goes on in another line, which proxies
// read in several ways (RFC 9112, 5.2). It also refuses an expectation that is not
// met (RFC 9110, 10.1.1).
func framing(rawHeaders []byte) error {
	length, coding := false, false
	var wrong error
	for line := range bytes.Lines(rawHeaders) {
		if line[0] == ' ' || line[0] == '\t' {
			return errFolded
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch name = bytes.TrimSpace(name); len(name) {
		case len(fasthttp.HeaderExpect):
			if bytes.EqualFold(name, expectName) && !bytes.EqualFold(bytes.TrimSpace(value), continueValue) {
				wrong = errExpectation
			}
		case len(fasthttp.HeaderContentLength):
			length = length || bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength))
		case len(fasthttp.HeaderTransferEncoding):
			if !bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding)) {
				continue
			}
			coding = true
			if !bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked")) {
				wrong = errTransferCoding
			}
		}
	}
	if length && coding {
		return errTwoLengths
	}
	return wrong
}

// loopbackHost says whether the Host of a request, with or without a port,
// names this machine, and DNS cannot make it do so.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.IsLoopback()
}

// What guard and FromHere refuse.
var (
	errTwoLengths     = &refusal.Error{Code: refusal.Invalid, Text: "a request must not have both Content-Length and Transfer-Encoding", Close: true}
	errFolded         = &refusal.Error{Code: refusal.Invalid, Text: "a header must not go on in another line", Close: true}
	errExpectation    = &refusal.Error{Code: refusal.Invalid, HTTP: http.StatusExpectationFailed, Text: "the only expectation that is met is 100-continue", Close: true}
	errTransferCoding = &refusal.Error{Code: refusal.Invalid, Text: "the Transfer-Encoding must be chunked", Close: true}
	errHost           = &refusal.Error{Code: refusal.Denied, Text: "without authentication only loopback names are served: the Host must be localhost, 127.0.0.0/8 or [::1]"}
	errOrigin         = &refusal.Error{Code: refusal.Denied, Text: "without authentication web pages of other sites are not served: the Origin must be one of localhost, 127.0.0.0/8 or [::1], and Sec-Fetch-Site same-origin or none"}
)
