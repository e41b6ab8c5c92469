package httpapi

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// etag is the entity tag of a session: its sequence, quoted.
func etag(sequence uint64) string { return string(appendETag(nil, sequence)) }

func appendETag(b []byte, sequence uint64) []byte {
	return append(strconv.AppendUint(append(b, '"'), sequence, 10), '"')
}

// matches says whether a list of entity tags, as in If-Match or If-None-Match
// (RFC 9110, 13.1), has the tag of sequence. With weak, W/ before a tag is
// passed over.
func matches(list string, sequence uint64, weak bool) bool {
	want := etag(sequence)
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimSpace(tag)
		if weak {
			tag = strings.TrimPrefix(tag, "W/")
		}
		if tag == "*" || tag == want {
			return true
		}
	}
	return false
}

// precondition checks If-Match against the stored sequence; exists is false if
// nothing is stored.
func (c *call) precondition(exists bool, sequence uint64) error {
	list := c.http.Request.Header.Peek(fasthttp.HeaderIfMatch)
	if len(list) == 0 || exists && matches(string(list), sequence, false) {
		return nil
	}
	return errPrecondition
}
