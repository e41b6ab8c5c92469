package quantity

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// Requirement is one that pairs states, without its verdict: at least 0.9 × requests/s, at most 2 × p99.
type Requirement struct {
	Text   string  // without the verdict
	Bound  float64 // of the median of the ratios
	atMost bool
	OfP99  bool // of the ratios of the p99, not of the rates
}

var requirementPart = regexp.MustCompile(`^(at least|at most) (\d+(?:\.\d+)?) × (requests/s|p99)(?::.*)?$`)

// ParseRequirements returns the requirements in s, and what of s is none that is understood.
func ParseRequirements(s string) (known []Requirement, other []string) {
	for part := range strings.SplitSeq(s, "; ") {
		match := requirementPart.FindStringSubmatch(part)
		if match == nil {
			if part != "" {
				other = append(other, part)
			}
			continue
		}
		bound, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			other = append(other, part)
			continue
		}
		text := match[1] + " " + match[2] + " × " + match[3]
		known = append(known, Requirement{text, bound, match[1] == "at most", match[3] == "p99"})
	}
	return known, other
}

// meets reports whether a ratio meets r.
func (r *Requirement) meets(ratio float64) bool {
	if r.atMost {
		return ratio <= r.Bound
	}
	return ratio >= r.Bound
}

// verdict says whether the median of the ratios meets r, and how many of them do.
func (r *Requirement) verdict(ratios Sample) string {
	if len(ratios) == 0 {
		return r.Text + ": not shown, there is no valid pair"
	}
	met := 0
	for _, ratio := range ratios {
		if r.meets(ratio) {
			met++
		}
	}
	word := "not met"
	if r.meets(ratios.Median()) {
		word = "met"
	}
	return fmt.Sprintf("%s: %s by the median; %d of %d pairs meet it", r.Text, word, met, len(ratios))
}

// RequirementVerdicts says of each requirement of r whether the valid pairs meet it.
func RequirementVerdicts(r *result.Result) []string {
	rates, p99s := PairRatios(r)
	known, verdicts := ParseRequirements(r.Pairs.Requirement)
	for i := range known {
		ratios := rates
		if known[i].OfP99 {
			ratios = p99s
		}
		verdicts = append(verdicts, known[i].verdict(ratios))
	}
	return verdicts
}

// RequirementTexts returns the requirements in s without their verdicts.
func RequirementTexts(s string) []string {
	known, texts := ParseRequirements(s)
	for _, r := range known {
		texts = append(texts, r.Text)
	}
	return texts
}
