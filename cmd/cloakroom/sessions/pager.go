package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
)

// maxPage is how many sessions are asked for at a time.
const maxPage = 250

// pager asks for page after page. Cloakroom goes on by cursors, which lose nothing while sessions come
// and go. In front of a ZITADEL, which has none, it goes on from the creation date of the last session,
// and passes over what it has listed of that date.
type pager struct {
	*call
	search apiclient.Search
	size   int    // how many sessions a page has at most
	total  uint64 // by the first page
	begun  bool
	// cursors says that what answers has them, done that there is no further page.
	cursors, done bool
	// last is the creation date that it goes on from, zero before there is one, and seen are the
	// sessions of that date, by ID.
	last time.Time
	seen map[string]bool
}

func (c *call) pager() *pager {
	return &pager{call: c, search: c.search(), size: maxPage, seen: map[string]bool{}}
}

// search is the search of the flags.
func (c *call) search() apiclient.Search {
	return apiclient.Search{Queries: c.queries, Ascending: c.on("asc"), Fresh: c.on("fresh")}
}

// next returns the next page, of so many sessions at most, 0 and less for any number.
func (p *pager) next(ctx context.Context, most int) (page *apiclient.Page, err error) {
	defer terminal.Spin(p.Stderr, "searching")()
	short := limited(&p.search, p.size, most, func() error {
		page, err = p.client.List(ctx, &p.search)
		return err
	})
	if err != nil {
		return nil, err
	}
	if short {
		p.size = max(1, len(page.Sessions))
	}
	if !p.begun {
		p.total, p.begun = page.Total, true
	}
	switch p.search.Cursor = page.Next; {
	case page.Next != "":
		p.cursors = true
	case p.cursors:
		p.done = true
	case p.search.Limit > 0 && len(page.Sessions) < p.search.Limit && p.search.Offset+len(page.Sessions) >= int(page.Total),
		p.search.Limit == 0 && len(page.Sessions) == 0:
		p.done = true
		page.Sessions = p.fresh(page.Sessions)
	default:
		p.goOnByDate(page)
	}
	return page, nil
}

// fresh leaves out the sessions that were seen.
func (p *pager) fresh(sessions []json.RawMessage) (fresh []json.RawMessage) {
	for _, s := range sessions {
		if id, _ := idAndDate(s); !p.seen[id] {
			fresh = append(fresh, s)
		}
	}
	return fresh
}

// goOnByDate leaves out what was seen of a page, and prepares the next one.
func (p *pager) goOnByDate(page *apiclient.Page) {
	length := len(page.Sessions)
	page.Sessions = p.fresh(page.Sessions)
	before := p.last
	for _, s := range page.Sessions {
		id, created := idAndDate(s)
		if !created.Equal(p.last) {
			p.last, p.seen = created, map[string]bool{}
		}
		p.seen[id] = true
	}
	if p.last.Equal(before) { // one page is not enough for that date
		p.search.Offset += max(length, p.search.Limit)
		p.done = len(page.Sessions) == 0 && p.search.Offset >= int(page.Total)
		return
	}
	p.search.Offset = 0
	q := apiclient.CreatedUntil(p.last)
	if p.search.Ascending {
		q = apiclient.CreatedFrom(p.last)
	}
	p.search.Queries = append(p.queries[:len(p.queries):len(p.queries)], q)
}

// limited asks for a page of size or most sessions at most, whichever is less; most counts if it is above
// 0. If the sidecar's pages are shorter it asks again for one as long as the sidecar likes, and says so.
func limited(s *apiclient.Search, size, most int, ask func() error) (short bool) {
	if s.Limit = size; most > 0 {
		s.Limit = min(most, size)
	}
	if !errors.Is(ask(), apiclient.ErrLimit) {
		return false
	}
	s.Limit = 0
	_ = ask() // it keeps its error
	return true
}

// idAndDate returns the ID of a session and its creation date, "" and zero if it has none.
func idAndDate(text json.RawMessage) (string, time.Time) {
	var s struct {
		ID           string
		CreationDate time.Time
	}
	_ = json.Unmarshal(text, &s) // what cannot be read has neither
	return s.ID, s.CreationDate
}
