package protocol

import (
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/valyala/fasthttp"
)

// writeOAuthError is refusal.Write in the form of RFC 6749, 5.2, which knows no 413.
func writeOAuthError(http *fasthttp.RequestCtx, e *refusal.Error) {
	name, status := "invalid_request", e.Status()
	switch {
	case e.Code == refusal.Unavailable:
		name = "temporarily_unavailable"
	case e.Code == refusal.Internal:
		name = "server_error"
	case status == fasthttp.StatusRequestEntityTooLarge:
		status = fasthttp.StatusBadRequest
	}
	b := append([]byte(nil), `{"error":"`...)
	b = append(b, name...)
	b = append(b, `","error_description":`...)
	b = protojson.AppendString(b, e.Error())
	refusal.WriteAs(http, e, status, append(b, '}'))
}
