package main

import (
	"context"
	"flag"
	"fmt"
	"io"
)

// maxCommand finds the highest rate that holds an objective.
func maxCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("max", flag.ContinueOnError)
	var f loadFlags
	f.register(flags)
	slo := flags.String("slo", "p99<5ms,err<0.01%", "the objective: bounds of latencies, and of the share of errors")
	first := flags.Float64("first", 1000, "requests/s to begin with")
	holdFor := flags.Float64("hold", 15, "seconds that the rate that was found has to hold")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	goal, err := parseObjective(*slo)
	if err != nil {
		return err
	}
	if *first <= 0 || *holdFor <= 0 {
		return fmt.Errorf("max: --first and --hold must be positive")
	}
	s, err := f.open(ctx)
	if err != nil {
		return err
	}
	m, err := openMeters(ctx, &f)
	if err != nil {
		return err
	}
	defer m.close()
	result := newResult(ctx, "max", flags, &f, s, m)
	seed := f.seed
	search := search4max{first: *first, seconds: f.seconds, hold: *holdFor, try: func(rate, seconds float64, step string) (Try, error) {
		seed++
		r, err := s.measure(ctx, stderr, m, rate, seconds, seed)
		if err != nil {
			return Try{}, err
		}
		t := Try{Rate: rate, Step: step}
		t.Held, t.Cause = goal.held(r)
		result.Runs = append(result.Runs, *r)
		verdict := "held"
		if !t.Held {
			verdict = t.Cause
		}
		fmt.Fprintf(stdout, "%-7s %8.0f requests/s: p50 %s  p99 %s ms, %d late, %d dropped, %d errors, %d wrong: %s\n",
			step, rate, ms(r.Latency.P50), ms(r.Latency.P99), r.Late, r.Dropped, r.Errors, r.Wrong, verdict)
		return t, ctx.Err()
	}}
	rate, tries, err := search.run()
	result.Max = &Max{Objective: goal.text, Rate: rate, Tries: tries}
	if err != nil && len(result.Runs) == 0 {
		return err
	}
	if rate > 0 {
		fmt.Fprintf(stdout, "\n%s: %.0f requests/s hold %s\n", f.scenario, rate, goal.text)
	} else {
		fmt.Fprintf(stdout, "\n%s: no rate held %s\n", f.scenario, goal.text)
	}
	if werr := result.write(*out); werr != nil {
		return werr
	}
	return err
}

// search4max finds the highest rate for which try holds: it doubles the rate
// until it does not hold, halves the gap, holds the rate that was found for
// longer, and confirms it three times. A rate that fails to hold or to be
// confirmed is lowered.
type search4max struct {
	first, seconds, hold float64
	try                  func(rate, seconds float64, step string) (Try, error)
}

const (
	// closeEnough is the gap, as a share of the rate, at which the bisection ends.
	closeEnough = 0.04
	// loweredBy is how much a rate is lowered that could not be confirmed.
	loweredBy = 0.07
	// maxRate is beyond every generator.
	maxRate       = 2_000_000
	confirmations = 3
	// lowerings bounds how often a rate is lowered.
	lowerings = 16
)

func (s *search4max) run() (rate float64, tries []Try, err error) {
	attempt := func(rate, seconds float64, step string) bool {
		if err != nil {
			return false
		}
		var t Try
		if t, err = s.try(rate, seconds, step); err != nil {
			return false
		}
		tries = append(tries, t)
		return t.Held
	}
	low, high := 0.0, s.first
	for attempt(high, s.seconds, "step") && high < maxRate {
		low, high = high, 2*high
	}
	if low == 0 { // not even the first
		low = high / 16
		for err == nil && low > 0 && !attempt(low, s.seconds, "step") {
			if high, low = low, low/4; low < 1 {
				return 0, tries, err
			}
		}
	}
	for err == nil && high-low > closeEnough*low {
		if middle := (low + high) / 2; attempt(middle, s.seconds, "bisect") {
			low = middle
		} else {
			high = middle
		}
	}
	for range lowerings {
		ok := attempt(low, s.hold, "hold")
		for i := 0; ok && i < confirmations; i++ {
			ok = attempt(low, s.seconds, "confirm")
		}
		if ok {
			return low, tries, nil
		}
		if err != nil {
			return 0, tries, err
		}
		low *= 1 - loweredBy
	}
	return 0, tries, err
}
