package forward

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"golang.org/x/sync/errgroup"
)

const (
	// pageSize is how many sessions are listed at once: without a limit ZITADEL answers all that there are.
	pageSize = 100
	// endsAtOnce is how many sessions are ended side by side, so that other calls get their turn.
	endsAtOnce = 8
	// passes is how often the sessions are looked for at most: a list may lack what was created a moment ago.
	passes = 4
	// mostEnded is how many sessions one revocation may be about: it keeps a hash of each in mind.
	mostEnded = 1_000_000
)

// errTooMany is the error of a revocation of more than mostEnded sessions.
var errTooMany = &refusal.Error{Code: refusal.Exhausted, Text: fmt.Sprintf("more than %d sessions match: ask for fewer, by their creationDate for example", mostEnded)}

// errMore is the error of a revocation that found more each time it looked.
// It is none that is tried again at once: sessions may be created as fast as they are deleted, and then that would never end.
var errMore = &refusal.Error{Code: refusal.Unavailable, Text: "ZITADEL has had more sessions each time, so some may be left"}

// Revocation deletes sessions at the ZITADEL that they live in, with our account, and then their copies here. Make it
// with NewRevocation.
type Revocation struct {
	cache.Revocation
	zitadel *upstream.Client
	store   *cache.Store
	log     *slog.Logger
	// match is Query without what only ZITADEL knows, and nothing says that nothing matches. queries are those of
	// Query in ZITADEL's words.
	match   index.Query
	nothing bool
	queries []map[string]any
	except  map[session.ID]bool
	seed    maphash.Seed

	mu      sync.Mutex
	known   map[uint64]struct{}     // hashes of the IDs of sessions that are dealt with
	unsure  map[session.ID]struct{} // those of which it is not known whether they are gone
	revoked uint64
	before  uint64 // revoked, by earlier calls of Revoke
	failed  uint64 // that ZITADEL refuses to delete
	refused error  // why it did, the first time
}

// NewRevocation returns a revocation of what, of which Replicated is told nothing. Its error is a *refusal.Error that
// names the query that cannot be asked for.
func NewRevocation(what cache.Revocation, zitadel *upstream.Client, store *cache.Store, log *slog.Logger) (*Revocation, error) {
	r := &Revocation{
		Revocation: what, zitadel: zitadel, store: store, log: log, seed: maphash.MakeSeed(), except: map[session.ID]bool{},
		known: map[uint64]struct{}{}, unsure: map[session.ID]struct{}{},
	}
	for _, id := range what.Except {
		r.except[id] = true
	}
	r.match = *what.Query
	// Sessions do not show their creator: ZITADEL alone compares it.
	r.match.Predicates = slices.DeleteFunc(slices.Clone(what.Query.Predicates), func(p index.Predicate) bool { return p.Kind == index.KindCreator })
	for i := range what.Query.Predicates {
		if err := r.translate(&what.Query.Predicates[i]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// translate adds a predicate to the queries for ZITADEL.
func (r *Revocation) translate(p *index.Predicate) error {
	add := func(field string, value any) {
		r.queries = append(r.queries, map[string]any{p.Kind.String(): map[string]any{field: value}})
	}
	switch p.Kind {
	case index.KindIDs:
		ids := slices.DeleteFunc(slices.Clone(p.IDs()), func(id session.ID) bool { _, bad := session.ParseID(string(id)); return bad != nil })
		r.nothing = r.nothing || len(ids) == 0
		add("ids", ids)
		return nil
	case index.KindCreation, index.KindExpiration:
		field := strings.TrimSuffix(p.Kind.String(), "Query")
		compare := func(method string, t session.Time) {
			if year := t.Std().Year(); year >= 1 && year <= 9999 { // what it cannot be told, match tells
				r.queries = append(r.queries, map[string]any{p.Kind.String(): map[string]any{
					field: t.Std().Format(time.RFC3339Nano), "method": "TIMESTAMP_QUERY_METHOD_" + method,
				}})
			}
		}
		r.nothing = r.nothing || p.Dates.Min > p.Dates.Max
		if p.Dates.Min != math.MinInt64 {
			compare("GREATER_OR_EQUALS", p.Dates.Min)
		}
		if p.Dates.Max != session.Never {
			compare("LESS_OR_EQUALS", p.Dates.Max)
		}
		return nil
	}
	if strings.ContainsRune(p.Value, 0) {
		return &refusal.Error{Code: refusal.Invalid, Text: fmt.Sprintf("invalid RevokeSessionsRequest.Queries: %s must have no NUL, which ZITADEL does not take", p.Kind)}
	}
	r.nothing = r.nothing || p.Value == ""
	if p.Kind == index.KindAgent {
		add("fingerprintId", p.Value)
	} else {
		add("id", p.Value)
	}
	return nil
}

// Revoke deletes, or counts, every session that matches and that is not dealt with yet, as cache.Store.Revoke does: what
// ZITADEL lists, what it answers of IDs that are asked for, and what is copied here. It says how many it deleted. An
// error that wraps session.ErrUnavailable says that some may be left: to call it again is to go on.
func (r *Revocation) Revoke(ctx context.Context) (revoked uint64, err error) {
	if r.nothing {
		return 0, nil
	}
	if r.DryRun { // counts anew
		r.revoked, r.known = 0, map[uint64]struct{}{}
	}
	r.before = r.revoked
	more := true
	for n := 0; n < passes && more && err == nil; n++ {
		done := len(r.known)
		err = r.pass(ctx)
		more = len(r.known) > done && !r.DryRun
	}
	if err == nil && more {
		err = errMore
	}
	if err == nil && len(r.unsure) > 0 {
		err = &upstream.UnavailableError{Reason: "it did not say whether it has deleted sessions", Sent: true}
	}
	if errors.Is(err, upstream.ErrUnavailable) || err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", session.ErrUnavailable, err)
	}
	return r.revoked - r.before, err
}

// Failed is how many sessions are left because ZITADEL refuses to delete them, of how many it is not known whether they
// are gone, and why the first of the former was refused.
func (r *Revocation) Failed() (failed uint64, unsure int, why error) {
	return r.failed, len(r.unsure), r.refused
}

// pass looks for the sessions once.
func (r *Revocation) pass(ctx context.Context) error {
	unsure := make([]session.ID, 0, len(r.unsure))
	for id := range r.unsure {
		unsure = append(unsure, id)
	}
	err := r.each(ctx, unsure, r.end)
	if err == nil {
		err = r.find(ctx)
	}
	if err == nil {
		err = r.copies(ctx)
	}
	return err
}

// find ends what ZITADEL has. It lists late what was written a moment ago; of single sessions it tells at once.
func (r *Revocation) find(ctx context.Context) error {
	if len(r.match.Predicates) == len(r.Query.Predicates) {
		for i := range r.match.Predicates {
			if p := &r.match.Predicates[i]; p.Kind == index.KindIDs {
				return r.each(ctx, p.IDs(), func(ctx context.Context, id session.ID) error {
					if _, bad := session.ParseID(string(id)); bad != nil || r.isKnown(id) {
						return nil
					}
					return r.examine(ctx, id, false)
				})
			}
		}
	}
	return r.list(ctx)
}

// list ends what ZITADEL lists, the oldest first. A page begins at the creation date where the one before has ended, so
// that deletions move nothing. Only within one date, and past sessions that are not shown to us, offsets count: these go past
// what is left of a page, since what was deleted of it makes the rest move up.
func (r *Revocation) list(ctx context.Context) error {
	from, offset := session.Time(math.MinInt64), 0
	for {
		page, err := r.zitadel.List(ctx, r.page(from, offset))
		if err != nil {
			return err
		}
		last := session.Time(math.MinInt64)
		var found []session.ID
		for _, s := range page.Sessions {
			switch {
			case r.isKnown(s.ID) || r.except[s.ID]:
			case s.Decoded == nil && !r.mayAny():
			case s.Decoded == nil:
				r.fail(s.ID, errors.New("zitadel lists a session that cannot be read"))
			default:
				if facts := s.Decoded.Facts(); r.matches(&facts) {
					found = append(found, s.ID)
				}
			}
			if s.Decoded != nil {
				last = max(last, s.Decoded.CreationDate)
			}
		}
		before := r.revoked
		if err := r.each(ctx, found, r.end); err != nil {
			return err
		}
		gone := 0
		if !r.DryRun {
			gone = int(r.revoked - before)
		}
		switch {
		case len(page.Sessions) < pageSize && uint64(offset+pageSize) >= page.Total:
			return nil
		case last > from:
			from, offset = last, 0
		default:
			offset += pageSize - gone
		}
	}
}

// page is the body of ListSessions for a page from a creation date on.
func (r *Revocation) page(from session.Time, offset int) []byte {
	queries := r.queries
	if from != math.MinInt64 {
		queries = append(slices.Clip(queries), map[string]any{"creationDateQuery": map[string]any{
			"creationDate": from.Std().Format(time.RFC3339Nano), "method": "TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS",
		}})
	}
	body, _ := json.Marshal(map[string]any{ // texts and numbers: never fails
		"query": map[string]any{"limit": pageSize, "offset": offset, "asc": true}, "queries": queries,
		"sortingColumn": "SESSION_FIELD_NAME_CREATION_DATE",
	})
	return body
}

// copies ends what is copied here and was not found at ZITADEL: created a moment ago, or of a user who is locked. Nobody may be
// let in by such a copy.
func (r *Revocation) copies(ctx context.Context) error {
	return r.store.Walk(ctx, r.Query, func(ctx context.Context, stored []*session.Stored) error {
		var left []session.ID
		for _, s := range stored {
			if !r.isKnown(s.ID) && r.matches(&s.Facts) {
				left = append(left, s.ID)
			}
		}
		return r.each(ctx, left, func(ctx context.Context, id session.ID) error { return r.examine(ctx, id, true) })
	})
}

// examine asks for a session, and ends it if it matches. copied says that a copy matches, which is ended also where ZITADEL says
// that there is none: so it says of the sessions of users who are locked, too.
func (r *Revocation) examine(ctx context.Context, id session.ID, copied bool) error {
	got, err := r.zitadel.GetSession(ctx, id, "", upstream.AsOurs())
	switch {
	case err != nil:
		return err
	case got.Outcome == upstream.NotFound && !copied:
		return nil
	case got.Outcome == upstream.NotFound:
		return r.end(ctx, id)
	case got.Outcome != upstream.Found:
		r.fail(id, errors.New("zitadel does not show sessions to our account"))
		return nil
	case got.Decoded == nil && !copied && !r.mayAny():
		return nil
	case got.Decoded == nil:
		r.fail(id, errors.New("zitadel has a session that cannot be read"))
		return nil
	}
	facts := got.Decoded.Facts()
	if r.matches(&facts) {
		return r.end(ctx, id)
	}
	if !copied || r.DryRun {
		return nil
	}
	return r.store.Outdate(ctx, id) // the copy is old
}

// matches says whether a session is to be ended, as far as that shows.
func (r *Revocation) matches(f *session.Facts) bool {
	return !r.except[f.ID] && r.match.Match(f, r.store.Now()) && (r.May == nil || r.May(f))
}

// mayAny says whether the caller may end a session of which nothing is known. Who may do so in one organization, or with its own,
// may not: whose it is does not show, and so it is none of those that were asked for.
func (r *Revocation) mayAny() bool { return r.May == nil || r.May(new(session.Facts)) }

// end deletes a session at ZITADEL and then here, or counts it.
func (r *Revocation) end(ctx context.Context, id session.ID) error {
	if err := r.know(id); err != nil {
		return err
	}
	if r.DryRun {
		r.settled(id, &r.revoked)
		return nil
	}
	err := r.zitadel.Delete(ctx, id)
	var refused *upstream.RefusedError
	var invalid *session.InvalidError
	switch {
	case err == nil:
		if err = r.store.Terminate(ctx, id, r.Reason); err == nil {
			r.settled(id, &r.revoked)
			return nil
		}
		r.doubt(id) // to delete it again there costs a call
		return err
	case errors.As(err, &refused), errors.As(err, &invalid):
		r.fail(id, err)
		return nil
	case !upstream.MayHaveHappened(err):
		r.forget(id)
		return err
	}
	r.doubt(id)
	return r.store.Outdate(ctx, id) // I4
}

func (r *Revocation) hash(id session.ID) uint64 { return maphash.String(r.seed, string(id)) }

func (r *Revocation) isKnown(id session.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.known[r.hash(id)]
	return known
}

// know notes that a session is dealt with.
func (r *Revocation) know(id session.ID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[r.hash(id)] = struct{}{}; len(r.known) > mostEnded {
		return errTooMany
	}
	return nil
}

// forget lets a session be found again, unless it is one that is doubted.
func (r *Revocation) forget(id session.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, unsure := r.unsure[id]; !unsure {
		delete(r.known, r.hash(id))
	}
}

func (r *Revocation) doubt(id session.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure[id] = struct{}{}
}

// settled counts a session.
func (r *Revocation) settled(id session.ID, as *uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.unsure, id)
	*as++
}

// fail notes that a session stays.
func (r *Revocation) fail(id session.ID, why error) {
	_ = r.know(id) // what does not fit in is found again
	r.settled(id, &r.failed)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = why
		r.log.Warn("a session is not revoked; more that are not are only counted", "session_id", string(id), "error", why)
	}
}

// each does something for each ID, side by side, until one cannot be done, and tells how far the revocation is. What has begun is not
// cut off, and is waited for. (I7)
func (r *Revocation) each(ctx context.Context, ids []session.ID, do func(context.Context, session.ID) error) error {
	group, going := errgroup.WithContext(ctx)
	group.SetLimit(endsAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			if going.Err() != nil {
				return nil // told below
			}
			return do(context.WithoutCancel(ctx), id)
		})
		r.progress()
	}
	err := group.Wait()
	r.progress()
	return cmp.Or(err, ctx.Err())
}

// progress tells how many sessions this call of Revoke has ended. Revoke's goroutine calls it.
func (r *Revocation) progress() {
	if r.Progress == nil {
		return
	}
	r.mu.Lock()
	revoked := r.revoked - r.before
	r.mu.Unlock()
	r.Progress(revoked)
}
