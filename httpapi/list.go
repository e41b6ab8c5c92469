package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// maxQueries bounds the predicates of one search.
const maxQueries = 100

var sortingColumns = map[string]int32{
	"SESSION_FIELD_NAME_UNSPECIFIED":   0,
	"SESSION_FIELD_NAME_CREATION_DATE": 1,
}

var timestampMethods = map[string]int32{
	"TIMESTAMP_QUERY_METHOD_EQUALS":            int32(index.Equals),
	"TIMESTAMP_QUERY_METHOD_GREATER":           int32(index.Greater),
	"TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS": int32(index.GreaterOrEquals),
	"TIMESTAMP_QUERY_METHOD_LESS":              int32(index.Less),
	"TIMESTAMP_QUERY_METHOD_LESS_OR_EQUALS":    int32(index.LessOrEquals),
}

// listDecoder reads a ListSessionsRequest. What is wrong with its meaning is
// kept in fault, so that a fault of its syntax comes first.
type listDecoder struct {
	*protojson.Reader
	caller *caller
	beta   bool
	query  index.Query
	limit  uint32
	fault  error
}

func decodeList(c *call) (listRequest, error) {
	d := listDecoder{caller: c.caller, beta: c.route.beta}
	d.query.Sees = c.caller.sees()
	err := protojson.Decode(c.body, func(r *protojson.Reader) error {
		d.Reader = r
		return r.Object(d.request)
	})
	if err == nil {
		err = d.fault
	}
	return listRequest{d.query, d.limit}, err
}

// listRequest is ListSessionsRequest; limit 0 takes the default.
type listRequest struct {
	query index.Query
	limit uint32
}

func (d *listDecoder) request(name string) error {
	switch name {
	case "query":
		return d.Object(func(name string) error {
			switch name {
			case "offset":
				return d.Uint64(&d.query.Offset)
			case "limit":
				return d.Uint32(&d.limit)
			case "asc":
				return d.Bool(&d.query.Ascending)
			}
			return nil
		})
	case "queries":
		return d.Messages(d.searchQuery)
	case "sortingColumn":
		// Both columns sort by creation date.
		var column int32
		return d.Enum(&column, sortingColumns)
	}
	return nil
}

// searchQuery reads one of the queries: an object with exactly one member.
func (d *listDecoder) searchQuery(i int) error {
	if i == maxQueries {
		return d.Fail(fmt.Sprintf("must have at most %d queries", maxQueries))
	}
	var taken string
	var p index.Predicate
	err := d.Object(func(name string) error {
		if !d.knows(name) {
			return nil
		}
		if ok, err := d.Member(&taken, name); err != nil || !ok {
			return err
		}
		return d.Object(d.member(name, &p, i))
	})
	if err != nil {
		return err
	}
	if taken == "" {
		d.wrong(causedBy(fmt.Sprintf("ListSessionsRequest.Queries[%d]", i), "SearchQuery.Query: value is required"))
		return nil
	}
	switch {
	case p.Kind == index.KindCreator && p.Value == "":
		d.wrong(errCreatorQuery)
	case p.Kind == index.KindAgent && p.Value == "":
		d.wrong(errAgentQuery)
	}
	d.query.Predicates = append(d.query.Predicates, p)
	return nil
}

// knows says whether name is one of the queries.
func (d *listDecoder) knows(name string) bool {
	switch name {
	case "idsQuery", "userIdQuery", "creationDateQuery":
		return true
	case "creatorQuery", "userAgentQuery", "expirationDateQuery":
		return !d.beta
	}
	return false
}

// member makes p the query of that name and returns what reads its fields.
func (d *listDecoder) member(name string, p *index.Predicate, i int) func(string) error {
	switch name {
	case "idsQuery":
		*p = index.ByIDs()
		return func(name string) error {
			if name != "ids" {
				return nil
			}
			var ids []session.ID
			err := d.Array(func(int) error {
				var id string
				err := d.String(&id)
				ids = append(ids, session.ID(id))
				return err
			})
			*p = index.ByIDs(ids...)
			return err
		}
	case "userIdQuery":
		*p = index.ByUser("")
		return func(name string) error {
			if name != "id" {
				return nil
			}
			return d.String(&p.Value)
		}
	case "creatorQuery":
		*p = index.ByCreator(d.caller.userID)
		return d.optionalName("id", p, i, "CreatorQuery", "CreatorQuery.Id")
	case "userAgentQuery":
		*p = index.ByAgent(d.caller.agentID)
		return d.optionalName("fingerprintId", p, i, "UserAgentQuery", "UserAgentQuery.FingerprintId")
	case "creationDateQuery":
		return d.dates("creationDate", p, index.ByCreation)
	default:
		return d.dates("expirationDate", p, index.ByExpiration)
	}
}

// optionalName reads a name of at most 200 characters over the one that p has.
func (d *listDecoder) optionalName(field string, p *index.Predicate, i int, query, where string) func(string) error {
	return func(name string) error {
		if name != field {
			return nil
		}
		err := d.String(&p.Value)
		if utf8.RuneCountInString(p.Value) > session.MaxNameLen {
			d.wrong(causedBy(fmt.Sprintf("ListSessionsRequest.Queries[%d]", i), "SearchQuery."+query+": embedded message failed validation",
				where+": value length must be at most 200 runes"))
		}
		return err
	}
}

// dates reads a date and how to compare with it. Without a date it is the
// epoch, without a method it is equality.
func (d *listDecoder) dates(field string, p *index.Predicate, by func(index.Dates) index.Predicate) func(string) error {
	date, method := time.Unix(0, 0).UTC(), int32(index.Equals)
	*p = by(index.Compare(index.Equals, date))
	return func(name string) error {
		var err error
		switch name {
		case field:
			err = d.Time(&date)
		case "method":
			err = d.Enum(&method, timestampMethods)
		}
		*p = by(index.Compare(index.Method(method), date))
		return err
	}
}

func (d *listDecoder) wrong(err error) {
	if d.fault == nil {
		d.fault = err
	}
}

// causedBy is a fault of an embedded message, in the words of ZITADEL's validation.
func causedBy(field string, causes ...string) error {
	text := "invalid " + field + ": embedded message failed validation"
	for _, cause := range causes {
		text += " | caused by: invalid " + cause
	}
	return &apiError{code: codeInvalid, text: text}
}

// listSessions answers ListSessions. The documents go into the answer as they
// are stored.
func (s *Server) listSessions(ctx context.Context, c *call, q listRequest) error {
	if uint64(q.limit) > uint64(s.config.MaxLimit) {
		return errLimit
	}
	q.query.Limit = int(q.limit)
	if q.limit == 0 {
		q.query.Limit = s.config.DefaultLimit
	}
	page, err := s.config.Store.Search(ctx, &q.query)
	if err != nil {
		return err
	}
	c.writePage(page)
	return c.end(http.StatusOK)
}

func (c *call) writePage(page *index.Page) {
	c.out = append(c.out, `{"details":{"totalResult":`...)
	c.out = protojson.AppendUint64(c.out, page.Total)
	c.out = append(c.out, `,"processedSequence":"0","timestamp":`...)
	c.out = protojson.AppendTime(c.out, int64(page.At))
	c.out = append(c.out, `},"sessions":[`...)
	for i, stored := range page.Sessions {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.flush()
		c.http.Response.AppendBody(stored.Doc)
	}
	c.out = append(c.out, ']')
}
