package deletions

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// TombstoneFor is how long a deletion is remembered, by its tombstone in Redis and
// by Remembered in this process.
const TombstoneFor = 24 * time.Hour

// nonceLen is how many random bytes a tombstone has.
const nonceLen = 8

// NewTombstone returns what a deletion leaves: its sequence, the reason, random
// bytes that make it known again when its reply is lost, and its date in µs.
func NewTombstone(sequence uint64, reason string, date session.Time) string {
	var nonce [nonceLen]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return fmt.Sprintf("%d %s %x %d", sequence, reason, nonce, date)
}

// SequenceOf returns the sequence of the deletion that left a tombstone; 0 of "", which is none.
func SequenceOf(tombstone string) uint64 {
	number, _, _ := strings.Cut(tombstone, " ")
	sequence, _ := strconv.ParseUint(number, 10, 64)
	return sequence
}

// AddTombstone remembers the deletion of a session whose tombstone was read; "" is
// no tombstone. One without a date, which an earlier program left, is not
// remembered, because it is not known how long it lasts.
func (r *Remembered) AddTombstone(id session.ID, tombstone string, now session.Time) {
	var sequence uint64
	var reason, nonce string
	var date session.Time
	if n, _ := fmt.Sscanf(tombstone, "%d %s %s %d", &sequence, &reason, &nonce, &date); n == 4 {
		r.Add(id, sequence, date, now)
	}
}
