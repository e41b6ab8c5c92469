package httpapi

import (
	"bytes"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
)

// headerConsistency asks for an answer of Redis, past all copies in this
// process. It is ours; ZITADEL does not know it.
const headerConsistency = "Session-Consistency"

var (
	freshValue     = []byte("fresh")
	errConsistency = &refusal.Error{Code: refusal.Invalid, Text: "the header " + headerConsistency + " must be fresh, or not be there"}
)

// consistency sets what the call may be answered from. A write never takes a copy.
func (c *call) consistency() error {
	c.fresh = c.route.writes
	if len(c.http.Request.Header.PeekCanonical(consistencyName)) == 0 {
		return nil
	}
	for _, v := range c.http.Request.Header.PeekAll(headerConsistency) {
		if !bytes.EqualFold(v, freshValue) {
			return errConsistency
		}
	}
	c.fresh = true
	return nil
}
