package zitadeltest

import (
	"encoding/json"
	"slices"
	"time"
)

// Event is something that happened, as ZITADEL stores it.
type Event struct {
	// AggregateType is session, user or oidc_session.
	AggregateType, AggregateID, ResourceOwner, Version string
	// Sequence counts the events of the aggregate, from 1.
	Sequence uint64
	// Type is such as session.added.
	Type string
	// CreationDate is the same for all events of one request.
	CreationDate time.Time
	// Editor is the ID of the user who did it.
	Editor string
	// Payload is JSON, with its members in ZITADEL's order; nil if there is none.
	Payload json.RawMessage

	change func(*row) // what it does to the session, if it is of one
	found  time.Time  // when the search finds it, at last
}

// payload returns JSON.
func payload(value any) json.RawMessage {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return data
}

// Events returns what has happened, in order.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// push stores the events of one request, lets them change what is read, and sends them. It returns their date. The caller
// holds mu.
func (s *Server) push(editor string, events ...Event) time.Time {
	at, delay := s.date(), s.control.now().SearchDelay
	for _, e := range events {
		aggregate := e.AggregateType + "/" + e.AggregateID
		s.sequence[aggregate]++
		e.Sequence, e.CreationDate, e.Editor = s.sequence[aggregate], at, editor
		if e.found = at; delay != nil {
			e.found = at.Add(delay(e))
		}
		s.events = append(s.events, e)
		switch e.AggregateType {
		case "session":
			s.applyToSession(e)
		case "user":
			s.applyToUser(e)
		}
		s.feed.enqueue(s.outgoing(e))
	}
	return at
}

// applyToSession changes the write model, which every session has that was ever written to, and the row, which only those have
// that were added. The caller holds mu.
func (s *Server) applyToSession(e Event) {
	m := s.models[e.AggregateID]
	if m == nil {
		m = &writeModel{}
		s.models[e.AggregateID] = m
	}
	m.sequence, m.changeDate = e.Sequence, e.CreationDate
	old := s.rows[e.AggregateID]
	switch e.Type {
	case "session.added":
		m.state = active
		s.created++
		next := &row{
			id: e.AggregateID, number: s.created, creationDate: e.CreationDate, changeDate: e.CreationDate, sequence: e.Sequence, creator: e.Editor,
		}
		e.change(next)
		s.setRow(e, next.id, next)
	case "session.terminated":
		m.state = terminated
		s.setRow(e, e.AggregateID, nil)
	default:
		next := &row{}
		if old != nil {
			*next = *old
		}
		next.changeDate, next.sequence = e.CreationDate, e.Sequence
		e.change(next)
		// What a write model knows is set whether there is a row or not.
		if next.tokenID != "" {
			m.tokenID = next.tokenID
		}
		if next.userID != "" {
			m.userID, m.organizationID = next.userID, next.organizationID
		}
		if !next.expiration.IsZero() {
			m.expiration = next.expiration
		}
		if old != nil {
			s.setRow(e, next.id, next)
		} else {
			s.lists.changed(e.CreationDate, "", nil)
		}
	}
}

// setRow replaces a row, or takes it away. Rows are never changed, since lists keep them. The caller holds mu.
func (s *Server) setRow(e Event, id string, next *row) {
	if next == nil {
		delete(s.rows, id)
	} else {
		s.rows[id] = next
	}
	s.lists.changed(e.CreationDate, id, next)
}

// applyToUser changes the sessions of a user: they are gone for good when it is locked, deactivated or removed (that they stay
// away when it is unlocked was seen once, and is not in the recordings), and lose the password when that changes, without a new
// sequence or date. The caller holds mu.
func (s *Server) applyToUser(e Event) {
	var change func(r *row) *row
	switch e.Type {
	case "user.locked", "user.deactivated", "user.removed":
		change = func(*row) *row { return nil }
	case "user.human.password.changed":
		change = func(r *row) *row {
			if r.password.IsZero() || !r.password.Before(e.CreationDate) {
				return r
			}
			next := *r
			next.password = time.Time{}
			return &next
		}
	default:
		return
	}
	for id, r := range s.rows {
		if r.userID != e.AggregateID {
			continue
		}
		if next := change(r); next != r {
			s.setRow(e, id, next)
		}
	}
}
