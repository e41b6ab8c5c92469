// Package near is the near cache: copies in this process of what was read from Redis, and the proof that they are right.
// Look here when a copy answers what it should not, or when none does. It reads nothing of its own accord but users' lists:
// its user says how to read (Config), and must tell it of every write (Forget).
package near

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/bounded"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// Config configures a Cache. All is required but ClientName, StaleFor and ByKey.
type Config struct {
	// Redis and Searches are the clients that single reads and searches use. Both are
	// a *redis.Client, or a *redis.ClusterClient that reads from masters only and was
	// made for this store; else there is no near cache, and Stats says why.
	Redis, Searches redis.UniversalClient
	// ClientName begins the names of the connections for invalidations; "" gives them
	// none.
	ClientName string
	Keys       *keys.Space
	// MaxBytes is about how much memory copies may take. Half a MiB comes on top.
	MaxBytes int
	// Bound is how long ago what another process has done can be without being seen.
	Bound time.Duration
	// StaleFor is how old what Stale answers may be; 0 has it answer nothing.
	StaleFor time.Duration
	// Clock is the store's clock.
	Clock func() session.Time
	// ByKey has Redis tell only of changes of what this process has read, in place of all
	// changes: it keeps in mind what each process holds.
	ByKey bool
	// Read reads a session, due or not, as a copy is to hold it; nil if there is none. It
	// reads over what is given, or over ordinary connections if that is nil.
	Read func(ctx context.Context, over batch.Doer, id session.ID) (*session.Stored, error)
	// ReadByToken finds the session that has a token which somebody else made, or
	// answers session.ErrNotFound. It reads the token's list as Read does.
	ReadByToken func(ctx context.Context, over batch.Doer, token string) (*session.Stored, error)
	// ReadEnds reads ends, as Read reads a session; those that there are none of are zero.
	ReadEnds func(ctx context.Context, over batch.Doer, names []session.EndName) ([]session.End, error)
	// Ends says that ends are asked for, so that a part of MaxBytes is for them.
	Ends bool
	// Lists reads users' lists over ordinary connections, those of searches.
	Lists  batch.Doer
	Logger *slog.Logger
}

// Cache is the near cache: copies in this process of what was read from Redis,
// which answer without a round trip. Three things keep them right:
//
//   - Redis tells of every change (push.Link), and what it tells is removed, with
//     the loads that it overtakes (copies). (I3)
//   - Writes of this process remove what they touch themselves, before they are
//     sent and when they have ended, whatever came of them: Redis' message comes
//     after the reply and on another connection. (I4)
//   - Copies are used only while it is proven that nothing can have been missed
//     for longer than the bound (freshness). Else every read asks Redis.
//
// A copy ends with its session, by the store's clock (I1), and a deleted or
// unknown session is held as unknown for at most the bound.
//
// It is safe for concurrent use. Begin, Page, Supersede, Forget and Stats may be called
// on nil, which holds nothing.
type Cache struct {
	config  Config
	space   *keys.Space
	source  source
	epochs  epochs
	fresh   *freshness
	tracker *tracker

	sessions *copies[session.ID, *session.Stored]
	lists    *copies[string, *userList] // by user ID
	tokens   *copies[session.TokenHash, session.ID]
	ends     *copies[session.EndName, session.End]
	pages    bounded.Cache[string, *keptPage] // by what was asked

	flushes atomic.Uint64
	// toldHeld counts the keys that Redis has told of and there was a copy of, toldOther the others.
	toldHeld, toldOther atomic.Uint64
	// pageHits counts the pages that answered, pageMisses those that did not hold any more.
	pageHits, pageMisses atomic.Uint64
	// saw is told what has happened, for tests.
	saw func(Event)
}

const (
	// Of the near cache's bytes, so many 32nds are for the lists of users, for
	// tokens, for unknown IDs, for pages, and for ends where there are any.
	listShare, tokenShare, absentShare, pageShare, endShare = 6, 1, 1, 1, 8
	// endBytes is about what an end takes in addition to its name.
	endBytes = 160
	// absentBytes is about what an unknown ID takes.
	absentBytes = 256
	// copyBytes is about what a copy takes in addition to its texts.
	copyBytes = 480
)

// New returns a Cache that holds nothing. It connects to nothing and starts nothing:
// Watch has to come before Run, and no copy is used before that.
func New(c Config) *Cache {
	start := time.Now()
	n := &Cache{config: c, space: c.Keys, source: source{byKey: c.ByKey, space: c.Keys, absent: rate.NewLimiter(absentPerSecond, absentAtOnce)}, saw: func(Event) {}}
	n.fresh = newFreshness(c.Bound, func() instant { return instant(time.Since(start)) })
	n.tracker = newTracker(n, c.Logger)
	part := func(share int) uint64 { return max(uint64(c.MaxBytes)/32*uint64(share), 1) }
	ends := 0
	if c.Ends {
		ends = endShare
	}
	absent := max(int(part(absentShare)/absentBytes), 1)
	n.sessions = newCopies(&n.epochs, part(32-listShare-tokenShare-absentShare-pageShare-ends), absent, weighSession)
	n.sessions.keyOf = func(s *session.Stored) session.ID { return s.ID }
	n.sessions.own = ownID
	n.lists = newCopies(&n.epochs, part(listShare), 0, weighList)
	n.lists.own = strings.Clone
	n.sessions.marks, n.lists.marks = new(marks), new(marks)
	n.tokens = newCopies(&n.epochs, part(tokenShare), 0, weighToken)
	n.ends = newCopies(&n.epochs, part(ends), 0, weighEnd)
	n.ends.own = ownEnd
	n.sessions.source, n.lists.source, n.tokens.source, n.ends.source = &n.source, &n.source, &n.source, &n.source
	n.pages = bounded.InBytes(part(pageShare), weighPage)
	return n
}

// Watch begins to watch the clients' connections, which cannot be undone: so it
// comes when nothing else can fail. It asks a Cluster for its nodes, and its error is
// Redis'.
func (n *Cache) Watch(ctx context.Context) error {
	find, err := mastersOf(ctx, n, n.config.Redis, n.config.Searches, n.config.ClientName)
	if err != nil {
		return err
	}
	n.tracker.find = find
	return nil
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

// Supersede removes the copy of a session if Redis has answered something else
// since, nil if it has none: a caller that was told that is not told an older state
// afterwards, though the invalidation may be late; and where a master of a Cluster is away, Stale
// does not answer what another has taken back. (I4)
func (n *Cache) Supersede(id session.ID, stored *session.Stored) {
	if n == nil {
		return
	}
	n.sessions.supersede(id, stored != nil, func(held *session.Stored) bool {
		return held.Sequence == stored.Sequence && held.Token == stored.Token && bytes.Equal(held.Doc, stored.Doc)
	})
}

// Forget removes what a write of these cards touches. It is called before the
// write is sent and after it has ended, whatever its outcome. (I4)
func (n *Cache) Forget(cards ...index.Card) {
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

// ForgetSession is Forget for a write that changes no entry of a session. (I4)
func (n *Cache) ForgetSession(id session.ID) {
	if n != nil {
		n.sessions.invalidate(id)
	}
}

// invalidateKey removes what is held of a Redis key that has changed.
func (n *Cache) invalidateKey(key []byte) {
	kind, name, ok := n.space.Parse(key)
	if !ok {
		return
	}
	held := false
	switch kind {
	case keys.KindSession:
		held = n.sessions.invalidate(session.ID(name))
	case keys.KindUser:
		held = n.lists.invalidate(name)
	case keys.KindToken:
		var h session.TokenHash
		if copy(h[:], name) == len(h) && len(name) == len(h) {
			held = n.tokens.invalidate(h)
		}
	case keys.KindEnd:
		held = n.ends.invalidate(session.EndName(name))
	}
	if held {
		n.toldHeld.Add(1)
	} else {
		n.toldOther.Add(1)
	}
	n.saw(Event{What: "invalidation"})
}

// flush forgets everything: Redis was emptied. The epoch goes on, with the
// link, but not that of what was read before.
func (n *Cache) flush() {
	n.epochs.renew()
	n.flushes.Add(1)
	n.sessions.flush()
	n.lists.flush()
	n.tokens.flush()
	n.ends.flush()
	n.pages.InvalidateAll()
	n.saw(Event{What: "flush"})
}

// Run follows Redis' masters, and so keeps the copies right, until ctx ends. It
// returns nil then; faults are logged and tried again. Without it no copy is used.
func (n *Cache) Run(ctx context.Context) error { return n.tracker.run(ctx) }

// MasterLost says that a server which was asked is not the master any more: from now
// on no copy answers that came from there. (I4)
func (n *Cache) MasterLost() { n.tracker.masterLost() }
