package request

import (
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// Judge asks whether verify would let a session pass: by its ID, or by a token. The other one is "".
type Judge struct{ ID, Token string }

// errJudge is what DecodeJudge says of a body that does not name one session.
var errJudge = &refusal.Error{Code: refusal.Invalid, Text: "the body must have either id or token, and that must not be empty"}

// DecodeJudge reads the body of a question about a session. What it refuses is a *protojson.Error or a *refusal.Error, which do
// not repeat it. (I6)
func DecodeJudge(body []byte) (q *Judge, err error) {
	q = new(Judge)
	err = protojson.Decode(body, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			switch name {
			case "id":
				return r.String(&q.ID)
			case "token":
				return r.String(&q.Token)
			}
			return nil
		})
	})
	if err == nil && (q.ID == "") == (q.Token == "") {
		err = errJudge
	}
	return q, err
}
