package compare

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/quantity"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// steadyRun is a valid open run at 5,000/s whose latencies are multiples of p50.
func steadyRun(p50 float64) result.Run {
	latency := result.Distribution{Count: 50_000, Mean: p50 * 1.2, P50: p50, P90: p50 * 2, P99: p50 * 5, P999: p50 * 10, P9999: p50 * 15, Max: p50 * 20}
	return result.Run{
		Label: "cloakroom", Mode: "open", Schedule: "poisson", Rate: 5000, Connections: 64, Seconds: 10, Warmup: 2,
		Due: 50_000, Answered: 50_000, Achieved: 5000, Bytes: 50_000_000, Latency: latency, Service: latency,
	}
}

func steadyResult(p50s ...float64) *result.File {
	r := &result.File{Name: "r.json", Result: result.Result{
		Format: result.Format, Kind: "run", Started: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Scenario: "search-user",
		Environment: result.Environment{
			Commit: "1111111", Go: "go1.26.8", Kernel: "6.1.0", CPU: "Test CPU", Cores: 2, Redis: "7.0.15",
			RedisSettings: map[string]string{"maxmemory": "0"}, Placement: "all on one machine", Seed: 1,
			Flags: map[string]string{"near-cache-bytes": "0"},
		},
	}}
	for _, p50 := range p50s {
		r.Runs = append(r.Runs, steadyRun(p50))
	}
	return r
}

// noisyResults are two results with an invalid run, different environments, and loads that only one of them has.
func noisyResults() (a, b *result.File) {
	a = steadyResult(400, 410, 390, 405, 395)
	a.Name = "before.json"
	a.Runs[2].Invalid = "the generator was the bottleneck: 31 % late"
	for i := range a.Runs {
		a.Runs[i].Figures = map[string]float64{"revocation_p99_ms": 3 + float64(i)/10}
	}
	a.Runs = append(a.Runs, result.Run{Label: "only | here\x1b[31m", Mode: "closed", Connections: 1})

	b = steadyResult(300, 310, 290, 305)
	b.Name = "after.json"
	b.Environment.Commit = "2222222"
	b.Environment.RedisSettings["maxmemory"] = "100mb"
	b.Environment.Flags = map[string]string{"near-cache-bytes": "0", "near-cache-staleness": "1s"}
	for i := range b.Runs {
		b.Runs[i].Connections = 32
		b.Runs[i].Latency.P99 = 2000 + float64(i-1)
		b.Runs[i].Figures = map[string]float64{"revocation_p99_ms": 3.05}
	}
	b.Runs[1].Errors, b.Runs[1].Wrong, b.Runs[1].Late = 5, 1, 700
	return a, b
}

func TestCompare_Golden(t *testing.T) {
	a, b := noisyResults()
	c, err := compareResults(a, b, false)
	if err != nil {
		t.Fatal(err)
	}
	f := func(file string, print func(io.Writer) error) {
		t.Helper()
		want, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Error(err)
		}
		var got strings.Builder
		if err := print(&got); err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s:\n%s", file, got.String())
		}
	}
	f("compare.txt", c.text)
	f("compare.md", c.markdown)
}

// verdictOf returns the verdict and how it was decided, from the first row with that name.
func verdictOf(t *testing.T, c *comparison, name string) string {
	t.Helper()
	for _, table := range c.tables {
		for _, row := range table.rows {
			if row.name == name {
				return row.verdict + ", " + row.decided
			}
		}
	}
	t.Fatalf("no row %q in %+v", name, c.tables)
	return ""
}

func TestCompare_FewRepeats(t *testing.T) {
	f := func(want string, a, b *result.File) {
		t.Helper()
		c, err := compareResults(a, b, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := verdictOf(t, c, "latency p50"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("unknown, one run", steadyResult(400), steadyResult(100, 100, 100, 100))
	f("faster, ranges", steadyResult(400, 410), steadyResult(390, 380, 350, 340))
	f("slower, ranges", steadyResult(400, 410, 405), steadyResult(411, 420, 430))
	f("within noise, ranges", steadyResult(400, 410, 405), steadyResult(410, 420, 430))
	f("within noise, p=1", steadyResult(400, 400, 400, 400), steadyResult(400, 400, 400, 400))
	f("within noise, p=0.057", steadyResult(400, 410, 420, 430), steadyResult(429, 440, 450, 460))
	f("slower, p=0.029", steadyResult(400, 410, 420, 430), steadyResult(431, 440, 450, 460))
}

func TestCompare_Pairs(t *testing.T) {
	pairs := func(ratios ...float64) *result.File {
		r := steadyResult()
		r.Kind = "pairs"
		r.Pairs = &result.Pairs{Requirement: "at least 0.9 × requests/s: not met (0.820)"}
		for i, ratio := range ratios {
			a, b := steadyRun(400), steadyRun(400)
			a.Side, b.Side, b.Label = "a", "b", "baseline"
			a.Achieved = b.Achieved * ratio
			r.Runs = append(r.Runs, a, b)
			if i%2 == 1 { // alternating
				r.Runs[2*i], r.Runs[2*i+1] = b, a
			}
			r.Pairs.Ratios = append(r.Pairs.Ratios, ratio)
		}
		return r
	}
	a, b := pairs(0.80, 0.81, 0.82, 0.83, 0.99), pairs(0.90, 0.91, 0.92, 0.93, 0.10)
	a.Runs[9].Invalid, b.Runs[8].Invalid = "generator", "generator"
	c, err := compareResults(a, b, false)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.tables[0].title; got != "Ratios a/b of pairs: A 4, B 4; required at least 0.9 × requests/s" {
		t.Errorf("title %q", got)
	}
	if got := verdictOf(t, c, "rate a/b"); got != "faster, p=0.029" {
		t.Errorf("rate a/b: %q", got)
	}
	if got := c.tables[0].rows[0].a; got != "0.815 (0.800–0.830)" {
		t.Errorf("rate a/b of A: %q", got)
	}
	if got := verdictOf(t, c, "p99 a/b"); got != "within noise, p=1" {
		t.Errorf("p99 a/b: %q", got)
	}
	a.Runs = a.Runs[:3] // no pairs any more: what the file states
	if rates, _ := quantity.PairRatios(&a.Result); len(rates) != 5 {
		t.Errorf("stated ratios: %v", rates)
	}
}

func TestCompare_Max(t *testing.T) {
	withMax := func(objective string, rate float64, failed ...float64) *result.File {
		r := steadyResult(400)
		r.Kind = "max"
		r.Max = &result.Max{Objective: objective, Rate: rate, Tries: []result.Try{{Rate: rate, Held: true}}}
		for _, rate := range failed {
			r.Max.Tries = append(r.Max.Tries, result.Try{Rate: rate})
		}
		return r
	}
	f := func(want string, a, b *result.File) {
		t.Helper()
		c, err := compareResults(a, b, true)
		if err != nil {
			t.Fatal(err)
		}
		row := c.tables[0].rows[0]
		if got := row.a + ", " + row.b + ": " + row.verdict; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	const slo = "p99<5ms"
	f("10,000/s (10,000–11,000), 12,000/s (12,000–12,500): faster", withMax(slo, 10_000, 20_000, 11_000), withMax(slo, 12_000, 12_500))
	f("10,000/s (10,000–12,200), 12,000/s (12,000–12,500): within noise", withMax(slo, 10_000, 12_200), withMax(slo, 12_000, 12_500))
	f("10,000/s (9,000–11,000), 8,000/s (8,000–8,500): slower", withMax(slo, 10_000, 9_000, 11_000), withMax(slo, 8_000, 8_500))
	f("10,000/s (10,000 or more), 12,000/s (12,000–12,500): within noise", withMax(slo, 10_000), withMax(slo, 12_000, 12_500))
	if _, err := compareResults(withMax(slo, 1), withMax("p99<9ms", 1), false); err == nil {
		t.Error("different objectives are compared")
	}
}

func TestCompare_DifferentScenariosOnlyWithForce(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, r *result.File) string {
		t.Helper()
		data, err := json.Marshal(r.Result)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := steadyResult(500, 501)
	other.Scenario = "get-hot"
	for i := range other.Runs {
		other.Runs[i].Label = "baseline"
	}
	a, b := write("a.json", steadyResult(400, 401)), write("b.json", other)
	empty := write("empty.json", steadyResult())
	unlike := filepath.Join(dir, "unlike.json")
	if err := os.WriteFile(unlike, []byte(`{"format":99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, args ...string) {
		t.Helper()
		var out strings.Builder
		err := Command(args, &out, io.Discard)
		got := out.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
	f(`A measured "search-user", B "get-hot"; --force`, a, b)
	f("warning: scenario differs: A search-user, B get-hot", a, b, "--force")
	f("A cloakroom, 5,000/s; B baseline, 5,000/s: A 2 runs, B 2", "--force", a, b)
	f("**Warning:** scenario differs", a, "--markdown", b, "--force")
	f("no load in common", a, empty)
	f("two result files are required, not 1", a)
	f("format 99 is not known", a, unlike)
	f("no such file", a, filepath.Join(dir, "none.json"))
}

func TestRankTest_Exact(t *testing.T) {
	f := func(a, b quantity.Sample, wantP float64, wantDirection int) {
		t.Helper()
		p, direction := rankTest(a, b)
		if math.Abs(p-wantP) > 1e-12 || direction != wantDirection {
			t.Errorf("%v, %v: got %v, %d; want %v, %d", a, b, p, direction, wantP, wantDirection)
		}
	}
	f(quantity.Sample{1, 2, 3}, quantity.Sample{4, 5, 6}, 2.0/20, +1)
	f(quantity.Sample{4, 5, 6}, quantity.Sample{1, 2, 3}, 2.0/20, -1)
	f(quantity.Sample{1, 3}, quantity.Sample{2, 4}, 4.0/6, +1)
	f(quantity.Sample{1, 1, 1}, quantity.Sample{1, 1}, 1, 0)
	f(quantity.Sample{1, 2}, quantity.Sample{2, 3}, 4.0/6, +1) // ranks 1, 2.5, 2.5, 4: {1, 2.5} and {2.5, 4}, each in two ways, are as far
}
