package index

// Reads says what a search may read other than masters, which every search may
// read. Nothing else says so. The zero value is ReadAny.
type Reads uint8

const (
	// ReadAny may read copies in this process, which lack only what happened
	// within their bound, and a costly search replicas, which lag without one.
	ReadAny Reads = 0
	// ReadServers is ReadAny while copies may not be used: a costly search may read
	// replicas all the same.
	ReadServers Reads = noCopies
	// ReadUnlagged may read copies, but no replica, however costly the search is:
	// pages by Query.Cursor.
	ReadUnlagged Reads = noReplicas
	// ReadMasters may read masters only: a fresh search, which lacks nothing that
	// was written before it began; and ReadUnlagged while copies may not be used.
	ReadMasters Reads = noCopies | noReplicas

	noCopies, noReplicas Reads = 1, 2
)

// Copies says whether copies in this process may be read.
func (r Reads) Copies() bool { return r&noCopies == 0 }

// Replicas says whether a costly search may read replicas; others never do.
func (r Reads) Replicas() bool { return r&noReplicas == 0 }

// WithoutCopies is r while copies may not be used.
func (r Reads) WithoutCopies() Reads { return r | noCopies }

// mayRead is q.Reads, without replicas if q is one of several pages: a replica
// that lags would hide from a page what no other page has.
func (q *Query) mayRead() Reads {
	if q.Cursor != nil {
		return q.Reads | noReplicas
	}
	return q.Reads
}
