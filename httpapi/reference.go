package httpapi

import "github.com/cloakroom-dev/cloakroom/internal/protojson"

// reference reads a body that names a session and a token of it, as those of
// GetSession and DeleteSession do.
func (c *call) reference() (token string, given bool, err error) {
	err = protojson.Decode(c.body, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			switch name {
			case "sessionToken":
				if given = !r.Null(); given {
					return r.String(&token)
				}
			case "sessionId":
				return c.readID(r)
			}
			return nil
		})
	})
	return token, given, err
}

// readID reads the session ID in a body. The one in the path counts; Connect's
// paths have none.
func (c *call) readID(r *protojson.Reader) error {
	var id string
	err := r.String(&id)
	if c.route.connect() {
		c.id = id
	}
	return err
}

// named refuses a request without a session ID, which only a body can lack.
func (c *call) named(message string) error {
	if c.route.connect() && c.id == "" {
		return invalid(message, "SessionId", wrongLength)
	}
	return nil
}
