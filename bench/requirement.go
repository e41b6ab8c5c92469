package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// requirement is one that pairs states, without its verdict: at least 0.9 × requests/s, at most 2 × p99.
type requirement struct {
	text   string
	bound  float64
	atMost bool
	ofP99  bool // of the ratios of the p99, not of the rates
}

var requirementPart = regexp.MustCompile(`^(at least|at most) (\d+(?:\.\d+)?) × (requests/s|p99)(?::.*)?$`)

// parseRequirements returns the requirements in s, and what of s is none that is understood.
func parseRequirements(s string) (known []requirement, other []string) {
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
		known = append(known, requirement{text, bound, match[1] == "at most", match[3] == "p99"})
	}
	return known, other
}

// meets reports whether a ratio meets r.
func (r *requirement) meets(ratio float64) bool {
	if r.atMost {
		return ratio <= r.bound
	}
	return ratio >= r.bound
}

// verdict says whether the median of the ratios meets r, and how many of them do.
func (r *requirement) verdict(ratios sample) string {
	if len(ratios) == 0 {
		return r.text + ": not shown, there is no valid pair"
	}
	met := 0
	for _, ratio := range ratios {
		if r.meets(ratio) {
			met++
		}
	}
	word := "not met"
	if r.meets(ratios.median()) {
		word = "met"
	}
	return fmt.Sprintf("%s: %s by the median; %d of %d pairs meet it", r.text, word, met, len(ratios))
}

// requirementVerdicts says of each requirement of r whether the valid pairs meet it.
func requirementVerdicts(r *result.Result) []string {
	rates, p99s := pairRatios(r)
	known, verdicts := parseRequirements(r.Pairs.Requirement)
	for i := range known {
		ratios := rates
		if known[i].ofP99 {
			ratios = p99s
		}
		verdicts = append(verdicts, known[i].verdict(ratios))
	}
	return verdicts
}

// requirementTexts returns the requirements in s without their verdicts.
func requirementTexts(s string) []string {
	known, texts := parseRequirements(s)
	for _, r := range known {
		texts = append(texts, r.text)
	}
	return texts
}
