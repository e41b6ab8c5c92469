package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// simulated returns a run at a rate whose latencies have the given median, a log-normal body and a tail that grows with strain.
func simulated(t *testing.T, seed uint64, rate, median, strain float64) result.Run {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	run := result.Run{
		Label: "cloakroom", Mode: "open", Schedule: "poisson", Rate: rate, Connections: 64, Seconds: 10, Warmup: 2,
		Achieved: rate * (1 - 0.001*random.Float64()), Bytes: 1 << 30,
	}
	latency, service := hdr.New(1000, 60_000_000_000, 3), hdr.New(1000, 60_000_000_000, 3)
	for second := range 10 {
		inSecond := hdr.New(1000, 60_000_000_000, 3)
		for range 2000 {
			us := median * math.Exp(0.35*random.NormFloat64())
			if random.Float64() < 0.004*strain {
				us += 1500 * random.ExpFloat64()
			}
			record(t, service, us)
			us += 0.25 * median * strain * random.ExpFloat64()
			record(t, latency, us)
			record(t, inSecond, us)
		}
		run.Series = append(run.Series, result.Point{
			Second: second, Answered: 2000, P50: µs(inSecond.ValueAtPercentile(50)), P99: µs(inSecond.ValueAtPercentile(99)), Max: µs(inSecond.Max()),
		})
	}
	run.Due, run.Answered = uint64(rate*10), uint64(rate*10)
	run.Latency, run.Service = distribution(t, latency), distribution(t, service)
	return run
}

func µs(ns int64) float64 { return float64(ns) / 1000 }

func record(t *testing.T, h *hdr.Histogram, us float64) {
	t.Helper()
	if err := h.RecordValue(int64(us * 1000)); err != nil {
		t.Fatal(err)
	}
}

func distribution(t *testing.T, h *hdr.Histogram) result.Distribution {
	t.Helper()
	encoded, err := h.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	at := func(p float64) float64 { return µs(h.ValueAtPercentile(p)) }
	return result.Distribution{
		Count: uint64(h.TotalCount()), Mean: h.Mean() / 1000, P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), P9999: at(99.99),
		Max: µs(h.Max()), HDR: string(encoded),
	}
}

// noRuns is a result without runs.
func noRuns() *result.File {
	return &result.File{Name: "r.json", Result: result.Result{
		Format: result.Format, Kind: "run", Started: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC), Scenario: "search-user",
		Environment: result.Environment{
			Commit: "1111111", Go: "go1.26.8", Kernel: "6.1.0", CPU: "Test CPU", Cores: 2, Redis: "7.0.15",
			RedisSettings: map[string]string{"maxmemory": "0"}, Placement: "all on one machine", Seed: 1,
			Flags: map[string]string{"near-cache-bytes": "0"},
		},
	}}
}

func sampleFile(name, kind, scenario string, runs ...result.Run) *result.File {
	r := noRuns()
	r.Name, r.Kind, r.Scenario, r.Runs = name, kind, scenario, runs
	r.Command = []string{"bench", kind, scenario, "--seed=1"}
	return r
}

// openSample has five repeats, of which one is invalid.
func openSample(t *testing.T) *result.File {
	t.Helper()
	var runs []result.Run
	for i := range 5 {
		run := simulated(t, uint64(i), 12_000, 310+8*float64(i), 1)
		run.Late = uint64(100 * i)
		run.Figures = map[string]float64{"revocation_p99_ms": 3.1 + 0.1*float64(i), "revocations": 1000}
		runs = append(runs, run)
	}
	runs[1].Errors, runs[1].FirstError = 12, "dial tcp: connection refused"
	runs[1].Series[4].Errors = 12
	runs[3].Invalid = "the generator was the bottleneck: 31 % of the requests were sent late"
	runs[3].Late, runs[3].Dropped = 37_200, 811
	return sampleFile("open.json", "run", "logout", runs...)
}

func closedSample(t *testing.T) *result.File {
	t.Helper()
	var runs []result.Run
	for i := range 3 {
		run := simulated(t, uint64(20+i), 0, 900, 0)
		run.Mode, run.Schedule, run.Achieved, run.Service = "closed", "", 31_000+200*float64(i), run.Latency
		run.Due, run.Answered = 310_000, 310_000
		runs = append(runs, run)
	}
	return sampleFile("closed.json", "run", "get-hot", runs...)
}

func pairsSample(t *testing.T) *result.File {
	t.Helper()
	r := sampleFile("pairs.json", "pairs", "get-hot")
	r.Pairs = &result.Pairs{Requirement: "at least 0.9 × requests/s: met (0.925); at most 1.1 × p99: not met (1.15)"}
	for i := range 9 {
		a, b := simulated(t, uint64(40+i), 20_000, 420, 1), simulated(t, uint64(60+i), 20_000, 390, 0.8)
		a.Side, b.Side, b.Label = "a", "b", "baseline"
		a.Achieved = b.Achieved * (0.925 + 0.012*math.Sin(float64(3*i)))
		if i%2 == 1 {
			r.Runs = append(r.Runs, b, a)
		} else {
			r.Runs = append(r.Runs, a, b)
		}
	}
	return r
}

func peersSample(t *testing.T) *result.File {
	t.Helper()
	r := sampleFile("peers.json", "peers", "search-user")
	r.Environment.Postgres = "15.18, shared_buffers 128MB"
	for k, connections := range []int{64, 8} {
		for round := range 3 {
			for i, name := range []string{"cloakroom", "cloakroom-near", "evalsha", "go-redis", "rueidis", "rueidis-cached", "postgres"} {
				run := simulated(t, uint64(100*k+10*round+i), 0, float64(200+100*i), 1)
				run.Mode, run.Schedule, run.Service = "closed", "", run.Latency
				run.Peer, run.Label, run.Connections = name, fmt.Sprintf("%s, %d connections", name, connections), connections
				run.Achieved = float64(24_000/(i+1) + round)
				run.Figures = map[string]float64{"program_cpu_us_per_request": float64(20 + i), result.StoreBytes: 900}
				r.Runs = append(r.Runs, run)
			}
		}
	}
	return r
}

func maxSample(t *testing.T) *result.File {
	t.Helper()
	r := sampleFile("max.json", "max", "search-user")
	r.Max = &result.Max{Objective: "p99<5ms,err<0.01%", Rate: 26_000}
	for i, try := range []result.Try{
		{Rate: 4000, Step: "step", Held: true},
		{Rate: 8000, Step: "step", Held: true},
		{Rate: 16_000, Step: "step", Held: true},
		{Rate: 32_000, Step: "step", Cause: "p99 9.8 ms"},
		{Rate: 24_000, Step: "bisect", Held: true},
		{Rate: 28_000, Step: "bisect", Cause: "p99 5.6 ms"},
		{Rate: 26_000, Step: "bisect", Held: true},
		{Rate: 26_000, Step: "hold", Held: true},
		{Rate: 26_000, Step: "confirm", Held: true},
		{Rate: 26_000, Step: "confirm", Held: true},
		{Rate: 26_000, Step: "confirm", Held: true},
	} {
		load := try.Rate / 36_000
		r.Runs = append(r.Runs, simulated(t, uint64(80+i), try.Rate, 250/(1-load), 0.6+2*load))
		r.Max.Tries = append(r.Max.Tries, try)
	}
	return r
}

func withoutHDR(r *result.File) *result.File {
	r.Name = fmt.Sprintf("no-hdr-%s", r.Name)
	for i := range r.Runs {
		r.Runs[i].Latency.HDR, r.Runs[i].Service.HDR = "", ""
	}
	return r
}
