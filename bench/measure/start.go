package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

const (
	startPatience = 30 * time.Second
	startPoll     = 200 * time.Microsecond
	settle        = 2 * time.Second // before its memory is read
)

// Start is bench start: it starts a program several times, and prints how long it
// takes until it is ready, and how much memory it then has.
func Start(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("start", flag.ContinueOnError)
	ready := flags.String("ready", "http://127.0.0.1:9090", "`URL` of the listener whose /readyz answers 200 when the program is ready")
	repeats := flags.Int("repeats", 9, "how many times")
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 || *repeats < 1 {
		return errors.New("start: --repeats must be at least 1, and the command is missing: bench start --ready URL -- COMMAND ARG…")
	}
	e, err := load.ParseEndpoint(*ready)
	if err != nil {
		return fmt.Errorf("--ready: %w", err)
	}
	var times, memory []float64
	for range *repeats {
		took, mib, err := startOnce(ctx, e, flags.Args(), stderr)
		if err != nil {
			return err
		}
		times, memory = append(times, took.Seconds()*1000), append(memory, mib)
		fmt.Fprintf(stdout, "ready after %.1f ms; %.1f MiB resident\n", times[len(times)-1], mib)
	}
	fmt.Fprintf(stdout, "\nready: median **%.1f ms**, %.1f to %.1f; resident: median **%.1f MiB**, at most %.1f\n",
		result.Median(times), slices.Min(times), slices.Max(times), result.Median(memory), slices.Max(memory))
	return nil
}

// startOnce starts the program, waits until it is ready, and stops it.
func startOnce(ctx context.Context, e load.Endpoint, command []string, stderr io.Writer) (took time.Duration, mib float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var said strings.Builder
	cmd.Stderr = &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		cancel() // Interrupt
		_ = cmd.Wait()
		if err != nil {
			_, _ = io.WriteString(stderr, said.String())
		}
	}()
	request := scenario.Config{Host: e.Host}.Get("/readyz")
	for {
		if a, err := load.Fetch(ctx, e, request); err == nil && a.Status == 200 {
			break
		}
		if ctx.Err() != nil {
			return 0, 0, errors.New("it does not become ready")
		}
		time.Sleep(startPoll)
	}
	took = time.Since(begin)
	select {
	case <-ctx.Done():
	case <-time.After(settle):
	}
	mib, err = residentMiB(cmd.Process.Pid)
	return took, mib, err
}

// residentMiB reads how much memory a process has.
func residentMiB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("/proc says nothing of its memory")
}
