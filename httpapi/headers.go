package httpapi

import "github.com/valyala/fasthttp"

// Headers of every request or answer, in their canonical form, which is looked
// up as it is.
var (
	authorizationName = []byte(fasthttp.HeaderAuthorization)
	cacheControlName  = []byte(fasthttp.HeaderCacheControl)
	etagName          = []byte("Etag")
	ifNoneMatchName   = []byte(fasthttp.HeaderIfNoneMatch)
	consistencyName   = []byte(headerConsistency)

	noStore = []byte("no-store")
)
