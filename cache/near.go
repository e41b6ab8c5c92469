package cache

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// near is the near cache: copies in this process of what was read from Redis,
// which answer without a round trip. Three things keep them right:
//
//   - Redis tells of every change (link), and what it tells is removed, with
//     the loads that it overtakes (shelf). (I3)
//   - Writes of this process remove what they touch themselves, before they are
//     sent and when they have ended, whatever came of them: Redis' message comes
//     after the reply and on another connection. (I4)
//   - Copies are used only while it is proven that nothing can have been missed
//     for longer than the bound (freshness). Else every read asks Redis.
//
// A copy ends with its session, by the store's clock (I1), and a deleted or
// unknown session is held as unknown for at most the bound.
type near struct {
	space   *keys.Space
	epochs  epochs
	fresh   *freshness
	tracker *tracker
	// staleFor is how old what Stale answers may be; 0 if it never answers.
	staleFor time.Duration

	sessions *shelf[session.ID, *session.Stored]
	lists    *shelf[string, *userList] // by user ID
	tokens   *shelf[session.TokenHash, session.ID]

	flushes atomic.Uint64
	// saw is told what has happened, for tests.
	saw func(event)
}

// event is something that has happened to the near cache.
type event struct {
	what   string
	master int     // which one of those that are followed
	sent   instant // of a question, or of the one that was answered
}

// userList is the list of a user's sessions, oldest first. One that is too long
// to be held has no candidates.
type userList struct {
	candidates []index.Candidate
	long       bool
}

const (
	// maxUserList is how many sessions of a user the near cache holds the list of.
	maxUserList = 1000
	// Of the near cache's bytes, so many 32nds are for the lists of users, and
	// for tokens and for unknown IDs.
	listShare, tokenShare, absentShare = 6, 1, 1
	// absentBytes is about what an unknown ID takes.
	absentBytes = 256
	// copyBytes is about what a copy takes besides its texts.
	copyBytes = 480
)

func newNear(space *keys.Space, maxBytes int, bound time.Duration) *near {
	start := time.Now()
	n := &near{space: space, saw: func(event) {}}
	n.fresh = newFreshness(bound, func() instant { return instant(time.Since(start)) })
	part := func(share int) uint64 { return max(uint64(maxBytes)/32*uint64(share), 1) }
	absent := max(int(part(absentShare)/absentBytes), 1)
	n.sessions = newShelf(&n.epochs, part(32-listShare-tokenShare-absentShare), absent, weighSession)
	n.sessions.keyOf = func(s *session.Stored) session.ID { return s.ID }
	n.sessions.own = ownID
	n.lists = newShelf(&n.epochs, part(listShare), 0, weighList)
	n.lists.own = strings.Clone
	n.tokens = newShelf(&n.epochs, part(tokenShare), 0, weighToken)
	return n
}

// weighSession tells the bytes of a copy: creator and document are one piece of
// memory, and so are the other texts unless they had to be unescaped.
func weighSession(_ session.ID, s *session.Stored) uint32 {
	n := copyBytes + len(s.Creator) + cap(s.Doc)
	for _, text := range [...]string{string(s.ID), s.UserID, s.AgentID, s.OrgID} {
		if !within(text, s.Doc) {
			n += len(text)
		}
	}
	if s.Proof != nil && !within(s.Proof.LoginName, s.Doc) {
		n += len(s.Proof.LoginName)
	}
	return uint32(n)
}

// within is whether text lies in the memory of doc.
func within(text string, doc []byte) bool {
	at, from := uintptr(unsafe.Pointer(unsafe.StringData(text))), uintptr(unsafe.Pointer(unsafe.SliceData(doc)))
	return at >= from && at-from < uintptr(len(doc))
}

// ownID returns id in memory of its own.
func ownID(id session.ID) session.ID { return session.ID(strings.Clone(string(id))) }

func weighList(user string, l *userList) uint32 {
	n := copyBytes/2 + len(user)
	for i := range l.candidates {
		n += 40 + len(l.candidates[i].ID)
	}
	return uint32(n)
}

func weighToken(_ session.TokenHash, id session.ID) uint32 { return uint32(copyBytes/2 + len(id)) }

// begin returns the epoch that an answer begins in; usable says that copies may
// be used in it. The answer may be given if holds says so when it is complete.
func (n *near) begin() (epoch uint64, usable bool) {
	if n == nil {
		return 0, false
	}
	epoch = n.epochs.now()
	return epoch, n.epochs.linked(epoch) && n.fresh.proven()
}

// holds says whether what was put together from copies since begin may be
// answered: it is proven to be fresh, by proofs of the same epoch. (I4)
func (n *near) holds(epoch uint64) bool {
	return n.epochs.linked(epoch) && n.fresh.proven() && n.epochs.now() == epoch
}

// session returns the copy of a session, nil if it is known not to be. ok is
// false if Redis has to be asked. A copy that is due is not used: the session
// may have been prolonged. (I1)
func (n *near) session(id session.ID, now session.Time) (stored *session.Stored, ok bool) {
	if stored, ok = n.sessions.get(id); ok && !stored.Due(now) {
		return stored, true
	}
	return nil, n.sessions.missing(id, n.fresh.clock().add(-n.fresh.bound))
}

// supersede removes the copy of a session if Redis has answered something else
// since, nil if it has none: who was told that is not told less afterwards, though
// the invalidation may be late; and where a master of a Cluster is away, Stale
// does not answer what another has taken back. (I4)
func (n *near) supersede(id session.ID, stored *session.Stored) {
	if n == nil {
		return
	}
	n.sessions.supersede(id, stored != nil, func(held *session.Stored) bool {
		return held.Sequence == stored.Sequence && held.Token == stored.Token && bytes.Equal(held.Doc, stored.Doc)
	})
}

// forget removes what a write of these cards touches. It is called before the
// write is sent and after it has ended, whatever its outcome. (I4)
func (n *near) forget(cards ...index.Card) {
	if n == nil {
		return
	}
	for i := range cards {
		c := &cards[i]
		if c.ID == "" { // a put that replaces nothing
			continue
		}
		n.sessions.invalidate(c.ID)
		if c.UserID != "" {
			n.lists.invalidate(c.UserID)
		}
		if !c.Token.IsZero() {
			n.tokens.invalidate(c.Token)
		}
	}
}

// invalidateKey removes what is held of a Redis key that has changed.
func (n *near) invalidateKey(key []byte) {
	kind, name, ok := n.space.Parse(key)
	if !ok {
		return
	}
	switch kind {
	case keys.KindSession:
		n.sessions.invalidate(session.ID(name))
	case keys.KindUser:
		n.lists.invalidate(name)
	case keys.KindToken:
		var h session.TokenHash
		if copy(h[:], name) == len(h) && len(name) == len(h) {
			n.tokens.invalidate(h)
		}
	}
	n.saw(event{what: "invalidation"})
}

// flush forgets everything: Redis was emptied. The epoch goes on, with the
// link, but not that of what was read before.
func (n *near) flush() {
	n.epochs.renew()
	n.flushes.Add(1)
	n.sessions.flush()
	n.lists.flush()
	n.tokens.flush()
	n.saw(event{what: "flush"})
}

// run keeps the near cache right until ctx ends.
func (n *near) run(ctx context.Context) error { return n.tracker.run(ctx) }

// MasterLost tells the store that the server which it has asked is not the master
// any more: from now on no copy answers that came from there. (I4)
func (s *Store) MasterLost() {
	if s.near != nil {
		s.near.tracker.masterLost()
	}
}
