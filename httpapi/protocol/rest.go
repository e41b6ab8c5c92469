package protocol

import (
	"mime"
	"net/http"
	"strings"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

var (
	errCompressed = &refusal.Error{Code: refusal.Invalid, HTTP: http.StatusUnsupportedMediaType, Text: "compressed request bodies are not supported: send no Content-Encoding"}
	errCharset    = &refusal.Error{Code: refusal.Invalid, HTTP: http.StatusUnsupportedMediaType, Text: "the charset of a request body must be utf-8"}
)

// restRequest refuses a body of a kind that is not read.
func restRequest(h *fasthttp.RequestHeader) error {
	switch {
	case !server.HasBody(h):
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
