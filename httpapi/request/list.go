// Package request reads what requests say: the JSON of ZITADEL's messages, and of ours,
// into a search, a change of a session, or the name of one. Look here for members, their
// bounds, the texts of what is wrong with them, and cursors; what a request is answered
// is in httpapi, and whole sessions are read in internal/session.
package request

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// MaxQueries bounds the predicates of one search.
const MaxQueries = 100

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

// List is ListSessionsRequest.
type List struct {
	// Query is what is searched for; its Limit is not set.
	Query index.Query
	// Limit is how many sessions the page may have; 0 takes the default.
	Limit uint32
	// Explain says that the answer is to tell how the search was answered; never in beta.
	Explain bool
	// cursor is nil if none was given: then the page begins at the offset.
	cursor *string
	// few is where the predicates of an ordinary search are.
	few [4]index.Predicate
}

// listDecoder reads a ListSessionsRequest. What is wrong with
// its meaning is kept in fault, so that a fault of its syntax comes first.
type listDecoder struct {
	*protojson.Reader
	*List
	caller *caller.Caller
	beta   bool
	// message is what faults call the request.
	message string
	// strict refuses dates that are left out.
	strict bool
	// next is the predicate under way, and number which one it is.
	next   index.Predicate
	number int
	fault  error
}

// DecodeList reads a ListSessionsRequest of a caller. beta is the older version of the
// API. If fresh, no copy and no replica may answer.
func DecodeList(body []byte, c *caller.Caller, beta, fresh bool) (*List, error) {
	q := new(List)
	q.Query.Predicates = q.few[:0]
	q.Query.Sees = c.Sees()
	if fresh {
		q.Query.Reads = index.ReadMasters
	}
	d := listDecoder{List: q, caller: c, beta: beta, message: "ListSessionsRequest"}
	err := protojson.Decode(body, func(r *protojson.Reader) error {
		d.Reader = r
		return r.Object(d.request)
	})
	if err == nil {
		err = d.fault
	}
	if err == nil {
		err = q.goOn()
	}
	return q, err
}

func (d *listDecoder) request(name string) error {
	switch name {
	case "query":
		return d.Object(func(name string) error {
			switch name {
			case "offset":
				return d.Uint64(&d.Query.Offset)
			case "limit":
				return d.Uint32(&d.Limit)
			case "asc":
				return d.Bool(&d.Query.Ascending)
			case "cursor":
				return d.OptionalString(&d.cursor)
			}
			return nil
		})
	case "queries":
		return d.Messages(d.searchQuery)
	case "sortingColumn":
		// Both columns sort by creation date.
		var column int32
		return d.Enum(&column, sortingColumns)
	case explainMember:
		if !d.beta {
			return d.Bool(&d.Explain)
		}
	}
	return nil
}

const explainMember = "explain"

// WithoutExplain returns the body of a search as it would be if it did not ask for an
// explanation. It must be one that DecodeList takes.
func WithoutExplain(body []byte) []byte { return protojson.Without(body, explainMember) }

// Explains says whether a body asks for an explanation, whatever else is in it, or wrong
// with it.
func Explains(body []byte) (explains bool) {
	_ = protojson.Decode(body, func(r *protojson.Reader) error {
		return r.Object(func(name string) error {
			if name == explainMember {
				return r.Bool(&explains)
			}
			return nil
		})
	})
	return explains
}

// searchQuery reads one of the queries: an object with exactly one member.
func (d *listDecoder) searchQuery(i int) error {
	if i == MaxQueries {
		return d.Fail(fmt.Sprintf("must have at most %d queries", MaxQueries))
	}
	var taken string
	d.next, d.number = index.Predicate{}, i
	err := d.Object(func(name string) error {
		if !d.knows(name) {
			return nil
		}
		if ok, err := d.Member(&taken, name); err != nil || !ok {
			return err
		}
		return d.member(name)
	})
	if err != nil {
		return err
	}
	if taken == "" {
		d.wrong(causedBy(fmt.Sprintf("%s.Queries[%d]", d.message, i), "SearchQuery.Query: value is required"))
		return nil
	}
	switch {
	case d.next.Kind == index.KindCreator && d.next.Value == "":
		d.wrong(errCreatorQuery)
	case d.next.Kind == index.KindAgent && d.next.Value == "":
		d.wrong(errAgentQuery)
	}
	d.Query.Predicates = append(d.Query.Predicates, d.next)
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

// member reads the query of that name.
func (d *listDecoder) member(name string) error {
	switch name {
	case "idsQuery":
		return d.ids()
	case "userIdQuery":
		d.next = index.ByUser("")
		return d.Object(func(name string) error {
			if name != "id" {
				return nil
			}
			return d.String(&d.next.Value)
		})
	case "creatorQuery":
		d.next = index.ByCreator(d.caller.UserID)
		return d.optionalName("id", "CreatorQuery", "CreatorQuery.Id")
	case "userAgentQuery":
		d.next = index.ByAgent(d.caller.AgentID)
		return d.optionalName("fingerprintId", "UserAgentQuery", "UserAgentQuery.FingerprintId")
	case "creationDateQuery":
		return d.dates("creationDate", index.ByCreation)
	default:
		return d.dates("expirationDate", index.ByExpiration)
	}
}

func (d *listDecoder) ids() error {
	var ids []session.ID
	err := d.Object(func(name string) error {
		if name != "ids" {
			return nil
		}
		return d.Array(func(int) error {
			var id string
			err := d.String(&id)
			ids = append(ids, session.ID(id))
			return err
		})
	})
	d.next = index.ByIDs(ids...)
	return err
}

// optionalName reads a name of at most 200 characters over the one that the
// predicate has.
func (d *listDecoder) optionalName(field, query, where string) error {
	return d.Object(func(name string) error {
		if name != field {
			return nil
		}
		err := d.String(&d.next.Value)
		if utf8.RuneCountInString(d.next.Value) > session.MaxNameLen {
			d.wrong(causedBy(fmt.Sprintf("%s.Queries[%d]", d.message, d.number), "SearchQuery."+query+": embedded message failed validation",
				where+": value length must be at most 200 runes"))
		}
		return err
	})
}

// dates reads a date and how to compare with it. Without a date it is the
// epoch, without a method it is equality.
func (d *listDecoder) dates(field string, by func(index.Dates) index.Predicate) error {
	date, method := time.Unix(0, 0).UTC(), int32(index.Equals)
	given := false
	err := d.Object(func(name string) error {
		switch name {
		case field:
			if d.Null() {
				return nil
			}
			given = true
			return d.Time(&date)
		case "method":
			return d.Enum(&method, timestampMethods)
		}
		return nil
	})
	if d.strict && !given {
		d.wrong(invalid(d.message, fmt.Sprintf("Queries[%d]", d.number), field+" is required"))
	}
	d.next = by(index.Compare(index.Method(method), date))
	return err
}

func (d *listDecoder) wrong(err error) {
	if d.fault == nil {
		d.fault = err
	}
}
