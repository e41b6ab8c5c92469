package near

import (
	"context"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// EndCopies returns the ends of these names, without asking Redis, that of an empty name
// being zero. ok is false if one is not held, or no copy may be used. That nothing has
// ended is held as an end is: Redis tells of the first as of any other.
func (n *Cache) EndCopies(a, b session.EndName) (ofA, ofB session.End, ok bool) {
	epoch := n.epochs.now()
	if ofA, ofB, ok = n.endsOf(epoch, a, b); !ok || !n.holds(epoch) {
		return session.End{}, session.End{}, false
	}
	n.ends.count(1, 0)
	return ofA, ofB, true
}

// endsOf returns the copies of an epoch.
func (n *Cache) endsOf(epoch uint64, a, b session.EndName) (ofA, ofB session.End, ok bool) {
	ok = true
	if a != "" {
		ofA, ok = n.ends.getOf(a, epoch)
	}
	if b != "" && ok {
		ofB, ok = n.ends.getOf(b, epoch)
	}
	return ofA, ofB, ok
}

// Ends returns the ends of these names, copies or as Config.ReadEnds finds them. Its errors are
// those of ReadEnds and of ctx.
func (n *Cache) Ends(ctx context.Context, names []session.EndName) ([]session.End, error) {
	epoch, usable := n.begin()
	if !usable {
		return n.readEnds(ctx, names)
	}
	ends := make([]session.End, len(names))
	var missing []session.EndName
	for i, name := range names {
		var ok bool
		if ends[i], ok = n.ends.getOf(name, epoch); !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		n.ends.count(0, 1)
		read, err := n.ends.fetch(ctx, missing, n.fresh.clock(), n.config.ReadEnds, func(session.End) bool { return true })
		if err != nil {
			return nil, err
		}
		next := 0
		for i, name := range names {
			if next < len(missing) && name == missing[next] {
				ends[i] = read[next]
				next++
			}
		}
	}
	if !n.holds(epoch) {
		return n.readEnds(ctx, names)
	}
	return ends, nil
}

// readEnds reads over ordinary connections, and keeps no copy that says something else. (I4)
func (n *Cache) readEnds(ctx context.Context, names []session.EndName) ([]session.End, error) {
	ends, err := n.config.ReadEnds(ctx, nil, names)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		n.ends.supersede(name, true, func(held session.End) bool { return held == ends[i] })
	}
	return ends, nil
}

// StaleEnds is EndCopies for callers of Stale: as last known, and how long ago that was, less than
// Config.StaleFor.
func (n *Cache) StaleEnds(a, b session.EndName) (ofA, ofB session.End, age time.Duration, ok bool) {
	age, epoch := n.staleness()
	if age < 0 || age >= n.config.StaleFor {
		return ofA, ofB, 0, false
	}
	ofA, ofB, ok = n.endsOf(epoch, a, b)
	return ofA, ofB, age, ok
}

// ForgetEnd removes what a write of an end touches, as Forget does. (I4)
func (n *Cache) ForgetEnd(name session.EndName) {
	if n != nil {
		n.ends.invalidate(name)
	}
}

func weighEnd(name session.EndName, _ session.End) uint32 { return uint32(endBytes + len(name)) }

// ownEnd returns name in memory of its own.
func ownEnd(name session.EndName) session.EndName {
	return session.EndName(strings.Clone(string(name)))
}
