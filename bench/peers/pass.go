package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/issuer"
	"github.com/valyala/fasthttp"
)

// factorOf is which factor a value of amr proves.
var factorOf = map[string]string{"pwd": "password", "otp": "totp"}

// pass answers whether the token of a request is good, as Cloakroom does: with the same headers and the same
// body. It has as many bytes as an answer of Pad alone.
func (s *Server) pass(http *fasthttp.RequestCtx) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	token := bytes.TrimPrefix(http.Request.Header.Peek(fasthttp.HeaderAuthorization), []byte("Bearer "))
	c, err := s.Gate.Verify(ctx, token)
	switch {
	case errors.Is(err, ErrRefused):
		http.Error(fmt.Sprintf(`{"pad":%q}`, err.Error()), fasthttp.StatusUnauthorized)
		return
	case err != nil:
		http.Error(fmt.Sprintf(`{"pad":%q}`, err.Error()), fasthttp.StatusServiceUnavailable)
		return
	}
	const date = "2006-01-02T15:04:05Z"
	user, session := issuer.Name+":"+c.Subject, issuer.Name+":"+c.SessionID
	authenticated, expires := time.Unix(c.AuthTime, 0).UTC().Format(date), c.ExpiresAt.UTC().Format(date)
	var factors []string
	for _, method := range c.Amr {
		if f := factorOf[method]; f != "" {
			factors = append(factors, f)
		}
	}
	headers := 0
	set := func(name, value string) {
		http.Response.Header.Set(name, value)
		headers += len(name) + len(": ") + len(value) + len("\r\n")
	}
	set(fasthttp.HeaderCacheControl, "no-store")
	set("X-Session-Id", session)
	set("X-Session-User", user)
	set("X-Session-Login", c.Username)
	set("X-Session-Org", "")
	set("X-Session-Factors", strings.Join(factors, ","))
	set("X-Session-Auth-Time", authenticated)
	set("X-Session-Expires", expires)
	b := make([]byte, 0, len(s.Pad)+1024)
	b = append(b, `{"active":true,"subject":"`...)
	b = append(append(append(b, user...), `","sub":"`...), user...)
	b = append(append(b, `","id":"`...), session...)
	b = append(append(b, `","expires_at":"`...), expires...)
	b = append(append(b, `","authenticated_at":"`...), authenticated...)
	b = append(append(b, `","identity":{"id":"`...), user...)
	b = append(append(b, `"},"extra":{"session_id":"`...), session...)
	b = append(append(b, `","login_name":"`...), c.Username...)
	b = append(b, `","organization_id":"","factors":["`...)
	b = append(append(b, strings.Join(factors, `","`)...), `"],"auth_time":`...)
	b = append(strconv.AppendInt(b, c.AuthTime, 10), `,"exp":`...)
	b = append(strconv.AppendInt(b, c.ExpiresAt.Unix(), 10), "}}"...)
	http.Response.SetBodyRaw(exactly(b, max(len(s.Pad)-headers, 0)))
}

// exactly returns b with so many bytes: filled up with spaces, or cut off.
func exactly(b []byte, size int) []byte {
	for len(b) < size {
		b = append(b, ' ')
	}
	return b[:size]
}
