package source

import (
	"os"
	"testing"
)

func TestReading_Metrics(t *testing.T) {
	before, after := Reading{}, Reading{}
	before.ParseMetrics([]byte("process_cpu_seconds_total 1\ncloakroom_near_cache_hits_total{kind=\"get\"} 10\n"))
	after.ParseMetrics([]byte("# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.097152e+06\n" +
		"cloakroom_near_cache_hits_total{kind=\"get\"} 40\ncloakroom_near_cache_misses_total{kind=\"get\"} 10\nbroken\n" +
		"cloakroom_upstream_calls_total{call=\"GetSession\",result=\"2xx\"} 30\ncloakroom_upstream_calls_total{call=\"GetSession\",result=\"5xx\"} 20\n"))
	after[redisCPU] = 0.1
	got := map[string]float64{}
	(&Meters{}).figures(got, before, after, 1000)
	for name, want := range map[string]float64{
		"program_cpu_us_per_request": 500, "program_resident_mib": 2, "near_hit_ratio": 0.75, "redis_cpu_us_per_request": 100, "upstream_calls_per_request": 0.05,
	} {
		if got[name] < 0.999*want || got[name] > 1.001*want {
			t.Errorf("%s: %g, want %g", name, got[name], want)
		}
	}
}

func TestParseStat(t *testing.T) {
	p, err := parseStat([]byte("77 (a name) with) S 1 77 77 0 -1 4194304 100 0 0 0 150 25 10 5 20 0 9 0 100 1 1\n"))
	if want := (process{parent: 1, cpu: 1.75, waited: 0.15}); err != nil || p != want {
		t.Errorf("%+v, %v", p, err)
	}
	for _, broken := range []string{"", "77 (x", "77 (x) S 1 2", "77 (x) S 1 77 77 0 -1 4194304 100 0 0 0 x 25 0 0"} {
		if p, err := parseStat([]byte(broken)); err == nil {
			t.Errorf("%q: %+v", broken, p)
		}
	}
}

func TestReading_OfThisProcess(t *testing.T) {
	r := Reading{}
	r.readProcess(os.Getpid())
	if r[programResident] < 1<<20 {
		t.Errorf("%v", r)
	}
	family, err := familyCPU(os.Getpid())
	if err != nil || family < r[programCPU] {
		t.Errorf("with its children %g s of CPU, by itself %g; %v", family, r[programCPU], err)
	}
	if pid := PostgresServer(os.Getpid()); pid != 0 {
		t.Errorf("this is no PostgreSQL: %d", pid)
	}
}
