package audit

import (
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Drift is a way in which what stands in Redis can differ from what it should
// be. Its text is its name in reports, logs and metrics.
type Drift string

// The kinds of drift. The stored session, its hash, is the truth; its card and
// entries follow from it.
const (
	// SessionUnreadable: a hash is damaged, of a later program, or lacks a field.
	// Nothing of its session is touched.
	SessionUnreadable Drift = "session_unreadable"
	// SessionTTL: a hash has no TTL, or one that is not its expiration date.
	SessionTTL Drift = "session_ttl"
	// CardMissing: a live session has no card.
	CardMissing Drift = "card_missing"
	// CardScore: a live session's card has another score than its expiration date.
	CardScore Drift = "card_score"
	// CardStray: a card that is not the stored session's, which has another.
	CardStray Drift = "card_stray"
	// CardOrphan: a card of a session that is not stored, and is not due.
	CardOrphan Drift = "card_orphan"
	// CardUnreadable: a card that this program cannot read. It is left alone.
	CardUnreadable Drift = "card_unreadable"
	// EntryMissing: a live session is not in a list that it belongs in.
	EntryMissing Drift = "entry_missing"
	// EntryScore: it is, with another score than its creation date.
	EntryScore Drift = "entry_score"
	// EntryStray: an entry that is not the stored session's.
	EntryStray Drift = "entry_stray"
	// EntryOrphan: an entry of a session that is not stored.
	EntryOrphan Drift = "entry_orphan"
	// NoteTime: a note of a write across shards that is there for longer than a
	// minute after its time, or has a time that no write gives it.
	NoteTime Drift = "note_time"
	// KeyForeign: a key that looks like one of ours and is in another shard than
	// anybody looks for it, or has another type. It is left alone.
	KeyForeign Drift = "key_foreign"
)

// Drifts returns all kinds of drift.
func Drifts() []Drift {
	return []Drift{
		SessionUnreadable, SessionTTL, CardMissing, CardScore, CardStray, CardOrphan, CardUnreadable,
		EntryMissing, EntryScore, EntryStray, EntryOrphan, NoteTime, KeyForeign,
	}
}

// Outcome says what became of a drift that was found.
type Outcome uint8

// The outcomes.
const (
	// Left: it was only reported, because no repair was asked for or there is none.
	Left Outcome = iota
	// Repaired: it is gone.
	Repaired
	// Skipped: the session changed before it could be repaired.
	Skipped
	// Failed: Redis refused the repair.
	Failed
)

// String returns the outcome's name in reports.
func (o Outcome) String() string { return [...]string{"left", "repaired", "skipped", "failed"}[o] }

// Finding is one drift that was found.
type Finding struct {
	Drift Drift
	// ID is the session that it is about, "" if that is not known.
	ID session.ID
	// Where says where it is: session, catalogue, created, creator, user, agent,
	// token or note. It is never a user's name, nor anything of a token. (I6)
	Where   string
	Outcome Outcome
	// Err says why a repair failed, or why something cannot be read.
	Err error
}

// DriftCount counts the findings of one kind.
type DriftCount struct {
	Found, Repaired, Skipped, Failed uint64
}

// Left is how many are still there, as far as is known.
func (c *DriftCount) Left() uint64 { return c.Found - c.Repaired }

// Report says what an audit has looked at, and what it found.
type Report struct {
	// Sessions, Cards, Entries and Notes count what was looked at.
	Sessions, Cards, Entries, Notes uint64
	// Ends counts the ends of logins that were met. They follow from nothing else, so
	// nothing is held against them.
	Ends uint64
	// Unsettled is how many cards and entries of sessions without a hash it could
	// not tell anything of, because more than Config.MaxCandidates sessions have
	// ended in their shard and are being cleared.
	Unsettled uint64
	// Drift has the kinds that were found.
	Drift map[Drift]DriftCount
	// Complete says that the audit came to its end.
	Complete bool
}

// Clean says that the audit came to its end, knows of everything, and left no
// drift behind.
func (r *Report) Clean() bool {
	left := func(c DriftCount) bool { return c.Left() > 0 }
	counts := make([]DriftCount, 0, len(r.Drift))
	for _, c := range r.Drift {
		counts = append(counts, c)
	}
	return r.Complete && r.Unsettled == 0 && !slices.ContainsFunc(counts, left)
}

// Looked is how many sessions, cards, entries and notes were looked at.
func (r *Report) Looked() uint64 { return r.Sessions + r.Cards + r.Entries + r.Notes }

// add counts a finding.
func (r *Report) add(f *Finding) {
	c := r.Drift[f.Drift]
	c.Found++
	switch f.Outcome {
	case Repaired:
		c.Repaired++
	case Skipped:
		c.Skipped++
	case Failed:
		c.Failed++
	case Left:
	}
	r.Drift[f.Drift] = c
}
