package cache

import (
	"cmp"
	"context"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
	"github.com/redis/go-redis/v9"
)

// maxTwins is how many pairs of entries admit.lua is told of.
const maxTwins = 100

// userList is a user's list, or a part of it, without the session that is being
// written.
type userList struct {
	// sessions are the sessions with an entry, newest first.
	sessions []listedSession
	// twins are pairs of entries, as admit.lua takes them.
	twins []any
	// whole says that this is the whole list, not its newest part.
	whole bool
}

// listedSession is a session with an entry in a user's list.
type listedSession struct {
	id       session.ID
	creation session.Time
	// live is the session, if it is live and the user's; nil if it has ended,
	// was taken from the user, is being written, or cannot be read.
	live *session.Stored
}

// compare orders sessions: oldest first, as lists are ordered, but what was
// created after latest counts as older than all others.
func (o *listedSession) compare(p *listedSession, latest session.Time) int {
	if ahead := o.creation > latest; ahead != (p.creation > latest) {
		if ahead {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(o.creation, p.creation), cmp.Compare(o.id, p.id))
}

// ahead returns the sessions that were created after latest.
func (c *userList) ahead(latest session.Time) []listedSession {
	n := slices.IndexFunc(c.sessions, func(o listedSession) bool { return o.creation <= latest })
	if n < 0 {
		n = len(c.sessions)
	}
	return c.sessions[:n]
}

// live counts the sessions that are live.
func (c *userList) live() (n int) {
	for i := range c.sessions {
		if c.sessions[i].live != nil {
			n++
		}
	}
	return n
}

// notLive returns the IDs of the sessions that are not live.
func (c *userList) notLive() (ids []session.ID) {
	for i := range c.sessions {
		if c.sessions[i].live == nil {
			ids = append(ids, c.sessions[i].id)
		}
	}
	return ids
}

// userListOf reads a user's list, the newest entries first, until it ends or more
// live sessions are found than the user may have.
func (s *Store) userListOf(ctx context.Context, user string, self session.ID) (*userList, error) {
	r := newUserListReader(s, user, self)
	for from := int64(0); ; from += zlist.Chunk {
		members, err := s.rdb.ZRevRangeWithScores(ctx, s.keys.User(user), from, from+zlist.Chunk-1).Result()
		if err != nil {
			return nil, err
		}
		if err := r.add(ctx, members); err != nil {
			return nil, err
		}
		r.whole = len(members) < zlist.Chunk
		if r.whole || r.live() > s.maxPerUser {
			return &r.userList, nil
		}
	}
}

// oldestOfList reads the oldest entries of a user's list, but not those of kept.
func (s *Store) oldestOfList(ctx context.Context, user string, self session.ID, kept []listedSession) (*userList, error) {
	r := newUserListReader(s, user, self)
	for i := range kept {
		r.last[kept[i].id] = ""
	}
	members, err := s.rdb.ZRangeWithScores(ctx, s.keys.User(user), 0, zlist.Chunk-1).Result()
	if err != nil {
		return nil, err
	}
	if err := r.add(ctx, members); err != nil {
		return nil, err
	}
	return &r.userList, nil
}

// userListReader makes a userList of the entries of a list.
type userListReader struct {
	userList
	s    *Store
	user string
	self session.ID
	seen map[string]bool       // entries: the list may move while it is read
	last map[session.ID]string // the last entry of each session
}

func newUserListReader(s *Store, user string, self session.ID) *userListReader {
	return &userListReader{s: s, user: user, self: self, seen: make(map[string]bool), last: make(map[session.ID]string)}
}

// add takes a part of the list.
func (r *userListReader) add(ctx context.Context, members []redis.Z) error {
	var ids []session.ID
	for i := range members {
		member := members[i].Member.(string)
		if r.seen[member] {
			continue
		}
		r.seen[member] = true
		id := index.MemberID(member)
		before, again := r.last[id]
		r.last[id] = member
		switch {
		case id == r.self:
			r.twin(member, member)
		case again:
			r.twin(before, member)
		default:
			ids = append(ids, id)
			r.sessions = append(r.sessions, listedSession{id: id, creation: session.Time(members[i].Score)})
		}
	}
	if len(ids) == 0 {
		return nil
	}
	// One that cannot be read counts, as all in the list, and cannot be evicted.
	found, _, err := readAllFresh(ctx, r.s.rdb, r.s.keys, ids)
	if err != nil {
		return err
	}
	fresh := r.sessions[len(r.sessions)-len(ids):]
	now := r.s.clock()
	for i, stored := range found {
		// A deleted session that has come back counts until it is deleted again, and
		// may be evicted, which has the same effect.
		if stored != nil && stored.UserID == r.user && !stored.Due(now) {
			fresh[i].live = stored
		}
	}
	return nil
}

func (r *userListReader) twin(a, b string) {
	if len(r.twins) < 2*maxTwins {
		r.twins = append(r.twins, a, b)
	}
}
