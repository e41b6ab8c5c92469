package httpapi

import "github.com/valyala/fasthttp"

// Headers of every request or answer, in their canonical form, which is looked
// up as it is.
var (
	authorizationName = []byte(fasthttp.HeaderAuthorization)
	cacheControlName  = []byte(fasthttp.HeaderCacheControl)
	etagName          = []byte("Etag")
	expectName        = []byte(fasthttp.HeaderExpect)
	ifNoneMatchName   = []byte(fasthttp.HeaderIfNoneMatch)
	requestIDName     = []byte(headerRequestID)
	consistencyName   = []byte(headerConsistency)

	noStore       = []byte("no-store")
	continueValue = []byte("100-continue")
)
