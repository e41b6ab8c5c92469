package httpapi

import (
	"context"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

// listSessions answers ListSessions. The documents go into the answer as they
// are stored.
func (s *Server) listSessions(ctx context.Context, c *call, q *listRequest) error {
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
