package verify

import (
	"bytes"
	"context"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

// Refuse answers what never became a request: 401 or 403, which a gateway
// takes for a refusal, and not for a failure of ours. To log in again makes no
// header smaller: so that is 403. A header that the end of the server has cut off
// says nothing about its token: 503.
func (s *Endpoint) Refuse(http *fasthttp.RequestCtx, err error) {
	v := verification{s: s, http: http, reason: reasonMalformed}
	switch {
	case server.HeaderTooLarge(err):
		v.reason = reasonTooLarge
	case server.CutOff(http.Conn()):
		v.reason, v.err = reasonUnavailable, server.ErrStopping
	}
	v.refuse()
	server.EndUnread(http)
	s.metrics.answered(v.reason, s.Route, 0)
	v.audit(context.Background(), 0)
}

// Before puts verify before the routes of the API, which others answers.
func (s *Endpoint) Before(base context.Context, others fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(http *fasthttp.RequestCtx) {
		uri := http.Request.Header.RequestURI()
		if !Is(uri) {
			others(http)
			return
		}
		named, known := s.policyOf(uri)
		s.Answer(base, http, named, known)
	}
}

// Is says whether a request is one for verify, by its path as it was sent:
// decoded and cleaned, /verify/p/strict/../lax would name another policy than
// the gateway's.
func Is(uri []byte) bool {
	rest, ok := bytes.CutPrefix(uri, []byte(Path))
	return ok && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?')
}

// policyOf returns the policy that a path of verify names, nil if it names
// none. known is false if there is none of that name.
func (s *Endpoint) policyOf(uri []byte) (p *Policy, known bool) {
	rest, ok := strings.CutPrefix(string(uri), policyPath)
	if !ok {
		return nil, true
	}
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	p, known = s.config.Policies[rest]
	return p, known
}

// Unavailable answers that the session store is unavailable, where there is none
// yet. hideReason is that of Config.
func Unavailable(http *fasthttp.RequestCtx, hideReason bool) {
	e := &Endpoint{config: Config{HideReason: hideReason}}
	(&verification{s: e, http: http, reason: reasonUnavailable}).refuse()
}
