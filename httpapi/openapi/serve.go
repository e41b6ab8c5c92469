package openapi

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"sync"

	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

//go:embed style.css
var style []byte

// policy lets a page load its style sheet from where it is, and do nothing else.
const policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Document answers with the OpenAPI document, Page with the page that shows it, and Style with the style sheet of the page.
// Each is made once, and answered 304 to those who have it. The error means that what is embedded is broken.
var (
	Document = file("application/json", false, JSON)
	Page     = file("text/html; charset=utf-8", true, page)
	Style    = file("text/css; charset=utf-8", true, func() ([]byte, error) { return style, nil })
)

// file returns a handler that answers with what content returns the first time. Answers that a browser shows are guarded.
func file(contentType string, shown bool, content func() ([]byte, error)) func(*fasthttp.RequestCtx) error {
	type made struct {
		body []byte
		etag string
	}
	once := sync.OnceValues(func() (made, error) {
		body, err := content()
		return made{body, fmt.Sprintf(`"%x"`, sha256.Sum256(body))[:33] + `"`}, err
	})
	return func(http *fasthttp.RequestCtx) error {
		f, err := once()
		if err != nil {
			return err
		}
		h := &http.Response.Header
		h.Set(fasthttp.HeaderCacheControl, "no-cache")
		h.Set(fasthttp.HeaderETag, f.etag)
		if shown {
			h.Set(fasthttp.HeaderContentSecurityPolicy, policy)
			h.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
			h.Set(fasthttp.HeaderReferrerPolicy, "no-referrer")
		}
		if server.HasETag(string(http.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)), f.etag) {
			h.SetNoDefaultContentType(true)
			h.SetContentTypeBytes(nil)
			http.SetStatusCode(fasthttp.StatusNotModified)
			return nil
		}
		h.SetContentType(contentType)
		http.SetBody(f.body)
		return nil
	}
}
