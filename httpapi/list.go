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
	size := pageOverhead
	for _, stored := range page.Sessions {
		size += len(stored.Doc) + len(",")
	}
	c.begin(size)
	b := append(c.out, `{"details":{"totalResult":`...)
	b = protojson.AppendUint64(b, page.Total)
	b = append(b, `,"processedSequence":"0","timestamp":`...)
	b = protojson.AppendTime(b, int64(page.At))
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
