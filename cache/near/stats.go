package near

import "time"

// Stats is what the near cache tells of itself. Counts are of this process
// since its start.
type Stats struct {
	// On says that there is a near cache, Linked that invalidations come from
	// every master, so that it may be used while they are proven to.
	On, Linked bool
	// Links is how many masters there is a connection to for that now.
	Links int
	// Masters are the masters that sessions are on, in a fixed order for as long as these are the same. Without
	// links they are those that were followed last.
	Masters []MasterStats
	// State is for people: on, or why it is not used.
	State string
	// Sessions, Lists and Tokens are the copies by kind. Pages are the pages of searches,
	// whose answers count as hits of a list and of sessions, too; a miss is one that did not
	// hold any more. Ends are those of sessions and of users that JWTs name.
	Sessions, Lists, Tokens, Pages, Ends KindStats
	// ToldHeld counts the keys that Redis has told of and there was a copy of, ToldOther the
	// others: where nearly all are those, and processes are many, Config.ByKey spares Redis work.
	ToldHeld, ToldOther uint64
	// LinkReads counts the reads over links that were answered (Config.ByKey), LinkFails those that
	// were not and went over ordinary connections.
	LinkReads, LinkFails uint64
	// Flushes counts how often everything was forgotten, LinksLost how often
	// such a connection ended, and the others with it.
	Flushes, LinksLost uint64
	// Lag is how long the newest answer on such a connection took, on the
	// slowest: no invalidation that was sent before it was later than that.
	Lag time.Duration
	// ProofAge is how long ago it was last proven that nothing was missed; -1 if
	// it is not proven. Copies are used while it is below the bound.
	ProofAge time.Duration
	// StaleAge is how long ago the copies were last proven to be right that Stale may
	// answer from; negative if it answers nothing.
	StaleAge time.Duration
}

// MasterStats is what is known of a master that the near cache follows.
type MasterStats struct {
	// Address is that of the link, HOST:PORT or the path of a socket.
	Address string
	// Linked says that there is a connection for invalidations. They are made together and end together.
	Linked bool
	// ProofAge is Stats.ProofAge of this master alone: -1 if nothing is proven of it.
	ProofAge time.Duration
	// Lag is how long the newest answer on the connection took: 0 before the first, -1 without a connection.
	Lag time.Duration
}

// KindStats is the near cache's copies of one kind.
type KindStats struct {
	Hits, Misses, Invalidations uint64
	// Entries and Bytes are about what is held now.
	Entries int
	Bytes   uint64
}

// Stats returns what the near cache tells of itself, nil that it is off.
func (n *Cache) Stats() Stats {
	if n == nil {
		return Stats{State: "off", ProofAge: -1, StaleAge: -1}
	}
	masters := n.tracker.following()
	lag := int64(0)
	for _, m := range masters {
		lag = max(lag, m.lag.Load())
	}
	return Stats{
		On: true, Linked: n.epochs.linked(n.epochs.now()), Links: len(masters), Masters: n.tracker.stats(), State: n.tracker.tell(),
		Sessions: n.sessions.stats(), Lists: n.lists.stats(), Tokens: n.tokens.stats(), Ends: n.ends.stats(),
		Pages:    KindStats{Hits: n.pageHits.Load(), Misses: n.pageMisses.Load(), Entries: n.pages.EstimatedSize(), Bytes: n.pages.WeightedSize()},
		ToldHeld: n.toldHeld.Load(), ToldOther: n.toldOther.Load(), LinkReads: n.source.reads.Load(), LinkFails: n.source.failed.Load(), Flushes: n.flushes.Load(), LinksLost: n.tracker.lost.Load(),
		Lag: time.Duration(lag), ProofAge: n.fresh.age(), StaleAge: n.staleAge(),
	}
}

func (s *copies[K, V]) stats() KindStats {
	k := KindStats{
		Hits: s.hits.Load(), Misses: s.misses.Load(), Invalidations: s.invalidations.Load(),
		Entries: s.held.EstimatedSize(), Bytes: s.held.WeightedSize(),
	}
	if s.absent != nil {
		n := s.absent.EstimatedSize()
		k.Entries += n
		k.Bytes += uint64(n) * absentBytes
	}
	return k
}
