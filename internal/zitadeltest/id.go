package zitadeltest

import (
	"math/rand/v2"
	"strconv"
)

// firstID is near those in the recordings: IDs have 18 digits.
const firstID = 400_000_000_000_000_000

// NewID returns an ID that was never given before.
func (s *Server) NewID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id()
}

// id is NewID for a caller that holds mu. IDs rise with time, and cannot be guessed from each other.
func (s *Server) id() string {
	s.lastID += 1 + rand.Int64N(1<<26)
	return strconv.FormatInt(s.lastID, 10)
}
