package live

import (
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/readiness"
)

// plainly is said of a part to somebody who may not see all sessions: the part's own text may have an address, the text of an
// error, or a number of sessions.
var plainly = map[readiness.Condition]string{
	readiness.Good: "works",
	readiness.Warn: "works, with less than is promised; only a key that sees all sessions is told why",
	readiness.Bad:  "requests are refused; only a key that sees all sessions is told why",
}

// countsSessions says whether a series tells how many sessions there are, whoever they belong to.
func countsSessions(series int) bool {
	return series == sessions || series == ended || series == nearBytes
}

// limit takes out what only somebody may know who may see all sessions.
func (v *latest) limit() {
	v.Sessions = nil
	for i := range v.Near.Masters {
		v.Near.Masters[i].Address = "master " + strconv.Itoa(i+1)
	}
	for i := range v.Near.Kinds {
		v.Near.Kinds[i].Entries, v.Near.Kinds[i].Bytes = nil, nil
	}
}
