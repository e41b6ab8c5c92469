package cache_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// keeping answers a search with the page that was kept of it, as the HTTP API does. If alone, nobody writes beside it: then it
// also asks for the pages of the latest searches again, and wants what Redis answers.
type keeping struct {
	*cache.Store
	alone bool
	kept  *int // how many pages answered

	mu     *sync.Mutex
	latest *[]index.Query
}

// latestSearches is how many searches are asked again.
const latestSearches = 6

func newKeeping(s *cache.Store, alone bool) keeping {
	return keeping{s, alone, new(int), new(sync.Mutex), new([]index.Query)}
}

// Search implements storetest.Store.
func (k keeping) Search(ctx context.Context, q *index.Query) (*index.Page, error) {
	page, ok := k.again(q)
	if !ok {
		var err error
		if page, err = k.SearchAs(ctx, q, keyOf(q)); err != nil {
			return nil, err
		}
	}
	if !k.alone || q.Cursor != nil || !q.Reads.Copies() {
		return page, nil
	}
	if _, err := k.SearchAs(ctx, q, keyOf(q)); err != nil { // from copies, if the first has made them
		return nil, err
	}
	if *k.latest = append(*k.latest, *q); len(*k.latest) > latestSearches {
		*k.latest = slices.Delete(*k.latest, 0, 1)
	}
	for i := range *k.latest {
		other := (*k.latest)[i]
		got, ok := k.again(&other)
		if !ok {
			continue
		}
		other.Reads = index.ReadMasters
		if want, err := k.Store.Search(ctx, &other); err != nil || got.Total != want.Total || !slices.EqualFunc(got.Sessions, want.Sessions, sameSession) {
			return nil, fmt.Errorf("the page that was kept of %+v is %+v, want %+v, %w", other, got, want, err)
		}
	}
	return page, nil
}

func sameSession(a, b *session.Stored) bool {
	return a.Facts == b.Facts && string(a.Doc) == string(b.Doc)
}

// again returns the page that was kept of a search.
func (k keeping) again(q *index.Query) (*index.Page, bool) {
	if q.Cursor != nil || !q.Reads.Copies() {
		return nil, false
	}
	page, ok := k.Page(keyOf(q))
	if ok {
		k.mu.Lock()
		*k.kept++
		k.mu.Unlock()
	}
	return page, ok
}

// keyOf tells a search from every other one.
func keyOf(q *index.Query) []byte {
	return fmt.Appendf(nil, "%q %+v %v %d %d", fmt.Sprint(q.Predicates), q.Sees, q.Ascending, q.Offset, q.Limit)
}
