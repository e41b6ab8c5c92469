package webhook

import (
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

// maxName is the length of the longest ID or type of an event, in bytes.
const maxName = 200

// decode reads an event. Any member may be absent. The payload, which is JSON or, in older versions, base64 of it, is passed
// over like all others that are not known. Its errors are not to be shown: they may have names from the payload.
func decode(body []byte) (e upstream.Event, err error) {
	err = protojson.Decode(body, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			switch name {
			case "aggregateType":
				return text(r, &e.AggregateType)
			case "aggregateID":
				return text(r, &e.Aggregate)
			case "eventType":
				return text(r, &e.Type)
			case "sequence":
				return r.Uint64(&e.Sequence)
			case "createdAt":
				var at time.Time
				err := r.Time(&at)
				if err == nil && !at.IsZero() {
					e.At = session.TimeOf(at)
				}
				return err
			}
			return nil
		})
	})
	return e, err
}

// text reads a short text.
func text(r *protojson.Reader, to *string) error {
	err := r.String(to)
	if err == nil && len(*to) > maxName {
		return r.Fail("is too long")
	}
	return err
}
