package compare

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// environmentWarnings says in what the environments of two results differ.
func environmentWarnings(a, b *result.Environment) []string {
	var warnings []string
	differ := func(what, inA, inB string) {
		if inA != inB {
			warnings = append(warnings, fmt.Sprintf("%s differs: A %s, B %s", what, quantity.OrNone(inA), quantity.OrNone(inB)))
		}
	}
	differ("commit", a.Commit, b.Commit)
	differ("Go", a.Go, b.Go)
	differ("kernel", a.Kernel, b.Kernel)
	differ("CPU", a.CPU, b.CPU)
	differ("number of cores", strconv.Itoa(a.Cores), strconv.Itoa(b.Cores))
	differ("Redis", a.Redis, b.Redis)
	differ("PostgreSQL", a.Postgres, b.Postgres)
	differ("placement", a.Placement, b.Placement)
	differ("seed", strconv.FormatUint(a.Seed, 10), strconv.FormatUint(b.Seed, 10))
	for _, m := range []struct {
		what string
		a, b map[string]string
	}{
		{"Redis setting ", a.RedisSettings, b.RedisSettings},
		{"target's ", a.Target, b.Target},
		{"flag --", a.Flags, b.Flags},
	} {
		both := maps.Clone(m.a)
		if both == nil {
			both = map[string]string{}
		}
		maps.Copy(both, m.b)
		for _, name := range slices.Sorted(maps.Keys(both)) {
			differ(m.what+name, m.a[name], m.b[name])
		}
	}
	return warnings
}

// loadWarnings says in what the load of two groups differs, beyond what makes them comparable.
func loadWarnings(a, b *quantity.Repeats) []string {
	var warnings []string
	for _, m := range []struct {
		what  string
		value func(*result.Run) string
	}{
		{"schedule", func(r *result.Run) string { return r.Schedule }},
		{"number of connections", func(r *result.Run) string { return strconv.Itoa(r.Connections) }},
		{"measured time", func(r *result.Run) string { return quantity.Digits(r.Seconds) + " s" }},
		{"warm-up", func(r *result.Run) string { return quantity.Digits(r.Warmup) + " s" }},
	} {
		if inA, inB := distinct(a.Valid, m.value), distinct(b.Valid, m.value); inA != inB {
			warnings = append(warnings, fmt.Sprintf("%s: %s differs: A %s, B %s", a.Kind, m.what, inA, inB))
		}
	}
	return warnings
}

// distinct returns the values of runs, each once.
func distinct(runs []quantity.Numbered, value func(*result.Run) string) string {
	var values []string
	for _, run := range runs {
		if v := quantity.OrNone(value(run.Run)); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return strings.Join(values, " and ")
}
