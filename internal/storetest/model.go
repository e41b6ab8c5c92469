package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Model is a session store in a map. It does everything in the plainest way:
// a search looks at every session. Its costs are those of brute force, so it
// is for tests. It is safe for concurrent use.
type Model struct {
	clock  func() session.Time
	limits Limits

	mu         sync.Mutex
	sessions   map[session.ID]*session.Stored
	tombstones map[session.ID]tombstone
	ends       map[session.EndName]session.End
	versions   int
}

type tombstone struct {
	sequence uint64
	until    session.Time
}

// NewModel returns an empty model whose time is clock's.
func NewModel(clock func() session.Time, l Limits) *Model {
	if l.MaxCandidates == 0 {
		l.MaxCandidates = defaultMaxCandidates
	}
	return &Model{
		clock:      clock,
		limits:     l,
		sessions:   make(map[session.ID]*session.Stored),
		tombstones: make(map[session.ID]tombstone),
		ends:       make(map[session.EndName]session.End),
	}
}

// Now is the model's clock.
func (m *Model) Now() session.Time { return m.clock() }

// Get is Store's: it tells no Version.
func (m *Model) Get(ctx context.Context, id session.ID) (*session.Stored, error) {
	return withoutVersion(m.GetFresh(ctx, id))
}

func withoutVersion(s *session.Stored, err error) (*session.Stored, error) {
	if s == nil {
		return nil, err
	}
	copied := *s
	copied.Version = ""
	return &copied, err
}

// GetFresh is Store's.
func (m *Model) GetFresh(_ context.Context, id session.ID) (*session.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.live(id); s != nil {
		return s, nil
	}
	return nil, session.ErrNotFound
}

// GetByToken is Store's. Of several sessions with one foreign token it returns
// the one with the lowest ID.
func (m *Model) GetByToken(_ context.Context, token string) (*session.Stored, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found *session.Stored
	for id := range m.sessions {
		s := m.live(id)
		if s == nil || !s.Token.Matches(token) || found != nil && found.ID < id {
			continue
		}
		found = s
	}
	if found == nil {
		return nil, session.ErrNotFound
	}
	return withoutVersion(found, nil)
}

// GetByTokenFresh is Store's.
func (m *Model) GetByTokenFresh(ctx context.Context, token string) (*session.Stored, error) {
	return m.GetByToken(ctx, token)
}

// Put is Store's.
func (m *Model) Put(_ context.Context, next *session.Session, old *session.Stored) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.live(next.ID)
	t, deleted := m.tombstones[next.ID]
	switch {
	case s == nil && old != nil, s != nil && (old == nil || old.Version != s.Version):
		return session.ErrConflict
	case m.ends[session.EndOfSession(next.ID)].Until > m.clock():
		return session.ErrEnded
	case deleted && t.until > m.clock() && t.sequence >= next.Sequence:
		return session.ErrDeleted
	case s == nil && m.limits.MaxSessions > 0 && m.count() >= m.limits.MaxSessions:
		return session.ErrFull
	}
	if err := m.evictFor(next, s); err != nil {
		return err
	}
	m.versions++
	m.sessions[next.ID] = &session.Stored{
		Facts:        next.Facts(),
		Doc:          document(next),
		Token:        next.Token,
		TokenForeign: next.TokenForeign,
		Version:      strconv.Itoa(m.versions),
	}
	return nil
}

// evictFor deletes the oldest other sessions of next's user that are too many,
// or refuses next, if that is one more of them. A creation date of the future is
// the oldest.
func (m *Model) evictFor(next *session.Session, old *session.Stored) error {
	user, most := next.Facts().UserID, m.limits.MaxSessionsPerUser
	if user == "" || most == 0 || old != nil && old.UserID == user {
		return nil
	}
	var others []*session.Stored
	for id := range m.sessions {
		if s := m.live(id); s != nil && s.UserID == user && id != next.ID {
			others = append(others, s)
		}
	}
	if len(others) < most {
		return nil
	}
	if !m.limits.EvictOldest {
		return session.ErrUserLimit
	}
	latest := m.clock().Add(session.MaxAhead)
	slices.SortFunc(others, func(a, b *session.Stored) int {
		switch aheadA, aheadB := a.Creation > latest, b.Creation > latest; {
		case aheadA && !aheadB:
			return -1
		case aheadB && !aheadA:
			return 1
		}
		return compare(a, b, true)
	})
	for _, s := range others[:len(others)-(most-1)] {
		m.remove(s)
	}
	return nil
}

// remove deletes s and leaves a tombstone.
func (m *Model) remove(s *session.Stored) cache.Deleted {
	delete(m.sessions, s.ID)
	d := cache.Deleted{Sequence: s.Sequence + 1, ChangeDate: m.clock()}
	m.tombstones[s.ID] = tombstone{d.Sequence, d.ChangeDate.Add(TombstoneTTL)}
	if lifetime, ends := EndsFor(s.ID); ends {
		m.end(session.EndOfSession(s.ID), session.End{NotAfter: session.Never, Until: d.ChangeDate.Add(lifetime)})
	}
	return d
}

// Delete is Store's.
func (m *Model) Delete(_ context.Context, old *session.Stored, _ string) (cache.Deleted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.live(old.ID)
	if s == nil {
		return cache.Deleted{}, session.ErrNotFound
	}
	if s.Version != old.Version {
		return cache.Deleted{}, session.ErrConflict
	}
	return m.remove(s), nil
}

// End is Store's.
func (m *Model) End(_ context.Context, name session.EndName, e session.End) (cache.Acknowledged, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(name, e)
	return cache.Acknowledged{}, nil
}

// end adds to what has ended.
func (m *Model) end(name session.EndName, e session.End) {
	if e.Until > m.clock() {
		m.ends[name] = m.ends[name].Over(e)
	}
}

// Ended is Store's.
func (m *Model) Ended(_ context.Context, l *session.Login) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ended, now := false, m.clock()
	for _, name := range []session.EndName{l.Session, l.User} {
		if e := m.ends[name]; name != "" && now < e.Until && l.Began <= e.NotAfter {
			ended = true
			if e.Until.Sub(now) < l.Lifetime/10 {
				m.ends[name] = session.End{NotAfter: e.NotAfter, Until: now.Add(l.Lifetime)}
			}
		}
	}
	return ended, nil
}

// Revoke is Store's.
func (m *Model) Revoke(ctx context.Context, r cache.Revocation) (revoked uint64, err error) {
	for _, s := range m.Live() {
		if !r.Query.Match(&s.Facts, m.clock()) || slices.Contains(r.Except, s.ID) || r.May != nil && !r.May(&s.Facts) {
			continue
		}
		if !r.DryRun {
			if _, err := m.Delete(ctx, s, r.Reason); err != nil {
				return revoked, err
			}
		}
		revoked++
	}
	if r.Progress != nil && revoked > 0 {
		r.Progress(revoked)
	}
	return revoked, nil
}

// Search is Store's. What is too costly is decided by tooCostly.
func (m *Model) Search(_ context.Context, q *index.Query) (*index.Page, error) {
	if q.Cursor != nil && q.Offset != 0 {
		return nil, &session.InvalidError{Field: "query.offset", Problem: "must be 0 where there is a query.cursor"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	var live, found []*session.Stored
	for _, s := range m.sessions {
		if s.Due(now) {
			continue
		}
		live = append(live, s)
		if q.Match(&s.Facts, now) {
			found = append(found, s)
		}
	}
	if err := tooCostly(q, live, now, m.limits.MaxCandidates); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b *session.Stored) int { return compare(a, b, q.Ascending) })
	total := uint64(len(found))
	from := min(q.Offset, total)
	for q.Cursor != nil && from < total && !behind(q, found[from]) {
		from++
	}
	to := min(from+uint64(max(q.Limit, 0)), total)
	return &index.Page{Total: total, At: now, Sessions: found[from:to], More: q.Cursor != nil && q.Limit > 0 && to < total}, nil
}

// compare orders sessions as index.Query.Ascending says.
func compare(a, b *session.Stored, ascending bool) int {
	c := cmp.Or(cmp.Compare(a.Creation, b.Creation), cmp.Compare(a.ID, b.ID))
	if !ascending {
		c = -c
	}
	return c
}

// behind says whether s comes behind the position of a query that has one.
func behind(q *index.Query, s *session.Stored) bool {
	return q.Cursor.ID == "" || compare(s, &session.Stored{Facts: session.Facts{ID: q.Cursor.ID, Creation: q.Cursor.Creation}}, q.Ascending) > 0
}

// live returns the session with this ID, nil if there is none or it is due.
func (m *Model) live(id session.ID) *session.Stored {
	if s := m.sessions[id]; s != nil && !s.Due(m.clock()) {
		return s
	}
	return nil
}

func (m *Model) count() (n int) {
	for id := range m.sessions {
		if m.live(id) != nil {
			n++
		}
	}
	return n
}

// holders returns the live sessions whose token is token.
func (m *Model) holders(token string) (ids []session.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.sessions {
		if s := m.live(id); s != nil && s.Token.Matches(token) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Live returns all live sessions, in no order.
func (m *Model) Live() (live []*session.Stored) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.sessions {
		if s := m.live(id); s != nil {
			live = append(live, s)
		}
	}
	return live
}

// stored returns all sessions that are live or not swept yet, in no order.
func (m *Model) stored() []*session.Stored {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.sessions))
}

// due counts the sessions that have ended since the last sweep.
func (m *Model) due() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions) - m.count()
}

// sweep drops the sessions that have ended.
func (m *Model) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, s := range m.sessions {
		if s.Due(m.clock()) {
			delete(m.sessions, id)
		}
	}
}
