package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// fixture is one test of the suite with its store. Its methods stop the test
// where the store does something else than they say.
type fixture struct {
	*testing.T
	store   Store
	advance func(time.Duration)
	start   session.Time // the store's clock at the beginning
}

// all sees every session.
var all = index.Sees{All: true}

// put stores s where there is none, and returns what Get says of it.
func (f *fixture) put(s *session.Session) *session.Stored {
	f.Helper()
	return f.replace(s, nil)
}

// replace stores s in place of old.
func (f *fixture) replace(s *session.Session, old *session.Stored) *session.Stored {
	f.Helper()
	if err := f.store.Put(f.Context(), s, old); err != nil {
		f.Fatalf("Put(%s): %v", s.ID, err)
	}
	got := f.get(s.ID)
	f.is(got, s)
	return got
}

// is checks that got is s, in every part.
func (f *fixture) is(got *session.Stored, s *session.Session) {
	f.Helper()
	if got.Facts != s.Facts() {
		f.Fatalf("facts %+v, want %+v", got.Facts, s.Facts())
	}
	if want := document(s); !bytes.Equal(got.Doc, want) {
		f.Fatalf("document\n%s, want\n%s", got.Doc, want)
	}
	if got.Token != s.Token || got.TokenForeign != s.TokenForeign {
		f.Fatalf("%s: token %x, foreign %v, want %x, %v", s.ID, got.Token, got.TokenForeign, s.Token, s.TokenForeign)
	}
	if got.Version == "" {
		f.Fatalf("%s: no version", s.ID)
	}
}

// end notes that logins have ended.
func (f *fixture) end(name session.EndName, notAfter, until session.Time) {
	f.Helper()
	if _, err := f.store.End(f.Context(), name, session.End{NotAfter: notAfter, Until: until}); err != nil {
		f.Fatalf("End(%s): %v", name, err)
	}
}

// ended checks whether a login has ended.
func (f *fixture) ended(l session.Login, want bool) {
	f.Helper()
	if got, err := f.store.Ended(f.Context(), &l); got != want || err != nil {
		f.Fatalf("Ended(%+v): %v, %v, want %v", l, got, err, want)
	}
}

// refused checks that Put(s, old) fails with want and changes nothing.
func (f *fixture) refused(want error, s *session.Session, old *session.Stored) {
	f.Helper()
	before, beforeErr := f.store.GetFresh(f.Context(), s.ID)
	if err := f.store.Put(f.Context(), s, old); !errors.Is(err, want) {
		f.Fatalf("Put(%s): %v, want %v", s.ID, err, want)
	}
	after, afterErr := f.store.GetFresh(f.Context(), s.ID)
	if !errors.Is(afterErr, beforeErr) || (before != nil) != (after != nil) || before != nil && before.Version != after.Version {
		f.Fatalf("the refused Put(%s) changed the session: %+v, %v, before %+v, %v", s.ID, after, afterErr, before, beforeErr)
	}
}

// get returns the session with this ID, after it has checked that Get and
// GetFresh say the same of it.
func (f *fixture) get(id session.ID) *session.Stored {
	f.Helper()
	s, err := f.store.GetFresh(f.Context(), id)
	if err != nil {
		f.Fatalf("GetFresh(%s): %v", id, err)
	}
	read, err := f.store.Get(f.Context(), id)
	if err != nil {
		f.Fatalf("Get(%s): %v", id, err)
	}
	same(f, read, s)
	return s
}

// gone checks that there is no session with this ID.
func (f *fixture) gone(id session.ID) {
	f.Helper()
	if s, err := f.store.Get(f.Context(), id); !errors.Is(err, session.ErrNotFound) || s != nil {
		f.Fatalf("Get(%s): %+v, %v, want ErrNotFound", id, s, err)
	}
	if s, err := f.store.GetFresh(f.Context(), id); !errors.Is(err, session.ErrNotFound) || s != nil {
		f.Fatalf("GetFresh(%s): %+v, %v, want ErrNotFound", id, s, err)
	}
}

// token checks whose session a token leads to; "" for nobody's.
func (f *fixture) token(token string, want session.ID) {
	f.Helper()
	for name, byToken := range map[string]func(context.Context, string) (*session.Stored, error){
		"GetByToken": f.store.GetByToken, "GetByTokenFresh": f.store.GetByTokenFresh,
	} {
		s, err := byToken(f.Context(), token)
		switch {
		case want == "":
			if !errors.Is(err, session.ErrNotFound) || s != nil {
				f.Fatalf("%s: %+v, %v, want ErrNotFound", name, s, err)
			}
		case err != nil:
			f.Fatalf("%s: %v, want session %s", name, err, want)
		case s.ID != want || !s.Token.Matches(token):
			f.Fatalf("%s: session %s with token %x, want %s", name, s.ID, s.Token, want)
		}
	}
}

// delete deletes the session with this ID.
func (f *fixture) delete(id session.ID) cache.Deleted {
	f.Helper()
	s := f.get(id)
	d, err := f.store.Delete(f.Context(), s, "revoked")
	if err != nil {
		f.Fatalf("Delete(%s): %v", id, err)
	}
	if want := (cache.Deleted{Sequence: s.Sequence + 1, ChangeDate: f.store.Now()}); d != want {
		f.Fatalf("Delete(%s) = %+v, want %+v", id, d, want)
	}
	f.gone(id)
	return d
}

// search returns the page that q asks for.
func (f *fixture) search(q index.Query) *index.Page {
	f.Helper()
	p, err := f.store.Search(f.Context(), &q)
	if err != nil {
		f.Fatalf("Search(%+v): %v", q, err)
	}
	if p.At != f.store.Now() {
		f.Fatalf("Search(%+v): At %d, want %d", q, p.At, f.store.Now())
	}
	return p
}

// found checks that exactly the sessions want match all of ps, in creation order.
func (f *fixture) found(ps []index.Predicate, want ...session.ID) {
	f.Helper()
	f.foundBy(all, ps, want...)
}

// foundBy is found for a caller.
func (f *fixture) foundBy(sees index.Sees, ps []index.Predicate, want ...session.ID) {
	f.Helper()
	p := f.search(index.Query{Predicates: ps, Sees: sees, Ascending: true, Limit: 1000})
	if got := pageIDs(p); !slices.Equal(got, want) || p.Total != uint64(len(want)) {
		f.Fatalf("Search(%+v, %+v): %v, total %d, want %v", sees, ps, got, p.Total, want)
	}
	p.Release()
	want = slices.Clone(want)
	slices.Reverse(want)
	p = f.search(index.Query{Predicates: ps, Sees: sees, Limit: 1000})
	if got := pageIDs(p); !slices.Equal(got, want) || p.Total != uint64(len(want)) {
		f.Fatalf("Search(%+v, %+v), newest first: %v, total %d, want %v", sees, ps, got, p.Total, want)
	}
}

// page checks the total and the page of q: want, or no sessions.
func (f *fixture) page(q index.Query, total int, want ...session.ID) {
	f.Helper()
	p := f.search(q)
	defer p.Release()
	if got := pageIDs(p); !slices.Equal(got, want) || p.Total != uint64(total) {
		f.Fatalf("Search(%+v): %v, total %d, want %v, total %d", q, got, p.Total, want, total)
	}
}

// costly checks that q is refused because of a predicate.
func (f *fixture) costly(q index.Query, predicate string, unprivileged bool) {
	f.Helper()
	p, err := f.store.Search(f.Context(), &q)
	var e *index.TooCostlyError
	if !errors.As(err, &e) {
		f.Fatalf("Search(%+v): %+v, %v, want a *index.TooCostlyError", q, p, err)
	}
	if e.Predicate != predicate || e.Unprivileged != unprivileged {
		f.Fatalf("Search(%+v): %+v, want predicate %q, unprivileged %v", q, e, predicate, unprivileged)
	}
	if errors.Is(err, session.ErrUnavailable) {
		f.Fatalf("Search(%+v): a refusal is called unavailable: %v", q, err)
	}
}

// puts stores many sessions on a few goroutines.
func (f *fixture) puts(sessions []*session.Session) {
	f.Helper()
	if err := putAll(f.Context(), f.store, sessions); err != nil {
		f.Fatal(err)
	}
}

func putAll(ctx context.Context, s Store, sessions []*session.Session) error {
	const writers = 8
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			var err error
			for i := w; i < len(sessions) && err == nil; i += writers {
				err = s.Put(ctx, sessions[i], nil)
			}
			errs <- err
		}()
	}
	var err error
	for range writers {
		err = errors.Join(err, <-errs)
	}
	return err
}

func pageIDs(p *index.Page) []session.ID {
	var ids []session.ID
	for _, s := range p.Sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// deleteRefused checks that Delete(old) fails with want.
func (f *fixture) deleteRefused(want error, old *session.Stored) {
	f.Helper()
	if d, err := f.store.Delete(f.Context(), old, "revoked"); !errors.Is(err, want) || d != (cache.Deleted{}) {
		f.Fatalf("Delete(%s): %+v, %v, want %v", old.ID, d, err, want)
	}
}

// costlyAny checks that q is refused as too costly, whatever is named.
func (f *fixture) costlyAny(q index.Query) {
	f.Helper()
	var e *index.TooCostlyError
	if p, err := f.store.Search(f.Context(), &q); !errors.As(err, &e) {
		f.Fatalf("Search(%+v): %+v, %v, want a *index.TooCostlyError", q, p, err)
	}
}
