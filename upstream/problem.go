package upstream

import (
	"encoding/json"
	"mime"
	"regexp"
	"strings"
)

// maxProblem is the size of the largest error of ZITADEL.
const maxProblem = 64 << 10

// problem is an error in one of ZITADEL's two forms.
type problem struct {
	// code is a name in Connect's form, a number in that of REST.
	code string
	// id is ZITADEL's own, as QUERY-SFeaa; "" if there is none.
	id string
}

// errorID is how ZITADEL ends the message of an error that has an ID, in all languages.
var errorID = regexp.MustCompile(`\(([A-Za-z0-9]+-[A-Za-z0-9]+)\)$`)

// ErrorID is ZITADEL's ID of the error that a is, as QUERY-SFeaa; "" if it is no error in ZITADEL's form, or
// has none.
func (a *Answer) ErrorID() string {
	p, _ := a.problem()
	return p.id
}

// problem reads the error that a is. ok says that it has ZITADEL's form, and does not come from a proxy on
// the way.
func (a *Answer) problem() (p problem, ok bool) {
	if a.Status < 400 || len(a.Body) > maxProblem || !a.isJSON() {
		return problem{}, false
	}
	var text struct {
		Code    json.RawMessage `json:"code"`
		Message *string         `json:"message"`
	}
	if json.Unmarshal(a.Body, &text) != nil || len(text.Code) == 0 || text.Message == nil {
		return problem{}, false
	}
	p.code = strings.Trim(string(text.Code), `"`)
	if found := errorID.FindStringSubmatch(*text.Message); found != nil {
		p.id = found[1]
	}
	return p, true
}

// isJSON says whether a has a body of JSON, as it is.
func (a *Answer) isJSON() bool {
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return err == nil && kind == "application/json" && a.Header.Get("Content-Encoding") == ""
}
