package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"sync"
	"time"
)

const (
	// idle is how long a session of the console lasts that nobody uses, longest how long any lasts.
	idle, longest = 30 * time.Minute, 12 * time.Hour
	// maxSignIns is how many there are at a time, maxOfKey how many of one API key.
	maxSignIns, maxOfKey = 1000, 20
)

// signIns are the sessions of the console, by the SHA-256 of their cookies. Neither a cookie, nor a proof, nor an API key is
// kept. (I6) A browser sends a cookie to every port of a host, so to other servers there, which could send it on; it keeps the
// proof for pages of one origin, port included. A session is found only by both.
// The zero value has none. It is safe for concurrent use. The monotonic clock decides when a session ends.
type signIns struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]*signIn
}

// signIn is one session of the console.
type signIn struct {
	key         [sha256.Size]byte // hash of the API key
	proof       [sha256.Size]byte // hash of the proof
	since, used time.Time
}

func (s *signIn) ended(now time.Time) bool {
	return now.Sub(s.used) >= idle || now.Sub(s.since) >= longest
}

// newSecret returns 256 random bits.
func newSecret() string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// begin begins a session of key and returns its secrets. If there are too many, the one that was unused longest ends, first
// among those of the key.
func (s *signIns) begin(key [sha256.Size]byte, now time.Time) (cookie, proof string) {
	cookie, proof = newSecret(), newSecret()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[[sha256.Size]byte]*signIn{}
	}
	for hash, other := range s.all {
		if other.ended(now) {
			delete(s.all, hash)
		}
	}
	s.makeRoom(maxOfKey, func(other *signIn) bool { return other.key == key })
	s.makeRoom(maxSignIns, func(*signIn) bool { return true })
	s.all[sha256.Sum256([]byte(cookie))] = &signIn{key: key, proof: sha256.Sum256([]byte(proof)), since: now, used: now}
	return cookie, proof
}

// makeRoom ends the session that was unused longest of those that count, if these are most or more.
func (s *signIns) makeRoom(most int, counts func(*signIn) bool) {
	var oldest [sha256.Size]byte
	n := 0
	for hash, other := range s.all {
		if !counts(other) {
			continue
		}
		if n == 0 || other.used.Before(s.all[oldest].used) {
			oldest = hash
		}
		n++
	}
	if n >= most {
		delete(s.all, oldest)
	}
}

// find returns the key of the session that has the cookie and the proof, and when it ends at the latest. uses says that this
// counts as use.
func (s *signIns) find(cookie, proof []byte, now time.Time, uses bool) (key [sha256.Size]byte, ends time.Time, found bool) {
	hash, proven := sha256.Sum256(cookie), sha256.Sum256(proof)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.all[hash]
	if one == nil || subtle.ConstantTimeCompare(one.proof[:], proven[:]) == 0 {
		return key, ends, false
	}
	if one.ended(now) {
		delete(s.all, hash)
		return key, ends, false
	}
	if uses {
		one.used = now
	}
	return one.key, one.since.Add(longest), true
}

// end ends the session that has the cookie, if there is one.
func (s *signIns) end(cookie []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256(cookie))
}
