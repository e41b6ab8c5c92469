package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Event is something that has happened at ZITADEL. Of its payload, which may have the hash of a password, nothing is kept but
// Tie. (I6)
type Event struct {
	// Aggregate is what it happened to, AggregateType is that one's kind: session, user or oidc_session.
	AggregateType, Aggregate string
	// Type is such as session.terminated.
	Type string
	// Sequence is the number of the event among those of its aggregate, from 1; 0 is not known.
	Sequence uint64
	// At is when, by ZITADEL's clock: the same for all events of one request. 0 is not known.
	At session.Time
	// Tie is what the event says that an OIDC session has begun; zero for every other one, and for one whose payload is not
	// understood.
	Tie session.Tie
}

// EventSearch asks for events in the order of their dates.
type EventSearch struct {
	// AggregateTypes are the kinds that are asked for.
	AggregateTypes []string
	// Types are the types of events that are asked for; nil: all.
	Types []string
	// Aggregate is the ID of the only aggregate that is asked for; "" asks for all.
	Aggregate string
	// Since: only what happened after this instant; 0 has no limit.
	Since session.Time
	// Last asks for the latest event alone.
	Last bool
}

// MostEvents is how many events one search answers: ZITADEL gives no more, unless it is told to.
const MostEvents = 1000

// eventsPath is in ZITADEL's administration API.
const eventsPath = "/admin/v1/events/_search"

// Forbidden is the error of a search for events that our account may not make: it must be an IAM_OWNER.
type Forbidden struct{ ID string }

// Error says so.
func (e *Forbidden) Error() string {
	return fmt.Sprintf("%v: our account may not search for events (%s): it must be an IAM_OWNER", ErrUnavailable, e.ID)
}

// NoMember says that our account has no role at all.
func (e *Forbidden) NoMember() bool { return e.ID == idMembership }

// Is says that e is ErrUnavailable.
func (e *Forbidden) Is(target error) bool { return target == ErrUnavailable }

// Events searches for events, with our credentials: MostEvents at most. It answers a *Forbidden if these may not; every
// other error wraps ErrUnavailable, too.
func (c *Client) Events(ctx context.Context, search EventSearch) ([]Event, error) {
	asked := struct {
		Asc            bool     `json:"asc,omitempty"`
		Limit          int      `json:"limit"`
		AggregateTypes []string `json:"aggregateTypes"`
		AggregateID    string   `json:"aggregateId,omitempty"`
		EventTypes     []string `json:"eventTypes,omitempty"`
		From           string   `json:"from,omitempty"`
	}{!search.Last, MostEvents, search.AggregateTypes, search.Aggregate, search.Types, ""}
	name := "events"
	if search.Aggregate != "" {
		name = "event"
	}
	if search.Last {
		asked.Limit = 1
	}
	if search.Since != 0 {
		asked.From = search.Since.Std().Format(time.RFC3339Nano)
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, &UnavailableError{Reason: "the question cannot be written"}
	}
	a, err := c.Call(ctx, Request{
		Name: name, Method: http.MethodPost, Path: eventsPath, Body: body, As: AsOurs(), Read: true,
		Header: http.Header{"Content-Type": {"application/json"}},
	})
	if err != nil {
		return nil, err
	}
	err = a.failure(true)
	refused, ok := errors.AsType[*RefusedError](err)
	switch {
	case ok && refused.denies():
		return nil, &Forbidden{refused.ID}
	case ok:
		return nil, &UnavailableError{Reason: statusReason(refused.Status)}
	case err != nil:
		return nil, err
	}
	return readEvents(a.Body)
}

// readEvents reads the answer to a search.
func readEvents(body []byte) ([]Event, error) {
	var answer struct {
		Events []struct {
			Aggregate struct {
				ID   string `json:"id"`
				Type struct {
					Type string `json:"type"`
				} `json:"type"`
			} `json:"aggregate"`
			Sequence     json.RawMessage `json:"sequence"`
			CreationDate time.Time       `json:"creationDate"`
			Type         struct {
				Type string `json:"type"`
			} `json:"type"`
			Payload tieWords `json:"payload"`
		} `json:"events"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, &UnavailableError{Reason: "its answer is no list of events"}
	}
	events := make([]Event, len(answer.Events))
	for i, e := range answer.Events {
		sequence, err := strconv.ParseUint(strings.Trim(string(e.Sequence), `"`), 10, 64)
		if err != nil || e.Aggregate.ID == "" || e.Type.Type == "" || e.CreationDate.IsZero() {
			return nil, &UnavailableError{Reason: "its answer has an event without its aggregate, sequence, type or date"}
		}
		events[i] = Event{
			AggregateType: e.Aggregate.Type.Type, Aggregate: e.Aggregate.ID, Type: e.Type.Type, Sequence: sequence, At: session.TimeOf(e.CreationDate),
		}
		if e.Type.Type == typeOIDCSessionAdded {
			events[i].Tie = e.Payload.tie()
		}
	}
	return events, nil
}
