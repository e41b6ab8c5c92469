package zitadeltest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxEvents is how many events ZITADEL answers at most, whatever is asked for (from its code: no recording has so many).
const maxEvents = 1000

// number is a 64-bit integer, which proto3's JSON has as a number or as text.
type number uint64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(data []byte) error {
	value, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 64)
	*n = number(value)
	return err
}

type foundEvent struct {
	Editor       map[string]string `json:"editor"`
	Aggregate    foundAggregate    `json:"aggregate"`
	Sequence     string            `json:"sequence"`
	CreationDate string            `json:"creationDate"`
	Payload      json.RawMessage   `json:"payload"`
	Type         map[string]any    `json:"type"`
}

type foundAggregate struct {
	ID            string         `json:"id"`
	Type          map[string]any `json:"type"`
	ResourceOwner string         `json:"resourceOwner"`
}

// searchEvents answers POST /admin/v1/events/_search. Dates are strictly after (or, for descending searches, before) the one that
// is given.
func (s *Server) searchEvents(r *http.Request) reply {
	if _, err := s.may(r.Header, eventsRead); err != nil {
		return reply{err: err}
	}
	var asked struct {
		Sequence, Limit                          number
		EditorUserID, AggregateID, ResourceOwner string
		EventTypes, AggregateTypes               []string
		Asc                                      bool
		From                                     *time.Time
		Range                                    struct{ Since, Until *time.Time }
	}
	if err := read(r, &asked); err != nil {
		return reply{err: err}
	}
	since, until := asked.Range.Since, asked.Range.Until
	if asked.From != nil {
		if asked.Asc {
			since = asked.From
		} else {
			until = asked.From
		}
	}
	limit := min(int(asked.Limit), maxEvents)
	if limit == 0 {
		limit = maxEvents
	}
	among := func(values []string, value string) bool { return len(values) == 0 || slices.Contains(values, value) }
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.last.After(now) {
		now = s.last
	}
	found := []foundEvent{}
	for i := range s.events {
		e := &s.events[i]
		if !asked.Asc {
			e = &s.events[len(s.events)-1-i]
		}
		switch {
		case len(found) == limit, e.found.After(now):
		case !among(asked.AggregateTypes, e.AggregateType), !among(asked.EventTypes, e.Type):
		case asked.AggregateID != "" && asked.AggregateID != e.AggregateID:
		case asked.EditorUserID != "" && asked.EditorUserID != e.Editor:
		case asked.ResourceOwner != "" && asked.ResourceOwner != e.ResourceOwner:
		case since != nil && !e.CreationDate.After(*since), until != nil && !e.CreationDate.Before(*until):
		case asked.Sequence > 0 && asked.Asc && e.Sequence <= uint64(asked.Sequence):
		case asked.Sequence > 0 && !asked.Asc && e.Sequence >= uint64(asked.Sequence):
		default:
			found = append(found, s.found(e))
		}
	}
	if len(found) == 0 {
		return reply{body: struct{}{}}
	}
	return reply{body: map[string]any{"events": found}}
}

// found is an event as the search answers it: the payload's members are sorted. The caller holds mu.
func (s *Server) found(e *Event) foundEvent {
	content := json.RawMessage("{}")
	if e.Payload != nil {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(e.Payload, &members); err != nil {
			panic(err)
		}
		content = payload(members)
	}
	localized := func(key, message string) map[string]string {
		return map[string]string{"key": key, "localizedMessage": message}
	}
	name := strings.ReplaceAll(strings.ToUpper(e.AggregateType[:1])+e.AggregateType[1:], "_", " ")
	editor := map[string]string{"userId": e.Editor, "service": "zitadel"}
	if u := s.users[e.Editor]; u != nil {
		editor["displayName"] = u.DisplayName
	}
	return foundEvent{
		Editor: editor,
		Aggregate: foundAggregate{
			ID: e.AggregateID, ResourceOwner: e.ResourceOwner,
			Type: map[string]any{"type": e.AggregateType, "localized": localized("AggregateTypes."+e.AggregateType, name)},
		},
		Sequence: strconv.FormatUint(e.Sequence, 10), CreationDate: e.CreationDate.Format(searchDate(e.CreationDate)), Payload: content,
		// Types that have a text in ZITADEL's languages show it, sessions have none.
		Type: map[string]any{"type": e.Type, "localized": localized("EventTypes."+e.Type, "EventTypes."+e.Type)},
	}
}

// searchDate is the layout of a date in proto3's JSON: with 0, 3 or 6 digits of a second.
func searchDate(t time.Time) string {
	switch us := t.Nanosecond() / 1000; {
	case us == 0:
		return "2006-01-02T15:04:05Z"
	case us%1000 == 0:
		return "2006-01-02T15:04:05.000Z"
	}
	return "2006-01-02T15:04:05.000000Z"
}
