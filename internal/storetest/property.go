package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

// Subject is a store that Property holds against the model.
type Subject struct {
	Store Store
	// Clock is the store's; Property moves it.
	Clock *Clock
	// Sweep sweeps every shard once.
	Sweep func(ctx context.Context) error
	// Audit checks what is stored, by reading it without the store: the live
	// sessions have all their entries, and if swept nothing else has any.
	Audit func(t rapid.TB, live []*session.Stored, swept bool)
	// Initial is how many sessions are there before the first operation.
	Initial int
	// Limits are the store's: its MaxCandidates, if it may refuse searches, and
	// those on a user's sessions.
	Limits Limits
}

const (
	// maxDue is the backlog of ended sessions up to which totals are promised
	// to be exact; the sweeper keeps it shorter.
	maxDue = 90
	// maxAdvance keeps tombstones alive during a run.
	maxAdvance = TombstoneTTL - time.Hour
)

func newProperty(s Subject) *property {
	return &property{
		ctx:     context.Background(),
		Subject: s,
		model:   NewModel(s.Clock.Now, modelLimits(s.Limits)),
		start:   s.Clock.Now(),
		seen:    make(map[session.ID][]pair),
		ids:     60 + 2*s.Initial,
	}
}

// Property does random operations on a store and on the model, side by side:
// both must answer the same, and in the end what the store keeps must be
// right. It returns the number of operations. (I5, I9)
func Property(t *rapid.T, s Subject) int {
	p := newProperty(s)
	p.putInitial(t)
	t.Repeat(map[string]func(*rapid.T){
		"create":          p.create,
		"create again":    p.create,
		"put":             p.put,
		"put stale":       p.putStale,
		"set":             p.set,
		"set again":       p.set,
		"delete":          p.delete,
		"delete stale":    p.deleteStale,
		"revoke":          p.revoke,
		"end":             p.endLogins,
		"ended":           p.ended,
		"get":             p.get,
		"token":           p.token,
		"advance":         p.advance,
		"advance to end":  p.advanceToEnd,
		"sweep":           p.sweep,
		"search":          p.search,
		"search again":    p.search,
		"search narrowly": p.search,
		"search caller":   p.searchCaller,
		"turn the page":   p.turn,
	})
	p.end(t)
	return p.ops
}

// modelLimits are those of a model that refuses no search.
func modelLimits(l Limits) Limits {
	l.MaxCandidates = 1 << 30
	return l
}

// pair is one version of a session in the store and in the model; nil for none.
type pair struct{ store, model *session.Stored }

type property struct {
	ctx context.Context
	Subject
	model  *Model
	start  session.Time
	seen   map[session.ID][]pair // versions that were read
	tokens []string
	book   *index.Query // a search that is followed page by page
	ids    int
	ops    int
}

// read gets a session from both and compares.
func (p *property) read(t *rapid.T, id session.ID) (pair, error) {
	got, err := p.Store.GetFresh(p.ctx, id)
	want, wantErr := p.model.GetFresh(p.ctx, id)
	if !sameError(err, wantErr) {
		t.Fatalf("GetFresh(%s): %v, want %v", id, err, wantErr)
	}
	read, readErr := p.Store.Get(p.ctx, id)
	if !sameError(readErr, wantErr) {
		t.Fatalf("Get(%s): %v, want %v", id, readErr, wantErr)
	}
	if err != nil {
		return pair{}, err
	}
	same(t, got, want)
	same(t, read, want)
	v := pair{got, want}
	if n := len(p.seen[id]); n == 0 || p.seen[id][n-1].store.Version != got.Version {
		p.seen[id] = append(p.seen[id], v)
	}
	return v, nil
}

// store puts s in place of old in both and compares.
func (p *property) store(t *rapid.T, s *session.Session, old pair) {
	p.ops++
	want := p.model.Put(p.ctx, s, old.model)
	err := p.Store.Put(p.ctx, s, old.store)
	if !sameError(err, want) {
		t.Fatalf("Put(%+v, %s): %v, want %v", s.Facts(), show(old.store), err, want)
	}
	_, _ = p.read(t, s.ID)
}

func (p *property) create(t *rapid.T) {
	s := p.session(t, p.id(t))
	s.Sequence = uint64(rapid.SampledFrom([]int{1, 2, 5, 12, 40}).Draw(t, "sequence"))
	p.store(t, s, pair{})
}

func (p *property) put(t *rapid.T) {
	if old, ok := p.live(t); ok {
		s := p.session(t, old.model.ID)
		s.Sequence = old.model.Sequence + uint64(rapid.IntRange(1, 3).Draw(t, "more"))
		p.store(t, s, old)
	}
}

// set changes what SetSession changes.
func (p *property) set(t *rapid.T) {
	old, ok := p.live(t)
	if !ok {
		return
	}
	s, err := session.ParseDoc(old.model.Doc)
	if err != nil {
		t.Fatal(err)
	}
	s.Creator, s.Token, s.TokenForeign = old.model.Creator, old.model.Token, old.model.TokenForeign
	s.Sequence++
	s.ChangeDate = p.Clock.Now()
	if rapid.Bool().Draw(t, "metadata") {
		Metadata(rapid.SampledFrom([]string{"", "k" + strconv.Itoa(p.ops)}).Draw(t, "key"), []byte("v"))(s)
	}
	if rapid.Bool().Draw(t, "extend") {
		p.expires(t, s)
	}
	if rapid.Bool().Draw(t, "new token") {
		p.issue(t, s)
	}
	if s.Factors.User == nil && rapid.Bool().Draw(t, "check user") {
		User("u1", "o0")(s)
	}
	p.store(t, s, old)
}

func (p *property) putStale(t *rapid.T) {
	if old, ok := p.stale(t); ok {
		s := p.session(t, old.model.ID)
		s.Sequence = old.model.Sequence + 1
		p.store(t, s, old)
	}
}

func (p *property) delete(t *rapid.T) {
	if old, ok := p.live(t); ok {
		p.remove(t, old)
	}
}

func (p *property) deleteStale(t *rapid.T) {
	if old, ok := p.stale(t); ok {
		p.remove(t, old)
	}
}

func (p *property) remove(t *rapid.T, old pair) {
	p.ops++
	want, wantErr := p.model.Delete(p.ctx, old.model, "revoked")
	got, err := p.Store.Delete(p.ctx, old.store, "revoked")
	if !sameError(err, wantErr) && !(readAgain(err) && readAgain(wantErr)) || got != want {
		t.Fatalf("Delete(%s): %+v, %v, want %+v, %v", show(old.store), got, err, want, wantErr)
	}
	_, _ = p.read(t, old.model.ID)
}

// revoke deletes what a search with two predicates or more finds, or counts it.
func (p *property) revoke(t *rapid.T) {
	p.ops++
	q := p.query(t, all)
	q.Predicates = append(q.Predicates, p.predicate(t), p.predicate(t))
	r := cache.Revocation{Query: q, Reason: "revoked", DryRun: rapid.Bool().Draw(t, "dry run"), Except: []session.ID{p.id(t)}}
	if rapid.Bool().Draw(t, "may some") {
		r.May = func(s *session.Facts) bool { return s.OrgID == "o1" }
	}
	want, err := p.model.Revoke(p.ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Store.Revoke(p.ctx, r); err != nil || got != want {
		t.Fatalf("Revoke(%+v, %+v): %d, %v, want %d", r, q, got, err, want)
	}
}

// endLogins ends a session that has JWTs, known or not, or a user's logins.
func (p *property) endLogins(t *rapid.T) {
	p.ops++
	l := p.login(t)
	name, e := l.Session, session.End{NotAfter: session.Never, Until: p.Clock.Now().Add(endLifetime)}
	if rapid.Bool().Draw(t, "of a user") {
		name, e.NotAfter = l.User, l.Began
	}
	for _, s := range []Store{p.Store, p.model} {
		if _, err := s.End(p.ctx, name, e); err != nil {
			t.Fatalf("End(%s, %v): %v", name, e, err)
		}
	}
}

func (p *property) ended(t *rapid.T) {
	p.ops++
	l := p.login(t)
	want, _ := p.model.Ended(p.ctx, l)
	if got, err := p.Store.Ended(p.ctx, l); got != want || err != nil {
		t.Fatalf("Ended(%+v): %v, %v, want %v", l, got, err, want)
	}
}

func (p *property) login(t *rapid.T) *session.Login {
	return &session.Login{
		Session:  session.EndOfSession(p.jwtID(t)),
		User:     session.EndOfUser(jwtPrefix + strconv.Itoa(rapid.IntRange(0, 5).Draw(t, "user"))),
		Began:    p.start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "began")) * time.Second),
		Lifetime: endLifetime,
	}
}

// jwtID is the ID of a session that JWTs may name.
func (p *property) jwtID(t *rapid.T) session.ID {
	return nth(8*rapid.IntRange(0, 9).Draw(t, "session with JWTs") + 7)
}

func (p *property) get(t *rapid.T) {
	p.ops++
	_, _ = p.read(t, p.id(t))
}

func (p *property) token(t *rapid.T) {
	if len(p.tokens) == 0 {
		return
	}
	p.ops++
	token := rapid.SampledFrom(p.tokens).Draw(t, "token")
	holders := p.model.holders(token)
	got, err := p.Store.GetByToken(p.ctx, token)
	if len(holders) == 0 {
		if !errors.Is(err, session.ErrNotFound) {
			t.Fatalf("GetByToken(%s): %s, %v, want ErrNotFound", token, show(got), err)
		}
		return
	}
	if err != nil || !slices.Contains(holders, got.ID) {
		t.Fatalf("GetByToken(%s): %s, %v, want one of %v", token, show(got), err, holders)
	}
	want, err := p.model.Get(p.ctx, got.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
}

func (p *property) advance(t *rapid.T) {
	p.moveTo(t, p.Clock.Now().Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds"))*time.Second))
}

// advanceToEnd moves to just before or exactly to the end of a session.
func (p *property) advanceToEnd(t *rapid.T) {
	if s, ok := p.live(t); ok {
		p.moveTo(t, s.model.Expiration-session.Time(rapid.IntRange(0, 1).Draw(t, "before")))
	}
}

func (p *property) moveTo(t *rapid.T, to session.Time) {
	if to <= p.Clock.Now() || to > p.start.Add(maxAdvance) {
		return
	}
	p.ops++
	p.Clock.Advance(to.Sub(p.Clock.Now()))
	if p.model.due() > maxDue {
		p.sweep(t)
	}
}

func (p *property) sweep(t *rapid.T) {
	p.ops++
	if err := p.Sweep(p.ctx); err != nil {
		t.Fatalf("Sweep: %v", err)
	}
	p.model.sweep()
}

// end checks what is stored, and that nothing is left once all have ended.
func (p *property) end(t *rapid.T) {
	p.Audit(t, p.model.Live(), false)
	p.sweep(t)
	p.Audit(t, p.model.Live(), true)
	for _, s := range p.model.Live() {
		if s.Expiration >= session.MaxScore-1 {
			v, err := p.read(t, s.ID)
			if err != nil {
				t.Fatal(err)
			}
			p.remove(t, v)
		}
	}
	p.Clock.Advance(48 * time.Hour)
	p.sweep(t)
	p.Audit(t, nil, true)
}

func same(t rapid.TB, got, want *session.Stored) {
	if got.Facts != want.Facts || !bytes.Equal(got.Doc, want.Doc) || got.Token != want.Token || got.TokenForeign != want.TokenForeign {
		t.Fatalf("session %s, want %s", show(got), show(want))
	}
}

// readAgain says that a delete found another version, or none. Which of them
// is not promised while one of the versions has ended and is still there.
func readAgain(err error) bool {
	return errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound)
}

// sameError compares errors as callers see them.
func sameError(got, want error) bool {
	if want == nil {
		return got == nil
	}
	return errors.Is(got, want)
}

func show(s *session.Stored) string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("%+v %s token %x, foreign %v", s.Facts, s.Doc, s.Token, s.TokenForeign)
}
