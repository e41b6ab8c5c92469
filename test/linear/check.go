package linear

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// state is a session as all callers see it.
type state struct {
	live      bool
	sequence  uint64
	value     string
	token     string
	tombstone uint64 // sequence of the last deletion, 0 if there was none
}

func (s state) String() string {
	switch {
	case s.live:
		return fmt.Sprintf("%d %s, deleted at %d", s.sequence, s.value, s.tombstone)
	case s.tombstone > 0:
		return fmt.Sprintf("deleted at %d", s.tombstone)
	}
	return "nothing"
}

// step says whether op may have been answered as it was in a state, and which
// state comes after it. A lost op does what it can.
func (s state) step(op *Op) (ok bool, next state) {
	switch op.Kind {
	case Create:
		return s == state{}, state{live: true, sequence: 1, value: op.Value, token: op.NewToken}
	case Put:
		refused := s.live && op.Asked < s.sequence || s.tombstone > 0 && op.Asked <= s.tombstone
		if refused {
			return op.Refused || op.lost, s
		}
		next = state{live: true, sequence: op.Asked, value: op.Value, tombstone: s.tombstone}
		if s.live {
			next.token = s.token
		}
		return op.lost || !op.Refused && op.Created == !s.live, next
	case Set:
		if !s.live {
			return op.NotFound || op.lost, s
		}
		next = state{live: true, sequence: s.sequence + 1, value: op.Value, token: op.NewToken, tombstone: s.tombstone}
		if op.lost {
			next.token = "nobody knows the token of " + op.Value
		}
		return op.lost || !op.NotFound && op.Sequence == next.sequence, next
	case Delete:
		if !s.live {
			return op.Sequence == 0, s
		}
		// One that lost a reply on its way may find, when it asks again, that
		// others have put and deleted the session since: then it answers no sequence.
		return op.lost || op.Sequence == 0 || op.Sequence == s.sequence+1, state{tombstone: s.sequence + 1}
	case Get:
		switch {
		case !s.live:
			return op.NotFound, s
		case op.Token != "" && op.Token != s.token:
			return op.Denied, s
		}
		return !op.NotFound && !op.Denied && op.Sequence == s.sequence && op.Found == s.value, s
	default: // Verify
		return op.Denied != (s.live && s.token == op.Token), s
	}
}

var model = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		of := map[string][]porcupine.Operation{}
		for _, op := range ops {
			id := op.Input.(*Op).Session
			of[id] = append(of[id], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range of {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return state{} },
	Step: func(s, in, _ any) (bool, any) {
		ok, next := s.(state).step(in.(*Op))
		return ok, next
	},
	DescribeOperation: func(in, _ any) string { return in.(*Op).String() },
	DescribeState:     func(s any) string { return s.(state).String() },
}

// String tells what was called and answered, for people.
func (op *Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s by process %d", op.Kind, op.Process)
	if op.Fresh {
		b.WriteString(", fresh")
	}
	if op.Asked > 0 {
		fmt.Fprintf(&b, ", sequence %d", op.Asked)
	}
	if op.Value != "" {
		b.WriteString(", " + op.Value)
	}
	if op.Token != "" {
		b.WriteString(", with a token")
	}
	b.WriteString(" → ")
	switch {
	case op.lost:
		b.WriteString("?")
	case op.NotFound:
		b.WriteString("not found")
	case op.Refused:
		b.WriteString("refused")
	case op.Denied:
		b.WriteString("denied")
	default:
		fmt.Fprintf(&b, "%d %s", op.Sequence, op.Found)
	}
	return b.String()
}

// Check says what is wrong with a history: nil is nothing. bound is how old an
// answer that need not be fresh may be. It takes patience at most; what is not
// decided by then is an error, too. An error lists the calls of a session that is
// wrong, and names a page with a picture of all, in a new temporary directory.
func (h *History) Check(bound, patience time.Duration) error {
	h.mu.Lock()
	ops := slices.Clone(h.ops)
	h.mu.Unlock()
	if read, write := unseen(ops); read != nil {
		return fmt.Errorf("session %s: %v, after %v by the same process", read.Session, read, write)
	}
	wide := widen(ops, int64(bound))
	result, info := porcupine.CheckOperationsVerbose(model, wide, patience)
	if result == porcupine.Ok {
		return nil
	}
	wrong := "no order of the calls explains all answers"
	if result == porcupine.Unknown {
		wrong = fmt.Sprintf("%d calls could not be ordered within %v", len(ops), patience)
	}
	dir, err := os.MkdirTemp("", "linear")
	if err != nil {
		return fmt.Errorf("%s; and there is no place for its picture: %w", wrong, err)
	}
	page := filepath.Join(dir, "history.html")
	if err := porcupine.VisualizePath(model, info, page); err != nil {
		return fmt.Errorf("%s; and its picture was not drawn: %w", wrong, err)
	}
	return fmt.Errorf("%s%s\nsee %s", wrong, firstWrong(wide, patience), page)
}

// firstWrong lists the calls of a session that cannot be put in order, by when
// they began; "" if there is none.
func firstWrong(wide []porcupine.Operation, patience time.Duration) string {
	for _, part := range model.Partition(wide) {
		if porcupine.CheckOperationsTimeout(model, part, patience) == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Input.(*Op).call, b.Input.(*Op).call) })
		var b strings.Builder
		fmt.Fprintf(&b, "\nsession %s:", part[0].Input.(*Op).Session)
		for _, o := range part {
			op := o.Input.(*Op)
			fmt.Fprintf(&b, "\n%12.3f – %12.3f ms  client %d: %v", float64(op.call)/1e6, float64(op.answer)/1e6, op.Client, op)
		}
		return b.String()
	}
	return ""
}

// widen gives each call the time in which it must have happened. An answer that
// need not be fresh may be of any moment within the bound before its call, but
// of none before a write that the same process had answered by then: that was
// done, or found nothing to do, after its own call. What it did itself a Get must
// show; see unseen. A Verify that is denied was asked of Redis.
func widen(ops []*Op, bound int64) []porcupine.Operation {
	written := writesOf(ops)
	all := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		from := op.call
		if !op.Fresh && (op.Kind == Get || op.Kind == Verify && !op.Denied) {
			from = max(from-bound, 0)
			for _, w := range written[sessionOfProcess{op.Session, op.Process}] {
				switch {
				case w.answer >= op.call:
				case op.Kind == Verify && !w.NotFound && !w.Refused:
					from = max(from, w.answer+1)
				default:
					from = max(from, w.call)
				}
			}
		}
		all[i] = porcupine.Operation{ClientId: op.Client, Input: op, Call: from, Output: op, Return: op.answer}
	}
	return all
}

// sessionOfProcess is a session as one process knows it.
type sessionOfProcess struct {
	session string
	process int
}

// writesOf returns the writes that were answered.
func writesOf(ops []*Op) map[sessionOfProcess][]*Op {
	written := map[sessionOfProcess][]*Op{}
	for _, op := range ops {
		if op.Kind.writes() && !op.lost {
			at := sessionOfProcess{op.Session, op.Process}
			written[at] = append(written[at], op)
		}
	}
	return written
}

// unseen finds a Get that does not show what its process had written before: of a
// session, sequences never fall, not even when it is deleted and put again. It
// returns nil if there is none.
func unseen(ops []*Op) (read, write *Op) {
	deletes := map[string][]*Op{}
	for _, op := range ops {
		if op.Kind == Delete && (op.lost || op.Sequence > 0) {
			deletes[op.Session] = append(deletes[op.Session], op)
		}
	}
	written := writesOf(ops)
	for _, op := range ops {
		if op.Kind != Get || op.Denied {
			continue
		}
		for _, w := range written[sessionOfProcess{op.Session, op.Process}] {
			done := max(w.Sequence, w.Asked)
			if w.answer >= op.call || w.NotFound || w.Refused || done == 0 {
				continue
			}
			deleted := w.Kind == Delete || slices.ContainsFunc(deletes[op.Session], func(d *Op) bool {
				return d.call < op.answer && (d.lost || d.Sequence > done)
			})
			if op.NotFound && !deleted || !op.NotFound && (op.Sequence < done || w.Kind == Delete && op.Sequence == done) {
				return op, w
			}
		}
	}
	return nil, nil
}
