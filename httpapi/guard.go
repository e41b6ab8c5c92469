package httpapi

import (
	"bytes"
	"mime"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// guard refuses requests that are not to be understood, before their route is
// looked at.
func guard(http *fasthttp.RequestCtx, loopbackOnly bool) error {
	h := &http.Request.Header
	if loopbackOnly {
		if err := fromHere(h); err != nil {
			return err
		}
	}
	return framing(h.RawHeaders())
}

// media refuses a body of a kind that is not read.
func (c *call) media() error {
	h := &c.http.Request.Header
	switch {
	case c.route.connect && c.route.open: // there is no such procedure
		return nil
	case c.route.connect:
		return c.connectRequest()
	case !hasBody(h):
		return nil
	case compressed(h):
		return errCompressed
	case !utf8Charset(string(h.ContentType())):
		return errCharset
	}
	return nil
}

func compressed(h *fasthttp.RequestHeader) bool {
	e := h.ContentEncoding()
	return len(e) > 0 && !strings.EqualFold(string(e), "identity")
}

// fromHere refuses what a web page may have sent that is open in a browser on
// this machine: a request for another host name than this machine's own, which
// DNS can point here, and one that the browser says another site has made. A
// page needs no leave for a request of type text/plain, whose body we read all
// the same; it does not get to see the answer, but the request is done.
func fromHere(h *fasthttp.RequestHeader) error {
	if !loopbackHost(string(h.Host())) {
		return errHost
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

// hasBody says whether a request announces a body.
func hasBody(h *fasthttp.RequestHeader) bool {
	n := h.ContentLength()
	return n != 0 && n != -2
}

// utf8Charset says whether a content type leaves the charset open or names
// UTF-8. The type itself is not looked at: like ZITADEL's gateway, we read
// every body as JSON.
func utf8Charset(contentType string) bool {
	if !strings.Contains(contentType, ";") {
		return true
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return true
	}
	charset := params["charset"]
	return charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

// loopbackHost says whether the Host of a request, with or without a port,
// names this machine and can not be made to do so by DNS.
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
