package quantity

import (
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// Peer is a program that was measured beside others, with its runs over as many connections: one of
// each round.
type Peer struct {
	Name string
	Runs []Numbered
}

// SideBySide are the programs of one number of connections, in the order of their first run.
type SideBySide struct {
	Connections int
	Peers       []*Peer
}

// ByConnections returns the programs of a peers measurement, by their number of connections.
func ByConnections(r *result.Result) []*SideBySide {
	var all []*SideBySide
	for i := range r.Runs {
		run := Numbered{&r.Runs[i], i + 1}
		at := slices.IndexFunc(all, func(s *SideBySide) bool { return s.Connections == run.Connections })
		if at < 0 {
			at = len(all)
			all = append(all, &SideBySide{Connections: run.Connections})
		}
		all[at].add(run)
	}
	return all
}

func (s *SideBySide) add(run Numbered) {
	for _, p := range s.Peers {
		if p.Name == run.Peer {
			p.Runs = append(p.Runs, run)
			return
		}
	}
	s.Peers = append(s.Peers, &Peer{Name: run.Peer, Runs: []Numbered{run}})
}

// valid are the runs that prove something.
func (p *Peer) valid() []Numbered {
	return slices.DeleteFunc(slices.Clone(p.Runs), func(run Numbered) bool { return run.Invalid != "" })
}

// Of returns one value for each valid run.
func (p *Peer) Of(value func(*result.Run) float64) Sample {
	var values Sample
	for _, run := range p.valid() {
		values = append(values, value(run.Run))
	}
	return values
}

// RatiosTo returns p's rate by other's in each round whose runs are both valid.
func (p *Peer) RatiosTo(other *Peer) Sample {
	var ratios Sample
	for i := range min(len(p.Runs), len(other.Runs)) {
		mine, others := p.Runs[i], other.Runs[i]
		if mine.Invalid == "" && others.Invalid == "" && others.Achieved > 0 {
			ratios = append(ratios, mine.Achieved/others.Achieved)
		}
	}
	return ratios
}

// ProgramCPU is the program's CPU time in µs a request, of each run where it is known.
func (p *Peer) ProgramCPU() Sample { return Figure(p.valid(), "program_cpu_us_per_request") }

// StoreCPU is that of its Redis or PostgreSQL.
func (p *Peer) StoreCPU() Sample {
	return append(Figure(p.valid(), "redis_cpu_us_per_request"), Figure(p.valid(), "postgres_cpu_us_per_request")...)
}

// StoreBytes is how much the store takes for each session.
func (p *Peer) StoreBytes() Sample { return Figure(p.valid(), result.StoreBytes) }

// Own are the peers that are Cloakroom.
func (s *SideBySide) Own() []*Peer {
	return slices.DeleteFunc(slices.Clone(s.Peers), func(p *Peer) bool { return !strings.HasPrefix(p.Name, result.Cloakroom) })
}

// Table has a row for each program: the medians of its valid runs (lowest–highest), and how much faster
// Cloakroom is in the same round.
func (s *SideBySide) Table() (head []string, rows [][]string) {
	own := s.Own()
	head = []string{"program", "answers"}
	for _, o := range own {
		head = append(head, o.Name+" by it")
	}
	head = append(head, "p50", "p99", "its CPU, µs a request", "its store's CPU, µs a request", "its store, bytes a session")
	for _, p := range s.Peers {
		row := []string{p.Name, PerSecond.Spread(p.Of(func(r *result.Run) float64 { return r.Achieved }))}
		for _, o := range own {
			row = append(row, Plain.Spread(o.RatiosTo(p)))
		}
		rows = append(rows, append(row,
			Microseconds.Spread(p.Of(func(r *result.Run) float64 { return r.Latency.P50 })),
			Microseconds.Spread(p.Of(func(r *result.Run) float64 { return r.Latency.P99 })),
			Plain.Spread(p.ProgramCPU()), Plain.Spread(p.StoreCPU()), Plain.Spread(p.StoreBytes())))
	}
	return head, rows
}
