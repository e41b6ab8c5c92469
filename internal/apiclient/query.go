package apiclient

import "time"

// Query finds sessions by one thing that they have. The functions below make it.
type Query struct {
	IDs        *byIDs         `json:"idsQuery,omitempty"`
	User       *byID          `json:"userIdQuery,omitempty"`
	Creator    *byID          `json:"creatorQuery,omitempty"`
	Agent      *byFingerprint `json:"userAgentQuery,omitempty"`
	Creation   *byCreation    `json:"creationDateQuery,omitempty"`
	Expiration *byExpiration  `json:"expirationDateQuery,omitempty"`
}

type (
	byIDs struct {
		IDs []string `json:"ids"`
	}
	byID struct {
		ID string `json:"id"`
	}
	byFingerprint struct {
		ID string `json:"fingerprintId"`
	}
	byCreation struct {
		Date   time.Time `json:"creationDate"`
		Method string    `json:"method"`
	}
	byExpiration struct {
		Date   time.Time `json:"expirationDate"`
		Method string    `json:"method"`
	}
)

const (
	less    = "TIMESTAMP_QUERY_METHOD_LESS"
	atMost  = "TIMESTAMP_QUERY_METHOD_LESS_OR_EQUALS"
	greater = "TIMESTAMP_QUERY_METHOD_GREATER"
	atLeast = "TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS"
)

// WithID finds the sessions with one of the IDs.
func WithID(ids ...string) Query { return Query{IDs: &byIDs{ids}} }

// OfUser finds the sessions of a user.
func OfUser(id string) Query { return Query{User: &byID{id}} }

// OfAgent finds the sessions of the user agent with this fingerprint ID.
func OfAgent(id string) Query { return Query{Agent: &byFingerprint{id}} }

// CreatedBy finds the sessions that the caller with this user ID created.
func CreatedBy(id string) Query { return Query{Creator: &byID{id}} }

// CreatedBefore finds the sessions that were created before t.
func CreatedBefore(t time.Time) Query { return Query{Creation: &byCreation{t, less}} }

// CreatedAfter finds the sessions that were created after t.
func CreatedAfter(t time.Time) Query { return Query{Creation: &byCreation{t, greater}} }

// CreatedUntil finds the sessions that were created at t or before.
func CreatedUntil(t time.Time) Query { return Query{Creation: &byCreation{t, atMost}} }

// CreatedFrom finds the sessions that were created at t or after.
func CreatedFrom(t time.Time) Query { return Query{Creation: &byCreation{t, atLeast}} }

// EndingBefore finds the sessions that end before t.
func EndingBefore(t time.Time) Query { return Query{Expiration: &byExpiration{t, less}} }

// EndingAfter finds the sessions that end after t, or never.
func EndingAfter(t time.Time) Query { return Query{Expiration: &byExpiration{t, greater}} }
