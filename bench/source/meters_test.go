package source

import "testing"

func TestReading_Metrics(t *testing.T) {
	before, after := Reading{}, Reading{}
	before.ParseMetrics([]byte("process_cpu_seconds_total 1\ncloakroom_near_cache_hits_total{kind=\"get\"} 10\n"))
	after.ParseMetrics([]byte("# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.097152e+06\n" +
		"cloakroom_near_cache_hits_total{kind=\"get\"} 40\ncloakroom_near_cache_misses_total{kind=\"get\"} 10\nbroken\n"))
	after[redisCPU] = 0.1
	got := map[string]float64{}
	(&Meters{}).figures(got, before, after, 1000)
	for name, want := range map[string]float64{
		"program_cpu_us_per_request": 500, "program_resident_mib": 2, "near_hit_ratio": 0.75, "redis_cpu_us_per_request": 100,
	} {
		if got[name] < 0.999*want || got[name] > 1.001*want {
			t.Errorf("%s: %g, want %g", name, got[name], want)
		}
	}
}

func TestReading_Stat(t *testing.T) {
	r := Reading{}
	r.parseStat([]byte("77 (a name) with) S 1 77 77 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 9 0 100 1 1\n"))
	if r[programCPU] != 1.75 || len(r) != 1 {
		t.Error(r)
	}
	for _, broken := range []string{"", "77 (x", "77 (x) S 1 2", "77 (x) S 1 77 77 0 -1 4194304 100 0 0 0 x 25 0"} {
		r := Reading{}
		if r.parseStat([]byte(broken)); len(r) != 0 {
			t.Errorf("%q: %v", broken, r)
		}
	}
}
