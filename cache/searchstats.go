package cache

import (
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
)

// SearchStats returns what is known of the searches of this process. One that
// copies could not answer after all, and that began anew, counts twice.
func (s *Store) SearchStats() index.SearchStats { return s.index.Stats() }

// BatchStats is what is known of the round trips that concurrent calls of one
// kind share.
type BatchStats struct {
	// Batch is the kind: reads, searches, writes, or the deletions that wait for
	// replicas.
	Batch string
	batch.Stats
}

// BatchStats returns what is known of the round trips that are shared, by kind,
// always in the same order.
func (s *Store) BatchStats() []BatchStats {
	var deletions batch.Stats
	if s.acks != nil {
		deletions = s.acks.trips.Stats()
	}
	return []BatchStats{{"reads", s.gets.Stats()}, {"searches", s.searches.Stats().Plus(s.searchReads.Stats()).Plus(s.costlyReads.Stats())}, {"writes", s.writes.Stats()}, {"deletions", deletions}}
}
