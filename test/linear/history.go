// Package linear checks what callers of Cloakroom were told, while it was under load and its Redis was in trouble: each
// session must have behaved as one register that all processes share. Writes and reads with Session-Consistency: fresh must
// be linearizable; other reads may be as old as the staleness bound, and no older. A call whose outcome nobody knows may
// have happened at any time from its begin on, or not at all.
//
// It is for tests only. It holds for faults that lose no data: not for failovers, restored snapshots and FLUSHALL.
package linear

import (
	"math"
	"sync"
	"time"
)

// Kind is what was called.
type Kind uint8

// The calls that a History knows.
const (
	Create Kind = iota
	Put
	Set
	Delete
	Get
	Verify
)

func (k Kind) String() string {
	return [...]string{"create", "put", "set", "delete", "get", "verify"}[k]
}

func (k Kind) writes() bool { return k <= Delete }

// Op is one call of one session and what came of it.
type Op struct {
	Kind    Kind
	Session string
	// Process is which process was called, Client who called; both from 0 on.
	Process, Client int
	// Fresh says that a Get must not be answered from a copy.
	Fresh bool
	// Value is what a write stores. No two writes have the same.
	Value string
	// Asked is the sequence of a Put.
	Asked uint64
	// Token is what a Get or a Verify shows; "" shows none.
	Token string

	// Sequence and Found are what was answered: by a Set or Delete the sequence
	// (0 by a Delete that found nothing), by a Get that and the value.
	Sequence uint64
	Found    string
	// NewToken is what a Create or Set answered.
	NewToken string
	// Created says that a Put made a new session.
	Created bool
	// NotFound, Refused and Denied are what a call was told instead: there is no
	// such session; a Put: there was a higher sequence; a Get or Verify: it is not
	// its token.
	NotFound, Refused, Denied bool

	lost         bool
	call, answer int64 // ns since the history began
}

// History is what was called and answered. It is safe for concurrent use.
type History struct {
	start time.Time
	mu    sync.Mutex
	ops   []*Op
}

// NewHistory begins a history.
func NewHistory() *History { return &History{start: time.Now()} }

// Now is the time of the history, in ns since it began.
func (h *History) Now() int64 { return int64(time.Since(h.start)) }

// Call notes that op begins; End or Lose must follow, or nothing if it is
// certain that it did not happen and that it tells nothing.
func (h *History) Call(op Op) *Op {
	op.call = h.Now()
	return &op
}

// End notes that op was answered, and how.
func (h *History) End(op *Op) { h.add(op, h.Now()) }

// Lose notes that nobody knows whether op happened, or will. A read that was
// lost tells nothing.
func (h *History) Lose(op *Op) {
	if op.Kind.writes() {
		op.lost = true
		h.add(op, math.MaxInt64)
	}
}

func (h *History) add(op *Op, at int64) {
	op.answer = at
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

// Len returns how many calls were noted, and how many of them were lost.
func (h *History) Len() (all, lost int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if op.lost {
			lost++
		}
	}
	return len(h.ops), lost
}
