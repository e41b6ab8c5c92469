package report

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

var svgElement = regexp.MustCompile(`(?s)<svg .*?</svg>`)

// checkPage checks that a page stands for itself and is well formed, and returns it and its plots.
func checkPage(t *testing.T, results ...*result.File) (page string, plots []string) {
	t.Helper()
	out, err := renderReport("Benchmark report", results)
	if err != nil {
		t.Fatal(err)
	}
	page = string(out)
	for _, never := range []string{"<script", "<link", "<img", "@import", "url(", "http://", "https://", "ZgotmplZ", "NaN", "Inf", "font-family:Liberation", "#01"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	plots = svgElement.FindAllString(page, -1)
	for _, plot := range plots {
		for d := xml.NewDecoder(strings.NewReader(plot)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("not well formed: %v in %.200s", err, plot)
				break
			}
		}
		if !strings.HasPrefix(plot, `<svg viewBox="0 0 760 `) {
			t.Errorf("not responsive: %.80s", plot)
		}
	}
	// All elements but the void ones are closed, in order.
	var open []string
	for _, tag := range regexp.MustCompile(`</?([a-z0-9]+)[^>]*>`).FindAllStringSubmatch(svgElement.ReplaceAllString(page, ""), -1) {
		switch name := tag[1]; {
		case slices.Contains([]string{"meta", "br"}, name):
		case !strings.HasPrefix(tag[0], "</"):
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			t.Fatalf("%s closes %v", tag[0], open)
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("not closed: %v", open)
	}
	return page, plots
}

func mustContain(t *testing.T, page string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
}

func TestReport_ShowsEachKind(t *testing.T) {
	f := func(r *result.File, wantPlots int, want ...string) {
		t.Helper()
		page, plots := checkPage(t, r)
		if len(plots) != wantPlots {
			t.Errorf("%s: %d plots, want %d", r.Name, len(plots), wantPlots)
		}
		mustContain(t, page, want...)
	}
	f(openSample(t), 2, "INVALID</span> the generator was the bottleneck", "first error: <code>dial tcp", "revocation_p99_ms", "4 of 5",
		"service time, from when it was sent", "<td>811</td>", "<td>37,200</td>", "maxmemory=0", "p99.9", "seconds with errors: 1")
	f(closedSample(t), 2, "CLOSED LOOP</span>", "coordinated omission", "Closed loop: queueing is hidden.")
	f(pairsSample(t), 5, "Median a/b of 9 valid pairs",
		"Required at least 0.9 × requests/s: met by the median; 9 of 9 pairs meet it. Required at most 1.1 × p99: not met by the median; 0 of 9 pairs meet it.")
	f(peersSample(t), 6, "Side by side, 64 connections", "Side by side, 8 connections", "cloakroom-near by it", "shared_buffers 128MB",
		"Rate of cloakroom by that of each other, 64 connections, median of the rounds (lowest–highest): cloakroom-near 2.00", "postgres 7.00", "CPU of the program", "Memory of its store")
	f(maxSample(t), 3, "Highest rate that holds p99&lt;5ms,err&lt;0.01%: 26,000/s (26,000–28,000)", "Rates tried", "p99 9.8 ms",
		"highest rate that held, 26,000/s", "4 of 7 loads are drawn")
}

func TestReport_WithoutHDR(t *testing.T) {
	_, plots := checkPage(t, withoutHDR(openSample(t)), withoutHDR(maxSample(t)))
	if len(plots) != 5 {
		t.Errorf("%d plots, want 5", len(plots))
	}
	broken := openSample(t)
	for i := range broken.Runs {
		broken.Runs[i].Latency.HDR = "AAAA" + broken.Runs[i].Latency.HDR
	}
	checkPage(t, broken)
}

func TestReport_EmptyResults(t *testing.T) {
	page, plots := checkPage(t, &result.File{Name: "empty.json"})
	if len(plots) != 0 {
		t.Errorf("%d plots of nothing", len(plots))
	}
	mustContain(t, page, "The file has no runs.")
	checkPage(t, sampleFile("blank.json", "run", "x", result.Run{}, result.Run{Mode: "open", Rate: 1, Series: []result.Point{{}, {Second: -5}}}, result.Run{Mode: "open", Rate: 2}))
	noPairs, noMax := noRuns(), noRuns()
	noPairs.Pairs, noMax.Max = &result.Pairs{}, &result.Max{}
	noPeers := noRuns()
	noPeers.Kind = "peers"
	checkPage(t, noPairs, noMax, noPeers)
	noPeers.Runs = []result.Run{{}, {Peer: "cloakroom", Invalid: "x"}, {Peer: "cloakroom", Connections: 1}}
	checkPage(t, noPeers)
}

func TestReport_EscapesEverything(t *testing.T) {
	const hostile = `</svg></style><script>alert(1)</script><img src=x onerror=y>"'&`
	r := openSample(t)
	r.Name, r.Kind, r.Scenario, r.Command = hostile, hostile, hostile, []string{hostile}
	r.Environment = result.Environment{
		Commit: hostile, Go: hostile, Kernel: hostile, CPU: hostile, Redis: hostile, Placement: hostile,
		RedisSettings: map[string]string{hostile: hostile}, Target: map[string]string{hostile: hostile}, Flags: map[string]string{hostile: hostile},
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		run.Label, run.Schedule, run.FirstError = hostile, hostile, hostile
		run.Figures = map[string]float64{hostile: 1}
	}
	r.Runs[0].Invalid, r.Runs[0].Mode, r.Runs[1].Side = hostile, hostile, hostile
	r.Max = &result.Max{Objective: hostile, Rate: 12_000, Tries: []result.Try{{Rate: 12_000, Step: hostile, Cause: hostile}}}
	r.Pairs = &result.Pairs{Ratios: []float64{1, 2}, P99Ratios: []float64{1}, Requirement: hostile + "; at least 0.9 × requests/s: " + hostile}
	page, _ := checkPage(t, r)
	if strings.Contains(page, "<img") || strings.Contains(page, `"'&<`) {
		t.Error("a string was not escaped")
	}
}

func TestReport_WritesAFile(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "open.json"), filepath.Join(dir, "report.html")
	data, err := json.Marshal(openSample(t).Result)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Command([]string{in, "--out", out, "--title", "Search & Co"}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	mustContain(t, string(page), "<title>Search &amp; Co</title>", "<svg ")
	var stdout strings.Builder
	if err := Command([]string{"--out=-", in}, &stdout, io.Discard); err != nil || !strings.HasPrefix(stdout.String(), "<!DOCTYPE html>") {
		t.Errorf("to the standard output: %v, %.40s", err, stdout.String())
	}
	if err := Command(nil, io.Discard, io.Discard); err == nil {
		t.Error("a report of nothing is made")
	}
}

// The plot alone has its colours, its legend and nothing from elsewhere.
func TestReport_SVGStandsAlone(t *testing.T) {
	dir := t.TempDir()
	var args []string
	for i, r := range []*result.File{openSample(t), closedSample(t)} {
		name := filepath.Join(dir, strconv.Itoa(i)+".json")
		data, err := json.Marshal(r.Result)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	var out strings.Builder
	if err := Command(append(args, "--svg", "--out=-", "--title", "Search & Co"), &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	svg := out.String()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well formed: %v", err)
		}
	}
	if !strings.HasPrefix(svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 `) {
		t.Errorf("it begins with %.80s", svg)
	}
	mustContain(t, svg, "<title>Search &amp; Co</title>", "prefers-color-scheme: dark", "closed loop", "service time")
	for _, ink := range regexp.MustCompile(`var\((--[a-z]+-?\d*)\)`).FindAllStringSubmatch(svg, -1) {
		if !strings.Contains(svg, ink[1]+": ") {
			t.Errorf("%s is no colour", ink[1])
		}
	}
	for _, never := range []string{"<script", "<image", "url(", "NaN", "font-family:Liberation", "#0102"} {
		if strings.Contains(svg, never) {
			t.Errorf("it has %q", never)
		}
	}
	if _, err := renderSVG("", []*result.File{noRuns()}); err == nil {
		t.Error("a plot of nothing")
	}
}

func TestRoundTicks_EndWhateverTheRange(t *testing.T) {
	f := func(low, high float64, want string) {
		t.Helper()
		var labels []string
		for _, tick := range roundTicks(low, high) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); want != "" && got != want {
			t.Errorf("%v to %v: got %q, want %q", low, high, got, want)
		}
	}
	f(0, 50, "0 5 10 15 20 25 30 35 40 45 50")
	f(0, 33_000, "0 5,000 10,000 15,000 20,000 25,000 30,000")
	f(-0.1, 0.3, "-0.1 -0.05 0 0.05 0.1 0.15 0.2 0.25 0.3")
	f(1e17, 1e17, "")
	f(1e300, 1e308, "")
	f(1e17, 1e17+32, "")
}

func TestReport_RatiosFarApartAreOnALogScale(t *testing.T) {
	r := noRuns()
	r.Pairs = &result.Pairs{Ratios: []float64{1, 1}, P99Ratios: []float64{1.5, 178}}
	page, _ := checkPage(t, r)
	mustContain(t, page, "p99 of a / p99 of b, log scale", "achieved rate of a / achieved rate of b<")
}
