package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

// Cross-origin resource sharing (the Fetch standard): web pages of the configured
// origins may read the answers of the API. Pages have no credentials of their
// own here: what they may do, a bearer token says.

const (
	// MaxOrigins bounds Config.CORSOrigins, maxOrigin the length of one, in bytes.
	MaxOrigins = 32
	maxOrigin  = 300
	// PreflightSeconds is how long a browser may remember the answer to a preflight.
	PreflightSeconds = "600"
)

// OriginForm is how an origin is written.
const OriginForm = "https://HOST or https://HOST:PORT (or http), without a path or a slash at the end"

// CORSHeaders are those that web pages may send, CORSExposed those that they may read.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	CORSHeaders = "Accept-Language, Authorization, Connect-Protocol-Version, Connect-Timeout-Ms, Content-Type, If-Match, If-None-Match, " +
		headerConsistency + ", " + server.HeaderRequestID + ", X-Requested-With, X-User-Agent, X-Zitadel-Orgid"
	CORSExposed = "Accept-Post, Allow, Etag, Retry-After, Session-Replicas, Www-Authenticate, " + server.HeaderRequestID
)

var (
	originName        = []byte(fasthttp.HeaderOrigin)
	requestMethodName = []byte(fasthttp.HeaderAccessControlRequestMethod)
)

// checkOrigin says what is wrong with an origin that is configured. It must be
// spelt as browsers spell it: they are compared byte by byte.
func checkOrigin(origin string) error {
	switch origin {
	case "*":
		return errors.New("every origin (*) cannot be allowed: name each")
	case "null":
		return errors.New("the origin null may be anybody's")
	}
	if len(origin) > maxOrigin {
		return fmt.Errorf("an origin must have at most %d bytes", maxOrigin)
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host:
		return errors.New("must be " + OriginForm)
	case u.Port() == map[string]string{"https": "443", "http": "80"}[u.Scheme]:
		return errors.New("browsers leave out the default port: so must an origin")
	case u.Port() != "" && !plainPort(u.Port()):
		return errors.New("the port of an origin must be a number from 1 to 65535")
	case !plainHost(u.Hostname()) || strings.HasSuffix(u.Host, ":"):
		return errors.New("the host of an origin must be an address, or a name of lower-case letters, digits, hyphens and dots (xn--… for others)")
	}
	return nil
}

func plainHost(host string) bool {
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		return err == nil && a.Zone() == "" && a.String() == host
	}
	return strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") == ""
}

func plainPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == port
}

// CheckOrigins says what is wrong with a list of origins.
func CheckOrigins(list []string) error {
	if len(list) > MaxOrigins {
		return fmt.Errorf("there are more than %d origins", MaxOrigins)
	}
	for i, origin := range list {
		if err := checkOrigin(origin); err != nil {
			return err
		}
		if slices.Contains(list[:i], origin) {
			return fmt.Errorf("%s is there twice", origin)
		}
	}
	return nil
}

// allowed says whether pages of an origin may read answers.
func (s *Server) allowed(origin []byte) bool {
	for _, o := range s.config.CORSOrigins {
		if o == string(origin) {
			return true
		}
	}
	return false
}

// withCORS puts preflights before handler, and lets pages of the configured
// origins read its answers, errors among them. preflight answers a preflight.
func (s *Server) withCORS(handler, preflight fasthttp.RequestHandler) fasthttp.RequestHandler {
	if len(s.config.CORSOrigins) == 0 {
		return handler
	}
	return func(http *fasthttp.RequestCtx) {
		request, answer := &http.Request.Header, &http.Response.Header
		allowed := s.allowed(request.PeekCanonical(originName))
		asks := http.IsOptions() && len(request.PeekCanonical(requestMethodName)) > 0
		if asks && allowed {
			preflight(http)
			answer.Set(fasthttp.HeaderAccessControlAllowMethods, corsMethods)
			answer.Set(fasthttp.HeaderAccessControlAllowHeaders, CORSHeaders)
			answer.Set(fasthttp.HeaderAccessControlMaxAge, PreflightSeconds)
		} else {
			handler(http)
		}
		answer.Set(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
		if allowed {
			answer.SetBytesV(fasthttp.HeaderAccessControlAllowOrigin, request.PeekCanonical(originName))
			if !asks {
				answer.Set(fasthttp.HeaderAccessControlExposeHeaders, CORSExposed)
			}
		}
	}
}

// preflightRoute answers preflights, whatever they ask for: what a page may send
// is the same everywhere.
var preflightRoute = route{call: server.NoRoute, open: true, do: (*Server).preflight}

func (s *Server) preflight(_ context.Context, c *call) error {
	c.http.Response.Header.SetNoDefaultContentType(true)
	c.http.Response.Header.SetContentTypeBytes(nil)
	c.http.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// shareUnread lets pages read why their request could not be read. Its origin is
// not known: where several are configured every page may, for there is nothing
// in the answer that it does not know.
func (s *Server) shareUnread(http *fasthttp.RequestCtx) {
	if len(s.config.CORSOrigins) == 0 {
		return
	}
	origin := "*"
	if len(s.config.CORSOrigins) == 1 {
		origin = s.config.CORSOrigins[0]
	}
	http.Response.Header.Set(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	http.Response.Header.Set(fasthttp.HeaderAccessControlAllowOrigin, origin)
}
