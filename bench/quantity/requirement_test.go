package quantity

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// The form is that in which pairs states it: what the report says must not contradict it.
func TestRequirementVerdicts_AgreeWithPairs(t *testing.T) {
	for _, ratios := range [][]float64{{0.5, 1, 3}, {1, 2.56, 178}, {0.1, 0.2, 0.3}, {2, 2, 2}} {
		p := result.Pairs{Ratios: ratios, P99Ratios: ratios}
		p.Sum()
		p.Require(1, 2)
		verdicts := RequirementVerdicts(&result.Result{Pairs: &p})
		stated := strings.Split(p.Requirement, "; ")
		if len(verdicts) != len(stated) {
			t.Fatalf("%q for %q", verdicts, stated)
		}
		for i := range stated {
			if strings.Contains(stated[i], ": met") != strings.Contains(verdicts[i], ": met") {
				t.Errorf("pairs says %q, the report %q", stated[i], verdicts[i])
			}
		}
	}
	if got := RequirementVerdicts(&result.Result{Pairs: &result.Pairs{Requirement: "be quick"}}); !slices.Equal(got, []string{"be quick"}) {
		t.Errorf("a requirement that is not understood: %q", got)
	}
}
