package console

import (
	"log/slog"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
)

// signIn answers POST sign-in: it begins a session of the console for an API key.
func (c *Console) signIn(r *request, _ string) error {
	if c.config.Anonymous {
		return errNobodySignsIn
	}
	body, err := r.body()
	if err != nil {
		return err
	}
	defer clear(body)
	var key string
	var secure bool
	err = protojson.Decode(body, func(d *protojson.Reader) error {
		d.RefuseUnknown("is not known here")
		return d.Object(func(name string) error {
			switch name {
			case "key":
				return d.String(&key)
			case "secure":
				return d.Bool(&secure)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	who, hash := r.on.callers.ByKey([]byte(key))
	if who == nil {
		if !c.failed.allow(c.config.TrustedProxies.ClientNet(r.http), time.Now()) {
			return errTooManyTries
		}
		level, message := slog.LevelInfo, "console sign-in refused"
		if caller.Guess([]byte(key), true) {
			level, message = slog.LevelWarn, caller.CredentialRefused
		}
		c.config.TrustedProxies.LogStranger(r.base, c.log, r.http, level, message,
			slog.String("request_id", r.id), slog.String("call", "ConsoleSignIn"), slog.Int("status", fasthttp.StatusUnauthorized),
			slog.Int("code", int(errWrongKey.Code)), slog.String("reason", errWrongKey.Text))
		return errWrongKey
	}
	now := time.Now()
	c.signIns.end(r.http.Request.Header.Cookie(c.cookie))
	cookie, proof := c.signIns.begin(hash, now)
	c.setCookie(r.http, cookie, secure)
	r.who = &visitor{caller: who, key: hash, ends: now.Add(longest)}
	c.logVisit(r, "console sign-in", who)
	return c.tell(r, proof)
}

// signOut answers POST sign-out: it ends the session of the console, if there is one.
func (c *Console) signOut(r *request, _ string) error {
	if _, err := r.body(); err != nil {
		return err
	}
	if who := c.visitor(r, true); who != nil && !c.config.Anonymous {
		c.signIns.end(r.http.Request.Header.Cookie(c.cookie))
		c.logVisit(r, "console sign-out", who.caller)
	}
	c.setCookie(r.http, "", false)
	r.http.Response.Header.SetNoDefaultContentType(true)
	r.http.Response.Header.SetContentType("")
	r.http.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

// logVisit logs that somebody has signed in or out, and from where.
func (c *Console) logVisit(r *request, message string, who *caller.Caller) {
	c.log.LogAttrs(r.base, slog.LevelInfo, message, append(slices.Clone(r.from),
		slog.String("request_id", r.id), slog.String("caller", who.Name), slog.String("user_id", who.UserID))...)
}

// setCookie gives the browser a cookie, or takes it away if value is "".
func (c *Console) setCookie(http *fasthttp.RequestCtx, value string, secure bool) {
	cookie := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(cookie)
	cookie.SetKey(c.cookie)
	cookie.SetValue(value)
	cookie.SetPath("/console/")
	cookie.SetHTTPOnly(true)
	cookie.SetSameSite(fasthttp.CookieSameSiteStrictMode)
	cookie.SetSecure(secure)
	if value == "" {
		cookie.SetExpire(fasthttp.CookieExpireDelete)
	}
	http.Response.Header.SetCookie(cookie)
}

var (
	errNobodySignsIn = &refusal.Error{Code: refusal.Precondition, Text: "nobody signs in with --auth-anonymous; load the page again"}
	errTooManyTries  = &refusal.Error{Code: refusal.Exhausted, Text: "too many wrong keys were tried from this network; try again in a second", RetryAfter: 1}
	errWrongKey      = &refusal.Error{Code: refusal.Unauthorised, Text: "invalid API key"}
)
