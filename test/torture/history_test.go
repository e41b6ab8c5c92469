package torture

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// instant is a time since the beginning of a history, in nanoseconds, by the monotonic clock of the test's process.
type instant int64

// never is the end of what has no end, such as a write whose outcome nobody was told.
const never = instant(math.MaxInt64)

// before returns the instant d earlier.
func (i instant) before(d time.Duration) instant { return i - instant(d) }

// history is what was done to some sessions and what was seen of them. Each session has one writer at a time, and any
// number of readers. It is safe for concurrent use.
type history struct {
	begun time.Time
	callCounts

	mu       sync.Mutex
	sessions []*record
	recent   []*record // those that have changed last
	users    map[string][]*record
	faults   []string // answers that no history excuses
	refusals []refusal
}

// refusal is a call that was not answered, or with what says nothing of a session.
type refusal struct {
	via          int
	inv          instant
	method, path string
	says         string
}

func (r *refusal) String() string {
	return fmt.Sprintf("%s %s through process %d at %v: %.300s", r.method, r.path, r.via, time.Duration(r.inv), r.says)
}

// isWrite says whether the call was to change something.
func (r *refusal) isWrite() bool {
	return r.method != http.MethodGet && !strings.HasSuffix(r.path, "/search")
}

// callCounts counts calls.
type callCounts struct{ calls, acked, unavailable, maybes atomic.Int64 }

func newHistory() *history {
	return &history{begun: time.Now(), users: map[string][]*record{}}
}

func (h *history) now() instant { return instant(time.Since(h.begun)) }

// record is the history of one session. Its label is in the session's metadata, because its ID is not known before it is
// made.
type record struct {
	label, user string

	mu     sync.Mutex
	id     string // "" until it is known
	writes []*write
	seen   []observation
}

type kind uint8

const (
	creates kind = iota
	sets
	deletes
)

func (k kind) String() string { return [...]string{"create", "set", "delete"}[k] }

// write is a Create or Put (always a record's first), Set or Delete. Its number, which is in the session's metadata, is
// its place in the record, from 1.
type write struct {
	kind     kind
	via      int // the process
	inv, res instant
	acked    bool // else it may have happened, at any time after inv
	sequence int  // 0: not told
	token    string
	lifetime time.Duration // of a create; 0: for ever
}

// observation is what an answer says of a session.
type observation struct {
	source   string // the call
	via      int
	inv, res instant
	fresh    bool // asked Redis
	// version is the number of the write that was seen, 0 if there was no session.
	version int
	// refused is the number of the write whose token was refused: the session had another one then, or was gone. 0 if
	// the observation is not of that kind.
	refused int
	// sequence is what the answer has; 0: it has none.
	sequence int
}

func (o *observation) String() string {
	what := fmt.Sprintf("version %d", o.version)
	switch {
	case o.refused != 0:
		what = fmt.Sprintf("the token of version %d refused", o.refused)
	case o.version == 0:
		what = "no session"
	}
	return fmt.Sprintf("%s through process %d at %v–%v: %s", o.source, o.via, time.Duration(o.inv), time.Duration(o.res), what)
}

// begin adds a session that is about to be created.
func (h *history) begin(label, user, id string) *record {
	r := &record{label: label, user: user, id: id}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions = append(h.sessions, r)
	h.users[user] = append(h.users[user], r)
	return r
}

// changed notes that readers should look at r.
func (h *history) changed(r *record) {
	const most = 24
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.recent) >= most {
		h.recent = h.recent[1:]
	}
	h.recent = append(h.recent[:len(h.recent):len(h.recent)], r)
}

// all returns the sessions so far, and the latest that have changed.
func (h *history) all() (sessions, recent []*record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[:len(h.sessions):len(h.sessions)], h.recent
}

// everything returns all sessions and all users.
func (h *history) everything() (sessions []*record, users []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for u := range h.users {
		users = append(users, u)
	}
	slices.Sort(users)
	return h.sessions[:len(h.sessions):len(h.sessions)], users
}

// of returns the sessions of a user that may have been created so far.
func (h *history) of(user string) []*record {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.users[user]
	return of[:len(of):len(of)]
}

// refused notes a call that was refused.
func (h *history) refused(r refusal) {
	h.unavailable.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusals = append(h.refusals, r)
}

// fault notes an answer that nothing excuses.
func (h *history) fault(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, fmt.Sprintf(format, args...))
}

// write notes that a write begins. Until it is acknowledged it may have happened.
func (r *record) write(k kind, via int, inv instant) (w *write, number int) {
	w = &write{kind: k, via: via, inv: inv, res: never}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, w)
	return w, len(r.writes)
}

// ack notes that a write has happened.
func (r *record) ack(w *write, res instant, id string, sequence int, token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.acked, w.res, w.sequence, w.token = true, res, sequence, token
	if id != "" {
		r.id = id
	}
}

// undo takes the last write back: it was refused, and has done nothing. The number is free again.
func (r *record) undo(w *write) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.writes); n > 0 && r.writes[n-1] == w {
		r.writes = r.writes[:n-1]
	}
}

// see notes an observation.
func (r *record) see(o observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, o)
}

// ref returns the session's ID, "" if it is not known.
func (r *record) ref() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// learn notes the ID of a session that was seen.
func (r *record) learn(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.id == "" {
		r.id = id
	}
}

// tokens returns the tokens that are known, and the writes that made them.
func (r *record) tokens() (tokens []string, numbers []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.writes {
		if w.token != "" {
			tokens, numbers = append(tokens, w.token), append(numbers, i+1)
		}
	}
	return tokens, numbers
}

// missing returns which kinds of calls never succeeded through some processes, from their beginning to their end within some time.
func (h *history) missing(kinds calls, from, to instant, through ...int) calls {
	sessions, _ := h.all()
	within := func(via int, inv, res instant) bool { return inv >= from && res <= to && slices.Contains(through, via) }
	for _, rec := range sessions {
		rec.mu.Lock()
		for _, w := range rec.writes {
			switch {
			case !w.acked || !within(w.via, w.inv, w.res):
			case w.kind == deletes:
				kinds &^= removals
			default:
				kinds &^= writes
			}
		}
		for i := range rec.seen {
			if o := &rec.seen[i]; o.fresh && o.version > 0 && within(o.via, o.inv, o.res) {
				kinds &^= reads
			}
		}
		rec.mu.Unlock()
	}
	return kinds
}
