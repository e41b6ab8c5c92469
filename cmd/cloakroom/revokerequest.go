package main

import (
	"strings"
	"time"
)

// request is the body of POST /v2/sessions/revoke.
type request struct {
	Queries   []query  `json:"queries,omitempty"`
	All       bool     `json:"all,omitempty"`
	ExceptIDs []string `json:"exceptIds,omitempty"`
	DryRun    bool     `json:"dryRun"`
}

// query has one member.
type query struct {
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
	greater = "TIMESTAMP_QUERY_METHOD_GREATER"
)

// dateFlag is a flag that compares a date.
type dateFlag struct {
	name, words string
	query       func(time.Time) query
}

var dateFlags = [4]dateFlag{
	{"created-before", "created before %", func(t time.Time) query { return query{Creation: &byCreation{t, less}} }},
	{"created-after", "created after %", func(t time.Time) query { return query{Creation: &byCreation{t, greater}} }},
	{"expires-before", "ending before %", func(t time.Time) query { return query{Expiration: &byExpiration{t, less}} }},
	{"expires-after", "ending after % or never", func(t time.Time) query { return query{Expiration: &byExpiration{t, greater}} }},
}

// parse returns the query that the flag's value asks for, and words for it.
func (f *dateFlag) parse(text string) (q query, words string, err error) {
	t, err := time.Parse(time.RFC3339, text)
	return f.query(t), strings.Replace(f.words, "%", text, 1), err
}
