package index

import (
	"errors"
	"sync/atomic"
)

// plan is what a search takes its candidates from.
type plan uint8

const (
	planNone plan = iota // nowhere: nothing can match
	planCopy             // a user's list that Config.Users has
	planIDs
	planUser
	planAgent
	planCreator
	planCreation
	planExpiration
	planOwn // the lists of a caller who sees no others
	planAll // everything, by creation date
	plans
)

// planNames label the plans in metrics.
var planNames = [plans]string{"none", "copy", "ids", "user", "user_agent", "creator", "creation_date", "expiration_date", "own", "all"}

// planOf returns the plan whose candidates come from d.
func planOf(d *driver) plan {
	switch d.kind {
	case KindIDs:
		return planIDs
	case KindUser:
		return planUser
	case KindAgent:
		return planAgent
	case KindCreator:
		return planCreator
	case KindCreation:
		return planCreation
	case KindExpiration:
		return planExpiration
	}
	if d.repeats > 1 {
		return planOwn
	}
	return planAll
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

// work is what one search did.
type work struct {
	plan       plan
	candidates int // those that it had to look at
}

// candidateBounds are the upper bounds of the buckets that searches are counted
// in, by their candidates: up to one chunk, to what is no costly search, and to
// DefaultMaxCandidates.
var candidateBounds = [...]int{10, 50, chunk, costly, 5000, DefaultMaxCandidates}

// searchCounts counts searches. It may be used concurrently.
type searchCounts [plans]struct {
	searches   [outcomes][len(candidateBounds) + 1]atomic.Uint64
	candidates atomic.Uint64 // of the searches that were answered or failed
}

// add counts a search that has ended. Near copies answer a search in a
// microsecond or two: this takes no lock and allocates nothing.
func (c *searchCounts) add(w work, err error) {
	of, how, bucket := &c[w.plan], outcomeOf(err), 0
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
	// CostlyPlaces; CostlyWaiting is how many wait for their turn.
	CostlyRunning, CostlyWaiting, CostlyPlaces int
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
	s := SearchStats{CostlyRunning: int(ix.costly.running.Load()), CostlyPlaces: int(ix.costly.queue / costlyQueue)}
	s.CostlyWaiting = int(min(ix.costly.waiting.Load(), ix.costly.queue)) // who is being refused is counted for an instant
	for p := range plans {
		of := &ix.counts[p]
		stats := PlanStats{Plan: planNames[p], Candidates: of.candidates.Load(), UpTo: make(map[float64]uint64, len(candidateBounds))}
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
