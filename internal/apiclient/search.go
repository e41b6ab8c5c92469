package apiclient

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// readTimeout bounds one question, whose answer a sidecar gives up after 10 seconds.
	readTimeout = time.Minute
	// maxPage and maxSession bound the answers to List and Get, in bytes: a session has 1 MiB
	// at most, wherever its largest size is set to, and a page 250 of them by default.
	maxPage, maxSession = 256 << 20, 8 << 20
)

// Search is what List looks for.
type Search struct {
	// Queries must all hold; without any, every session does that the caller may see.
	Queries []Query
	// Ascending has the oldest session first, else the newest is.
	Ascending bool
	// Limit is how many sessions a page may have; 0 leaves it to the sidecar.
	Limit int
	// Cursor is "" for the first page, and then the Next of the page before. Offset is how many
	// sessions are passed over, in place of a cursor, unless it is 0.
	Cursor string
	Offset int
	// Fresh has Redis' masters answer, and no copy.
	Fresh bool
}

// Page is an answer to List.
type Page struct {
	// Sessions are as the API has them.
	Sessions []json.RawMessage
	// Total counts all that match, on this page and others.
	Total uint64
	// At is the instant for which the answer holds, by the clock of the store; zero if it is not said.
	At time.Time
	// Next is the cursor of the next page, "" if there is none, or if what answers has no cursors: a
	// ZITADEL behind the sidecar has none.
	Next string
}

// ErrLimit says that the sidecar has smaller pages than it was asked for.
var ErrLimit = errors.New("the limit of the search is above --search-max-limit of the sidecar")

// ErrNoSession says that there is no session with an ID, or that the caller may not see it.
var ErrNoSession = errors.New("there is no such session")

// errLimitID and errNoSessionID are ZITADEL's IDs of these errors.
const errLimitID, errNoSessionID = "QUERY-4M0fs", "QUERY-SFeaa"

// body is the body of a search.
func (s *Search) body(explain bool) any {
	type query struct {
		Limit  int     `json:"limit,omitempty"`
		Asc    bool    `json:"asc"`
		Cursor *string `json:"cursor,omitempty"`
		Offset int     `json:"offset,omitempty"`
	}
	q := query{Limit: s.Limit, Asc: s.Ascending, Offset: s.Offset}
	if s.Offset == 0 {
		q.Cursor = &s.Cursor
	}
	return struct {
		Query   query   `json:"query"`
		Queries []Query `json:"queries,omitempty"`
		Sorting string  `json:"sortingColumn"` // without it ZITADEL has no order
		Explain bool    `json:"explain,omitempty"`
	}{q, s.Queries, "SESSION_FIELD_NAME_CREATION_DATE", explain}
}

// List asks for one page of a search. Its errors are for people, and say what to do, but for ErrLimit.
func (c *Client) List(ctx context.Context, s *Search) (*Page, error) {
	text, err := c.ask(ctx, http.MethodPost, "/v2/sessions/search", s.body(false), s.Fresh, maxPage)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Details *struct {
			TotalResult, NextCursor string
			Timestamp               time.Time
		}
		Sessions []json.RawMessage
	}
	if json.Unmarshal(text, &answer) != nil || answer.Details == nil {
		return nil, c.unlike()
	}
	total, err := strconv.ParseUint(cmp.Or(answer.Details.TotalResult, "0"), 10, 64) // ZITADEL leaves out a 0
	if err != nil {
		return nil, c.unlike()
	}
	return &Page{answer.Sessions, total, answer.Details.Timestamp, answer.Details.NextCursor}, nil
}

// Get asks for one session, and returns it as the API has it. Its errors are for people, and
// say what to do, but for ErrNoSession.
func (c *Client) Get(ctx context.Context, id string, fresh bool) (json.RawMessage, error) {
	text, err := c.ask(ctx, http.MethodGet, "/v2/sessions/"+url.PathEscape(id), nil, fresh, maxSession)
	if err != nil {
		return nil, err
	}
	var answer struct{ Session json.RawMessage }
	if json.Unmarshal(text, &answer) != nil || !bytes.HasPrefix(answer.Session, []byte("{")) {
		return nil, c.unlike()
	}
	return answer.Session, nil
}

// Explained is an answer to Explain.
type Explained struct {
	// JSON is the explanation as the API has it.
	JSON json.RawMessage
	// Total counts all that match; it is 0 if the search was refused.
	Total uint64
	// Refused says why the sidecar does not answer this search, nil if it does.
	Refused error
}

// Explain asks how the sidecar finds a page. Its errors are as those of List.
func (c *Client) Explain(ctx context.Context, s *Search) (*Explained, error) {
	status, text, err := c.question(ctx, http.MethodPost, "/v2/sessions/search", s.body(true), s.Fresh, maxPage)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Details json.RawMessage // an object, or with an error a list
		Explain json.RawMessage
	}
	explained := json.Unmarshal(text, &answer) == nil && bytes.HasPrefix(answer.Explain, []byte("{"))
	switch {
	case status == http.StatusTooManyRequests && explained:
		return &Explained{JSON: answer.Explain, Refused: c.refused(status, text)}, nil
	case status != http.StatusOK:
		return nil, c.failure(status, text)
	case !explained:
		return nil, fmt.Errorf("%s explains no search: it is of an older version", c.name)
	}
	var details struct{ TotalResult string }
	_ = json.Unmarshal(answer.Details, &details) // then the total is empty
	total, err := strconv.ParseUint(details.TotalResult, 10, 64)
	if err != nil {
		return nil, c.unlike()
	}
	return &Explained{JSON: answer.Explain, Total: total}, nil
}

// question sends a question and returns the status and the body of its answer.
func (c *Client) question(ctx context.Context, method, path string, body any, fresh bool, most int64) (status int, text []byte, err error) {
	asking, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status, text, err = c.send(asking, method, path, body, fresh, most)
	switch {
	case ctx.Err() != nil:
		return 0, nil, errors.New("interrupted")
	case err != nil:
		err, _ = c.unreached(err)
	}
	return status, text, err
}

// ask sends a question and returns the answer, which is a success.
func (c *Client) ask(ctx context.Context, method, path string, body any, fresh bool, most int64) ([]byte, error) {
	status, text, err := c.question(ctx, method, path, body, fresh, most)
	if err != nil || status == http.StatusOK {
		return text, err
	}
	return nil, c.failure(status, text)
}

// failure is what an answer that is no success means.
func (c *Client) failure(status int, text []byte) error {
	var answer struct{ Details []struct{ ID string } }
	if json.Unmarshal(text, &answer) == nil && len(answer.Details) == 1 {
		switch answer.Details[0].ID {
		case errLimitID:
			return ErrLimit
		case errNoSessionID:
			return ErrNoSession
		}
	}
	return c.refused(status, text)
}
