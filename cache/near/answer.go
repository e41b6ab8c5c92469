package near

// begin returns the epoch that an answer begins in; usable says that copies may
// be used in it. The answer may be given if holds says so when it is complete.
func (n *Cache) begin() (epoch uint64, usable bool) {
	if n == nil {
		return 0, false
	}
	epoch = n.epochs.now()
	return epoch, n.epochs.linked(epoch) && n.fresh.proven()
}

// holds says whether what was put together from copies since begin may be
// answered: it is proven to be fresh, by proofs of the same epoch. (I4)
func (n *Cache) holds(epoch uint64) bool {
	return n.epochs.linked(epoch) && n.fresh.proven() && n.epochs.now() == epoch
}

// Answer is one that is put together from copies.
type Answer struct {
	near  *Cache
	epoch uint64
}

// Begin begins an answer that takes several calls. usable says that copies may be
// used for it now; a caller that has used them asks Holds at the end.
func (n *Cache) Begin() (a Answer, usable bool) {
	epoch, usable := n.begin()
	return Answer{n, epoch}, usable
}

// Holds says whether what was put together since Begin, which found copies usable,
// may be answered: else it is to be read from Redis. (I4)
func (a Answer) Holds() bool { return a.near.holds(a.epoch) }
