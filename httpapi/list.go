package httpapi

import (
	"context"
	"encoding/binary"
	"errors"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

func decodeList(c *call) (*request.List, error) {
	return request.DecodeList(c.body, c.caller, c.route.beta, c.fresh)
}

// listAgain answers ListSessions with the page that this search had before, if it would
// have the same now; else it searches.
func listAgain(search handler) handler {
	return func(s *Server, ctx context.Context, c *call) error {
		if c.nameSearch() {
			if page, ok := s.config.Store.Page(c.search); ok {
				c.writePage(page, "")
				return c.end(http.StatusOK)
			}
		}
		return search(s, ctx, c)
	}
}

// maxSearchBody is the longest body of a search, in bytes, whose page is kept.
const maxSearchBody = 1 << 10

// nameSearch sets c.search to what tells this search from every other one: the body, and
// the caller. It says no if its page is not to be kept.
func (c *call) nameSearch() bool {
	if c.fresh || !c.caller.Read.All || len(c.body) > maxSearchBody {
		return false
	}
	version := byte('2')
	if c.route.beta {
		version = 'b'
	}
	// The caller's own IDs stand for those that a query leaves out.
	b := binary.AppendUvarint(append(c.search[:0], version), uint64(len(c.caller.UserID)))
	b = binary.AppendUvarint(append(b, c.caller.UserID...), uint64(len(c.caller.AgentID)))
	c.search = append(append(b, c.caller.AgentID...), c.body...)
	return true
}

// listSessions answers ListSessions. The documents go into the answer as they
// are stored.
func (s *Server) listSessions(ctx context.Context, c *call, q *request.List) error {
	if uint64(q.Limit) > uint64(s.config.MaxLimit) {
		return errLimit
	}
	q.Query.Limit = int(q.Limit)
	if q.Limit == 0 {
		q.Query.Limit = s.config.DefaultLimit
	}
	if q.Explain {
		return s.explainSessions(ctx, c, q)
	}
	page, err := s.config.Store.SearchAs(ctx, &q.Query, c.search)
	if err != nil {
		return err
	}
	c.writePage(page, request.NextCursor(&q.Query, page))
	page.Release()
	return c.end(http.StatusOK)
}

// explainSessions answers ListSessions, and says how it was answered.
func (s *Server) explainSessions(ctx context.Context, c *call, q *request.List) error {
	if !c.caller.Read.All {
		return errExplain
	}
	// It runs as it would if it asked for no explanation.
	c.body = request.WithoutExplain(c.body)
	var key []byte
	if c.nameSearch() {
		key = c.search
	}
	page, e, err := s.config.Store.Explain(ctx, &q.Query, key)
	if _, refused := errors.AsType[*index.TooCostlyError](err); refused {
		why := *asAPIError(err)
		why.Explain = string(appendExplanation(nil, e))
		return &why
	}
	if err != nil {
		return err
	}
	c.writePage(page, request.NextCursor(&q.Query, page))
	page.Release()
	c.out = appendExplanation(append(c.out, `,"explain":`...), e)
	return c.end(http.StatusOK)
}

// appendExplanation appends an explanation in JSON.
func appendExplanation(b []byte, e *cache.Explanation) []byte {
	text := func(name, value string) { b = protojson.AppendString(append(b, name...), value) }
	number := func(name string, value int64) { b = protojson.AppendUint64(append(b, name...), uint64(value)) }
	text(`{"plan":`, e.Plan)
	b = append(b, `,"driver":{`...)
	if e.Predicate != "" {
		text(`"predicate":`, e.Predicate)
		b = append(b, ',')
	}
	text(`"lists":`, e.Lists)
	b = append(b, `},"steps":[`...)
	for i, step := range e.Steps {
		if i > 0 {
			b = append(b, ',')
		}
		b = protojson.AppendString(b, string(step))
	}
	number(`],"candidates":`, e.Candidates)
	number(`,"examined":`, e.Examined)
	number(`,"limit":`, int64(e.Limit))
	number(`,"documents":{"copies":`, int64(e.Copies))
	number(`,"redis":`, int64(e.Redis))
	number(`,"replicas":`, int64(e.Replicas))
	number(`},"roundTrips":`, e.RoundTrips)
	if e.Costly {
		number(`,"costly":{"waitedMicroseconds":`, e.Waited.Microseconds())
		b = append(b, '}')
	}
	number(`,"microseconds":`, e.Took.Microseconds())
	return append(b, '}')
}

// writePage writes a page, and the cursor of the next one unless that is "".
func (c *call) writePage(page *index.Page, next string) {
	size := pageOverhead + len(next)
	for _, stored := range page.Sessions {
		size += len(stored.Doc) + len(",")
	}
	c.begin(size)
	b := append(c.out, `{"details":{"totalResult":`...)
	b = protojson.AppendUint64(b, page.Total)
	b = append(b, `,"processedSequence":"0","timestamp":`...)
	b = protojson.AppendTime(b, int64(page.At))
	if next != "" {
		b = append(b, `,"nextCursor":"`...)
		b = append(b, next...)
		b = append(b, '"')
	}
	b = append(b, `},"sessions":[`...)
	for i, stored := range page.Sessions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, stored.Doc...)
	}
	c.out = append(b, ']')
}

// pageOverhead is how long a page is without sessions, at most.
const pageOverhead = 160
