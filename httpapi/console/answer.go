package console

import (
	"bytes"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

// route is one line of what the page may ask. A path that ends in / takes an ID behind it.
type route struct {
	method, path string
	// open needs nobody to have signed in.
	open bool
	// passive does not count as use of the session of the console: the page asks by itself.
	passive bool
	do      func(c *Console, r *request, id string) error
}

const apiPath = "/console/api/"

var routes = []route{
	{method: fasthttp.MethodGet, path: "me", do: (*Console).me},
	{method: fasthttp.MethodPost, path: "sign-in", open: true, do: (*Console).signIn},
	{method: fasthttp.MethodPost, path: "sign-out", open: true, do: (*Console).signOut},
	{method: fasthttp.MethodPost, path: "search", do: (*Console).search},
	{method: fasthttp.MethodGet, path: "sessions/", do: (*Console).session},
	{method: fasthttp.MethodPost, path: "judge", do: (*Console).judge},
	{method: fasthttp.MethodPost, path: "revocations", do: (*Console).revoke},
	{method: fasthttp.MethodGet, path: "revocations", do: (*Console).revocations},
	{method: fasthttp.MethodGet, path: "revocations/", do: (*Console).revocation},
	{method: fasthttp.MethodGet, path: "live", passive: true, do: (*Console).live},
}

// answer answers r, or says why not. fromHere refuses what server.FromHere does.
func (c *Console) answer(r *request, fromHere bool) error {
	path := string(r.http.Path())
	byLink := opensPage(&r.http.Request.Header) && !strings.HasPrefix(path, apiPath)
	if fromHere {
		if server.ForHere(&r.http.Request.Header) != nil {
			return errNotHere
		}
		if !byLink && server.FromHere(&r.http.Request.Header) != nil {
			return errOtherSite
		}
	}
	if err := server.Guard(r.http, false); err != nil {
		return err
	}
	if below, isAPI := strings.CutPrefix(path, apiPath); isAPI {
		return c.call(r, below)
	}
	if path == "/console" {
		r.http.Response.Header.Set(fasthttp.HeaderLocation, "/console/")
		r.http.SetStatusCode(fasthttp.StatusFound)
		return nil
	}
	f := c.files[strings.TrimPrefix(path, "/console/")]
	if f == nil {
		return refusal.NoRoute
	}
	return f.send(r.http)
}

// call answers a request to path below apiPath.
func (c *Console) call(r *request, path string) error {
	r.http.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	h := &r.http.Request.Header
	if err := ownPage(h); err != nil {
		return err
	}
	found, id, err := find(h.Method(), path, &r.http.Response.Header)
	if err != nil {
		return err
	}
	if found.method == fasthttp.MethodPost {
		if err := asJSON(h); err != nil {
			return err
		}
	}
	if r.on, err = c.enter(r.base); err != nil {
		return err
	}
	defer r.on.under.Done()
	if !found.open {
		if r.who = c.visitor(r, !found.passive); r.who == nil {
			return errNotSignedIn
		}
	}
	r.http.Response.Header.SetContentType("application/json")
	return found.do(c, r, id)
}

// find returns the route of a request, and the ID in its path. Of a path that takes other methods it notes these in answer.
func find(method []byte, path string, answer *fasthttp.ResponseHeader) (*route, string, error) {
	allow := ""
	for i := range routes {
		r := &routes[i]
		id, prefixed := strings.CutPrefix(path, r.path)
		if !prefixed || strings.HasSuffix(r.path, "/") == (id == "") || strings.Contains(id, "/") {
			continue
		}
		if string(method) == r.method {
			return r, id, nil
		}
		if allow != "" {
			allow += ", "
		}
		allow += r.method
	}
	if allow == "" {
		return nil, "", refusal.NoRoute
	}
	answer.Set(fasthttp.HeaderAllow, allow)
	return nil, "", refusal.NoMethod
}

// visitor returns who has sent r, nil if nobody has signed in, the proof is not that of the cookie, or the API key has been
// taken away since.
func (c *Console) visitor(r *request, uses bool) *visitor {
	if who := r.on.callers.Anonymous(); who != nil {
		return &visitor{caller: who}
	}
	h := &r.http.Request.Header
	cookie := h.Cookie(c.cookie)
	key, ends, found := c.signIns.find(cookie, h.Peek(headerConsole), time.Now(), uses)
	if !found {
		return nil
	}
	who := r.on.callers.ByHash(key)
	if who == nil {
		c.signIns.end(bytes.Clone(cookie))
		return nil
	}
	return &visitor{caller: who, key: key, ends: ends}
}

var errNotSignedIn = &refusal.Error{Code: refusal.Unauthorised, Text: "nobody has signed in here, or the session of the console has ended; sign in again"}
