package near

import (
	"sync/atomic"
	"weak"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// keptPage is a page that was put together from copies. It is good in their epoch, as
// long as none of them changes or ends (index.Evidence). It keeps no copy in memory.
type keptPage struct {
	epoch    uint64
	total    uint64
	sessions []weak.Pointer[session.Stored]
	evidence *index.Evidence
	asked    atomic.Uint32
}

// pageTurn has one in so many answers put together from copies again, so that these are
// not taken for copies that nobody asks for, and driven out.
const pageTurn = 16

// Page returns the page that was kept under a key, as of now, and how many sessions it
// was chosen from. ok is false if there is none, or if it cannot be answered from copies
// now.
func (n *Cache) Page(key string) (page *index.Page, candidates int, ok bool) {
	if n == nil {
		return nil, 0, false
	}
	kept, ok := n.pages.GetIfPresent(key)
	if !ok || kept.asked.Add(1)%pageTurn == 0 {
		return nil, 0, false
	}
	defer func() { n.countPage(ok) }()
	now := n.config.Clock()
	epoch, usable := n.begin()
	if !usable || kept.epoch != epoch {
		return nil, 0, false
	}
	page = &index.Page{Total: kept.total, At: now, Sessions: make([]*session.Stored, len(kept.sessions))}
	for i, s := range kept.sessions {
		if page.Sessions[i] = s.Value(); page.Sessions[i] == nil {
			return nil, 0, false
		}
	}
	if !kept.evidence.Holds(now) || !n.holds(epoch) {
		return nil, 0, false
	}
	candidates = kept.evidence.Copies() - 1 // the other is the list
	n.lists.count(1, 0)
	n.sessions.count(candidates, 0)
	return page, candidates, true
}

// Keep keeps a page of a user's sessions under a key, if nothing but copies have made
// it since Begin. It is called when Holds has said yes.
func (a Answer) Keep(key string, page *index.Page, e *index.Evidence) {
	if !e.Holds(page.At) {
		return
	}
	kept := &keptPage{epoch: a.epoch, total: page.Total, sessions: make([]weak.Pointer[session.Stored], len(page.Sessions)), evidence: e}
	for i, s := range page.Sessions {
		kept.sessions[i] = weak.Make(s)
	}
	a.near.pages.Set(key, kept)
}

func (n *Cache) countPage(answered bool) {
	if answered {
		n.pageHits.Add(1)
	} else {
		n.pageMisses.Add(1)
	}
}

// weighPage tells the bytes of a page, without its sessions.
func weighPage(key string, p *keptPage) uint32 {
	return uint32(copyBytes + len(key) + 8*len(p.sessions) + 16*p.evidence.Copies())
}

// marks count the changes of copies. Many copies share a counter, so a page may have to
// be put together once more though nothing of it has changed.
type marks [1 << 16]atomic.Uint32

// mark returns the mark of a key. It is taken before the copy is looked up, so that what
// changes in between counts. (I3)
func (s *copies[K, V]) mark(key K) index.Mark {
	m := s.changes(key)
	return index.Mark{Changes: m, Was: m.Load()}
}

// changed changes the mark of a key.
func (s *copies[K, V]) changed(key K) {
	if s.marks != nil {
		s.changes(key).Add(1)
	}
}

func (s *copies[K, V]) changes(key K) *atomic.Uint32 {
	return &s.marks[s.hash(key)>>16%uint64(len(s.marks))]
}
