// Package result is what a measurement leaves behind: its form as JSON, what is
// summed up from it, and its files. Look here when a result file gets a new field,
// or a figure has another unit than you thought.
package result

import "time"

// Format is the version of the JSON that a Result is written as.
const Format = 1

// Result is what a measurement leaves behind: NAME.json, and beside it one
// NAME-RUN.hgrm for each run that has answers.
type Result struct {
	Format int `json:"format"`
	// Kind is the subcommand that made it: run, pairs, max, peers.
	Kind        string      `json:"kind"`
	Started     time.Time   `json:"started"`
	Command     []string    `json:"command"`
	Scenario    string      `json:"scenario"`
	Environment Environment `json:"environment"`
	// Runs are in the order in which they ran: repeats, the two sides of each
	// pair, the peers of each round, or the rates that max tried.
	Runs []Run `json:"runs"`
	// Pairs sums up a pairs measurement, Max a max one.
	Pairs *Pairs `json:"pairs,omitempty"`
	Max   *Max   `json:"max,omitempty"`
}

// Environment is where a measurement was made. It has no host name and no path.
type Environment struct {
	Commit        string            `json:"commit"`
	Go            string            `json:"go"`
	Kernel        string            `json:"kernel"`
	CPU           string            `json:"cpu"`
	Cores         int               `json:"cores"`
	Redis         string            `json:"redis,omitempty"`
	RedisSettings map[string]string `json:"redisSettings,omitempty"`
	Postgres      string            `json:"postgres,omitempty"`
	// Placement says what ran where, in words.
	Placement string `json:"placement"`
	// Target is what GET /version of the program under test said.
	Target map[string]string `json:"target,omitempty"`
	Seed   uint64            `json:"seed"`
	Flags  map[string]string `json:"flags"`
}

// Run is one stretch of load against one target.
type Run struct {
	// Side is "a" or "b" in pairs, "" elsewhere; Label says what was loaded.
	Side  string `json:"side,omitempty"`
	Label string `json:"label"`
	// Peer is the program that was loaded, in peers; "" elsewhere.
	Peer string `json:"peer,omitempty"`
	// Mode is open or closed. An open run offers Rate requests a second on
	// Schedule (constant, poisson, burst), however slow the answers are; a
	// closed one sends the next request when the last is answered, so that its
	// latencies leave out what a slow answer keeps waiting.
	Mode        string  `json:"mode"`
	Schedule    string  `json:"schedule,omitempty"`
	Rate        float64 `json:"rate,omitempty"` // requests/s offered
	Connections int     `json:"connections"`
	Seconds     float64 `json:"seconds"` // measured, without the warm-up
	Warmup      float64 `json:"warmupSeconds"`

	Due      uint64  `json:"due"`      // requests that were due (open), or sent (closed)
	Answered uint64  `json:"answered"` // with the expected status
	Late     uint64  `json:"late"`     // sent more than 1 ms after they were due
	Dropped  uint64  `json:"dropped"`  // never sent: no connection was free in time
	Errors   uint64  `json:"errors"`   // no answer, or an unexpected status
	Wrong    uint64  `json:"wrong"`    // answered, but not with the truth
	Achieved float64 `json:"achieved"` // answers/s
	Bytes    uint64  `json:"bytes"`    // received, headers and all

	// Latency counts from when a request was due, Service from when it was
	// sent. They are the same in a closed run.
	Latency Distribution `json:"latency"`
	Service Distribution `json:"service"`
	// Series has one point for each second.
	Series []Point `json:"series,omitempty"`
	// Figures are the scenario's own, by name with unit: revocation_p99_ms.
	Figures map[string]float64 `json:"figures,omitempty"`

	// Invalid says why the run proves nothing, "" if it is valid: above all,
	// that the generator was the bottleneck.
	Invalid string `json:"invalid,omitempty"`
	// FirstError is one example of what went wrong.
	FirstError string `json:"firstError,omitempty"`
}

// Distribution is a histogram of times, in microseconds.
type Distribution struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	P9999 float64 `json:"p9999"`
	Max   float64 `json:"max"`
	// HDR is the whole histogram, in HdrHistogram's V2 compressed encoding; its unit is the nanosecond.
	HDR string `json:"hdr,omitempty"`
}

// Point is one second of a run.
type Point struct {
	Second   int     `json:"second"`
	Answered uint64  `json:"answered"`
	Errors   uint64  `json:"errors"`
	P50      float64 `json:"p50"` // of the latency, µs
	P99      float64 `json:"p99"`
	Max      float64 `json:"max"`
}

// Pairs sums up alternating runs of two targets: the ratio a/b of what was
// achieved in each pair, and the ratio of their latencies' p99.
type Pairs struct {
	Ratios      []float64 `json:"ratios"`
	Median      float64   `json:"median"`
	Lowest      float64   `json:"lowest"`
	Highest     float64   `json:"highest"`
	P99Ratios   []float64 `json:"p99Ratios"`
	P99Median   float64   `json:"p99Median"`
	Requirement string    `json:"requirement,omitempty"`
}

// Max is the highest rate that held an objective.
type Max struct {
	Objective string  `json:"objective"` // p99<5ms,err<0.01%
	Rate      float64 `json:"rate"`      // 0 if none held
	// Tries are in the order in which they ran; each is also a Run.
	Tries []Try `json:"tries"`
}

// Try is one rate that max tried.
type Try struct {
	Rate  float64 `json:"rate"`
	Step  string  `json:"step"` // step, bisect, hold, confirm
	Held  bool    `json:"held"`
	Cause string  `json:"cause,omitempty"` // why it did not hold
}
