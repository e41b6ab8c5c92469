package index

import (
	"errors"
	"sync/atomic"
)

// source is what a search takes its candidates from.
type source uint8

const (
	sourceNone source = iota // nowhere: nothing can match
	sourceCopy               // a user's list that Config.Users has
	sourceIDs
	sourceUser
	sourceAgent
	sourceCreator
	sourceCreation
	sourceExpiration
	sourceOwn // the lists of a caller who sees no others
	sourceAll // everything, by creation date
	sources
)

// sourceNames label the plans in metrics.
var sourceNames = [sources]string{"none", "copy", "ids", "user", "user_agent", "creator", "creation_date", "expiration_date", "own", "all"}

// sourceOf is d as a source.
func sourceOf(d *driver) source {
	switch d.kind {
	case KindIDs:
		return sourceIDs
	case KindUser:
		return sourceUser
	case KindAgent:
		return sourceAgent
	case KindCreator:
		return sourceCreator
	case KindCreation:
		return sourceCreation
	case KindExpiration:
		return sourceExpiration
	}
	if d.repeats > 1 {
		return sourceOwn
	}
	return sourceAll
}

// outcome is how a search ended.
type outcome uint8

const (
	answered outcome = iota
	failed           // Redis, or the caller's context
	tooCostly
	busy
	outcomes
)

func outcomeOf(err error) outcome {
	if err == nil {
		return answered
	}
	_, many := errors.AsType[*TooCostlyError](err)
	switch {
	case many || errors.Is(err, errTooFar):
		return tooCostly
	case errors.Is(err, ErrBusy):
		return busy
	}
	return failed
}

// CountCopy counts a search that was answered by a page of an earlier one, which looked at
// so many sessions.
func (ix *Index) CountCopy(candidates int) { ix.counts.add(work{sourceCopy, candidates}, nil) }

// work is what one search did.
type work struct {
	source     source
	candidates int // those that it had to look at
}

// candidateBounds are the upper bounds of the buckets that searches are counted
// in, by their candidates: up to one chunk, to what is no costly search, and to
// DefaultMaxCandidates.
var candidateBounds = [...]int{10, 50, chunk, costly, 5000, DefaultMaxCandidates}

// searchCounts counts searches. It may be used concurrently.
type searchCounts [sources]struct {
	searches   [outcomes][len(candidateBounds) + 1]atomic.Uint64
	candidates atomic.Uint64 // of the searches that were answered or failed
}

// add counts a search that has ended. Near copies answer a search in a
// microsecond or two: this takes no lock and allocates nothing.
func (c *searchCounts) add(w work, err error) {
	of, how, bucket := &c[w.source], outcomeOf(err), 0
	if how == tooCostly || how == busy {
		w.candidates = 0 // it has not looked at them
	}
	for bucket < len(candidateBounds) && w.candidates > candidateBounds[bucket] {
		bucket++
	}
	of.searches[how][bucket].Add(1)
	if w.candidates > 0 {
		of.candidates.Add(uint64(w.candidates))
	}
}

// SearchStats is what is known of the searches of this process since its start.
type SearchStats struct {
	Plans []PlanStats // all plans, always in the same order
	// CostlyRunning is how many costly searches run now, of at most
	// CostlyLimit; CostlyWaiting is how many wait for their turn.
	CostlyRunning, CostlyWaiting, CostlyLimit int
}

// PlanStats is what is known of the searches of one plan.
type PlanStats struct {
	// Plan says what they took their candidates from.
	Plan string
	// Answered, Failed, TooCostly and Busy count them by how they ended.
	// TooCostly are also those with an offset that is too far on a Cluster.
	Answered, Failed, TooCostly, Busy uint64
	// Candidates is how many sessions those that were answered or failed had to
	// look at in all, and UpTo how many of these searches had at most so many.
	Candidates uint64
	UpTo       map[float64]uint64
}

// Stats returns what is known of the searches.
func (ix *Index) Stats() SearchStats {
	s := SearchStats{CostlyRunning: int(ix.costly.running.Load()), CostlyLimit: int(ix.costly.queue / costlyQueue)}
	s.CostlyWaiting = int(min(ix.costly.waiting.Load(), ix.costly.queue)) // one that is being refused is counted for an instant
	for p := range sources {
		of := &ix.counts[p]
		stats := PlanStats{Plan: sourceNames[p], Candidates: of.candidates.Load(), UpTo: make(map[float64]uint64, len(candidateBounds))}
		for bucket := range of.searches[answered] {
			a, f := of.searches[answered][bucket].Load(), of.searches[failed][bucket].Load()
			stats.Answered, stats.Failed = stats.Answered+a, stats.Failed+f
			if bucket < len(candidateBounds) {
				stats.UpTo[float64(candidateBounds[bucket])] = stats.Answered + stats.Failed
			}
		}
		stats.TooCostly, stats.Busy = of.searches[tooCostly][0].Load(), of.searches[busy][0].Load()
		s.Plans = append(s.Plans, stats)
	}
	return s
}
