package scenario

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// The costliest search is for what there is: of a small dataset, all of it.
func TestSearchCostly_AsksForThePage(t *testing.T) {
	for _, sessions := range []int{50, 50_000} {
		c := newSearchCostly(Config{Data: Dataset{Sessions: sessions}}).Client(0, load.NewRand(1, 1)).(*costlySearcher)
		request, want := c.Next(nil)
		if want != 200 || !strings.Contains(string(request), `"limit":1000`) || c.found.total != min(sessions, mostCandidates) || len(c.found.page) != min(sessions, 1000) {
			t.Errorf("%d: total %d, %d on the page: %s", sessions, c.found.total, len(c.found.page), request)
		}
	}
}
