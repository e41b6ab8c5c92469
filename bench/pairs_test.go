package main

import (
	"bytes"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPairs_SumAndRequirement(t *testing.T) {
	var p Pairs
	p.sum() // of nothing
	for _, a := range []float64{90, 120, 100} {
		p.add(&Run{Achieved: a, Latency: Distribution{P99: 3}}, &Run{Achieved: 100, Latency: Distribution{P99: 1}})
	}
	p.sum()
	if p.Median != 1 || p.Lowest != 0.9 || p.Highest != 1.2 || p.P99Median != 3 {
		t.Errorf("%+v", p)
	}
	if p.require(0, 0); p.Requirement != "" {
		t.Error(p.Requirement)
	}
	if p.require(1, 2); p.Requirement != "at least 1 × requests/s: met (1.000); at most 2 × p99: not met (3.00)" {
		t.Error(p.Requirement)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Error(m)
	}
}

func TestPairs_SidesHaveTheirOwnFlags(t *testing.T) {
	flags := flag.NewFlagSet("pairs", flag.ContinueOnError)
	var shared loadFlags
	shared.register(flags)
	flags.String("a", "", "")
	flags.String("b", "", "")
	addSideFlags(flags)
	if err := parse(flags, []string{"--connections=8", "--a=http://x:1", "--b-connections=9", "--b-scenario=create", "--target=http://y:2"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	a, errA := newSide(flags, "a")
	b, errB := newSide(flags, "b")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if f := a.flags; f.connections != 8 || f.target != "http://x:1" || f.scenario != "get-hot" {
		t.Errorf("a: %+v", f)
	}
	if f := b.flags; f.connections != 9 || f.target != "http://y:2" || f.scenario != "create" {
		t.Errorf("b: %+v", f)
	}
	if err := parse(flags, []string{"--a-connections=x"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := newSide(flags, "a"); err == nil {
		t.Error("a side's bad number is taken")
	}
}

func TestResults_ShowNoSecretAndNoPath(t *testing.T) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	var f loadFlags
	f.register(flags)
	args := []string{"--key-file=/x/secret", "--redis=redis://user:secret@h:1/0", "--target=unix:/x/secret.sock", "--rate=5"}
	if err := parse(flags, args, io.Discard); err != nil {
		t.Fatal(err)
	}
	e := newEnvironment(t.Context(), flags, &f)
	for name, value := range e.Flags {
		if strings.Contains(value, "secret") {
			t.Errorf("--%s %s", name, value)
		}
	}
	if c := strings.Join(command("run", flags), " "); strings.Contains(c, "secret") || !strings.Contains(c, "--rate=5") || !strings.Contains(c, "redis://h:1/0") {
		t.Error(c)
	}
}

func TestReading_Metrics(t *testing.T) {
	before, after := reading{}, reading{}
	before.parseMetrics([]byte("process_cpu_seconds_total 1\ncloakroom_near_cache_hits_total{kind=\"get\"} 10\n"))
	after.parseMetrics([]byte("# HELP x\nprocess_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 2.097152e+06\n" +
		"cloakroom_near_cache_hits_total{kind=\"get\"} 40\ncloakroom_near_cache_misses_total{kind=\"get\"} 10\nbroken\n"))
	after[redisCPU] = 0.1
	got := map[string]float64{}
	(&meters{}).figures(got, before, after, 1000)
	for name, want := range map[string]float64{
		"program_cpu_us_per_request": 500, "program_resident_mib": 2, "near_hit_ratio": 0.75, "redis_cpu_us_per_request": 100,
	} {
		if got[name] < 0.999*want || got[name] > 1.001*want {
			t.Errorf("%s: %g, want %g", name, got[name], want)
		}
	}
}

func TestReading_Stat(t *testing.T) {
	r := reading{}
	r.parseStat([]byte("77 (a name) with) S 1 77 77 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 9 0 100 1 1\n"))
	if r[programCPU] != 1.75 || len(r) != 1 {
		t.Error(r)
	}
	for _, broken := range []string{"", "77 (x", "77 (x) S 1 2", "77 (x) S 1 77 77 0 -1 4194304 100 0 0 0 x 25 0"} {
		r := reading{}
		if r.parseStat([]byte(broken)); len(r) != 0 {
			t.Errorf("%q: %v", broken, r)
		}
	}
}

func TestParseEndpoint(t *testing.T) {
	f := func(in string, want endpoint) {
		t.Helper()
		if e, err := parseEndpoint(in); err != nil || e != want {
			t.Errorf("%q: %+v, %v", in, e, err)
		}
	}
	f("http://127.0.0.1:8080", endpoint{"tcp", "127.0.0.1:8080", "127.0.0.1:8080"})
	f("http://host/", endpoint{"tcp", "host:80", "host"})
	f("unix:/run/x.sock", endpoint{"unix", "/run/x.sock", "localhost"})
	for _, bad := range []string{"", "host:1", "https://h", "http://", "http://h/path", "http://u:p@h", "unix:"} {
		if _, err := parseEndpoint(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestExpiryCliff_Judges(t *testing.T) {
	first := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	c := &expiryCliff{flags: &waveFlags{count: 10}, prefix: "7", first: first} // one ends every 100 ms
	list := func(numbers ...int) (all []sessionJSON) {
		for _, i := range numbers {
			all = append(all, sessionJSON{ID: c.id(i)})
		}
		return all
	}
	at := first.Add(150 * time.Millisecond) // 0 and 1 have ended
	f := func(right bool, answered time.Duration, total string, found []sessionJSON) {
		t.Helper()
		if err := c.judgeSearch(3, at, at.Add(answered), total, found); (err == nil) != right {
			t.Errorf("%s of %v: %v", total, found, err)
		}
	}
	f(true, 0, "3", list(4, 3, 2))
	f(false, 0, "2", list(4, 3))
	f(true, 60*time.Millisecond, "2", list(4, 3)) // 2 ended meanwhile
	f(false, 60*time.Millisecond, "3", list(4, 3))
	f(false, 0, "4", list(4, 3, 2, 1))
	f(false, 0, "3", list(4, 3, 9))

	g := func(right, served bool, sent, answered time.Duration) {
		t.Helper()
		end := c.end(3)
		if err := c.judgeGet(3, served, end.Add(sent), end.Add(answered)); (err == nil) != right {
			t.Errorf("served %t, %v to %v of the end: %v", served, sent, answered, err)
		}
	}
	g(true, true, -time.Second, time.Second)
	g(true, false, -time.Second, time.Second)
	g(false, true, 10*time.Millisecond, time.Second)
	g(false, false, -time.Second, -10*time.Millisecond)
}

func TestRaw_AsksForTheUsersSessions(t *testing.T) {
	c := raw{testConfig()}.client(0, newRand(1, 0)).(*rawSearcher)
	request, _ := c.next(nil)
	want := resp("ZREVRANGE", evalUserKey+userID(c.user), "0", "4")
	for k := perUser - 1; k >= 0; k-- {
		want = append(want, resp("HGET", evalSessionKey+sessionID(testData.ofUser(c.user, k)), "doc")...)
	}
	if !bytes.Equal(request, want) {
		t.Errorf("got %q, want %q", request, want)
	}
}
