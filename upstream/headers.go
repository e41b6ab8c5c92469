package upstream

import (
	"net/http"
	"net/textproto"
	"strings"
)

// requestHeaders are the headers of a caller that travel to ZITADEL. All others stay here: hop-by-hop headers
// and cookies; Origin, because CORS is ours to answer; Forwarded and its like, which anybody can
// write; Idempotency-Key, at which net/http would send a call twice. Authorization is said apart.
var requestHeaders = map[string]bool{
	"Accept": true, "Accept-Language": true, "Content-Type": true, "Traceparent": true, "Tracestate": true,
}

// requestPrefixes begin the names of others that travel: those of ZITADEL and of the Connect protocol.
var requestPrefixes = []string{"X-Zitadel-", "Connect-"}

// notOurs are headers by which ZITADEL finds its instance, before Host. Config.Host alone says that.
var notOurs = map[string]bool{"X-Zitadel-Instance-Host": true, "X-Zitadel-Forward-Host": true}

// answerHeaders are the headers of an answer that stay here, besides those that it names in
// Connection: hop-by-hop headers (RFC 9110, 7.6.1), cookies, what says where else ZITADEL is or how
// browsers should treat its host, CORS, and what depends on how the answer is sent on.
var answerHeaders = map[string]bool{
	"Connection": true, "Proxy-Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Proxy-Authentication-Info": true, "Set-Cookie": true, "Set-Cookie2": true, "Content-Length": true, "Date": true,
	"Server": true, "Alt-Svc": true, "Strict-Transport-Security": true, "Clear-Site-Data": true,
}

// corsPrefix begins the names of CORS headers.
const corsPrefix = "Access-Control-"

// travels returns the headers of a request that go to ZITADEL, in a map of its own.
func travels(from http.Header) http.Header {
	to, hops := make(http.Header, len(from)+2), named(from)
	for name, values := range from {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if len(values) > 0 && !hops[name] && !notOurs[name] && (requestHeaders[name] || hasPrefix(name, requestPrefixes...)) {
			to[name] = append(to[name], values...)
		}
	}
	return to
}

// returns removes from an answer the headers that stay here, and returns it.
func returns(h http.Header) http.Header {
	hops := named(h)
	for name := range h {
		if answerHeaders[name] || hops[name] || hasPrefix(name, corsPrefix) {
			delete(h, name)
		}
	}
	return h
}

// named are the headers that are named in Connection: they are for the next hop only.
func named(h http.Header) map[string]bool {
	var hops map[string]bool
	for name, values := range h {
		if textproto.CanonicalMIMEHeaderKey(name) != "Connection" {
			continue
		}
		for _, value := range values {
			for hop := range strings.SplitSeq(value, ",") {
				if hops == nil {
					hops = map[string]bool{}
				}
				hops[textproto.CanonicalMIMEHeaderKey(textproto.TrimString(hop))] = true
			}
		}
	}
	return hops
}

func hasPrefix(name string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
