package source

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// Measure makes one run of the source's scenario at rate requests/s, 0 for a closed
// loop, reads the meters before and after it, and shows its progress on stderr.
func (s *Source) Measure(ctx context.Context, stderr io.Writer, m *Meters, rate, seconds float64, seed uint64) (*result.Run, error) {
	l, err := s.Load(rate, seconds, seed)
	if err != nil {
		return nil, err
	}
	run := &result.Run{Label: s.Flags.Scenario, Mode: "closed", Rate: rate, Connections: l.Connections, Warmup: s.Flags.Warmup}
	if l.Open() {
		run.Mode, run.Schedule = "open", l.Schedule
	}
	before := m.Read(ctx)
	begin, cpuBefore := time.Now(), cpuTime()
	stop := cli.Progress(stderr, s.Flags.Scenario, int64(l.Warmup+l.Length)/int64(time.Second), func() (int64, string) {
		return int64(time.Since(begin) / time.Second), fmt.Sprintf(" s, %d answers, %d errors, %d dropped", l.Live.Answered.Load(), l.Live.Errors.Load(), l.Live.Dropped.Load())
	})
	o, err := l.Run(ctx)
	stop()
	if err != nil {
		return nil, err
	}
	if err := o.Fill(run); err != nil {
		return nil, err
	}
	if checker, ok := l.Scenario.(interface{ Invalid() string }); ok && s.Checking && run.Invalid == "" {
		run.Invalid = checker.Invalid()
	}
	run.Figures = map[string]float64{}
	if o.Hurried {
		run.Figures["generator_real_time"] = 1
	}
	if n := float64(l.Live.Answered.Load() + l.Live.Errors.Load()); n > 0 {
		run.Figures["generator_cpu_us_per_request"] = (cpuTime() - cpuBefore).Seconds() * 1e6 / n
		m.figures(run.Figures, before, m.Read(ctx), n)
	}
	return run, nil
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
