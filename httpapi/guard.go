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
	if loopbackOnly && !loopbackHost(string(h.Host())) {
		return errHost
	}
	length := h.ContentLength()
	if length == 0 || length == -2 {
		return nil // no body
	}
	if twoLengths(h.RawHeaders()) {
		return errTwoLengths
	}
	if e := h.ContentEncoding(); len(e) > 0 && !strings.EqualFold(string(e), "identity") {
		return errCompressed
	}
	if !utf8Charset(string(h.ContentType())) {
		return errCharset
	}
	return nil
}

// twoLengths says whether a request states the length of its body in two ways.
// The server keeps only one of them, and a proxy before us may have believed
// the other: the rest of the body would be read as the next request.
func twoLengths(rawHeaders []byte) bool {
	length, encoding := false, false
	for line := range bytes.Lines(rawHeaders) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch name = bytes.TrimSpace(name); len(name) {
		case len(fasthttp.HeaderContentLength):
			length = length || bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength))
		case len(fasthttp.HeaderTransferEncoding):
			encoding = encoding || bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding))
		}
	}
	return length && encoding
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
