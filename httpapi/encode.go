package httpapi

import (
	"net/http"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/valyala/fasthttp"
)

const contentTypeJSON = "application/json"

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

// begin takes the buffer of the answer's body, with capacity for size bytes, so that
// a long answer grows only once. Everything up to end appends to c.out.
func (c *call) begin(size int) {
	c.out = slices.Grow(c.http.Response.SwapBody(nil)[:0], size)
}

// end closes the object under way, and makes it the answer.
func (c *call) end(status int) error {
	if c.route.connect() {
		status = http.StatusOK // Connect has no other success
	}
	c.http.Response.SwapBody(append(c.out, '}'))
	c.out = nil
	c.http.SetStatusCode(status)
	return nil
}

// details of a write: of which version, when, and whose.
type details struct {
	sequence   uint64 // 0 is left out
	changeDate session.Time
}

// writeDetails begins an answer with the details of a write. The caller closes
// the object.
func (c *call) writeDetails(owner string, d details) {
	c.begin(0)
	b := append(c.out, `{"details":{`...)
	if d.sequence != 0 {
		b = append(b, `"sequence":`...)
		b = protojson.AppendUint64(b, d.sequence)
		b = append(b, ',')
	}
	b = append(b, `"changeDate":`...)
	b = protojson.AppendTime(b, int64(d.changeDate))
	if owner != "" {
		b = append(b, `,"resourceOwner":`...)
		b = protojson.AppendString(b, owner)
	}
	c.out = append(b, '}')
}

// writeField adds a field to the object under way, unless its value is empty.
func (c *call) writeField(name, value string) {
	if value == "" {
		return
	}
	b := append(c.out, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	c.out = protojson.AppendString(b, value)
}
