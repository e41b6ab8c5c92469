package httpapi

import "bytes"

// headerConsistency asks for an answer of Redis, past all copies in this
// process. It is ours; ZITADEL does not know it.
const headerConsistency = "Session-Consistency"

var (
	freshValue     = []byte("fresh")
	errConsistency = &apiError{code: codeInvalid, text: "the header " + headerConsistency + " must be fresh, or not be there"}
)

// consistency sets what the call may be answered from. A write never takes a copy.
func (c *call) consistency() error {
	switch v := c.http.Request.Header.PeekCanonical(consistencyName); {
	case c.route.writes, bytes.EqualFold(v, freshValue):
		c.fresh = true
	case len(v) > 0:
		return errConsistency
	}
	return nil
}
