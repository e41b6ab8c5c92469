package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// child is a baseline in a process of its own.
type child struct {
	cmd  *exec.Cmd
	url  string
	kind string // baseline, or the name of a peer
}

// startBaseline starts this program's baseline on a free port, and waits until it listens.
func startBaseline(ctx context.Context, stderr io.Writer, bytes int, more ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"baseline", "--addr", "127.0.0.1:0", "--bytes", strconv.Itoa(bytes)}, more...)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		_ = cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("the baseline did not start: %q", line), cmd.Wait())
	}
	return &child{cmd: cmd, url: "http://" + addr}, nil
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	_ = c.cmd.Wait()
}

// equalBody is how long a baseline's body must be for its answers to be as long, with their headers, as
// those of a source.
func equalBody(ctx context.Context, s *source.Source) (int, error) {
	want, err := answerBytes(ctx, s)
	if err != nil {
		return 0, err
	}
	const most = 256 // of a baseline's headers
	body := max(want-most, 64)
	for range 3 { // the length of the length can change
		c, err := startBaseline(ctx, io.Discard, body)
		if err != nil {
			return 0, err
		}
		e, err := load.ParseEndpoint(c.url)
		if err == nil {
			var a *load.Answer
			if a, err = load.Fetch(ctx, e, s.Config.Get("/")); err == nil {
				body += want - a.Bytes
			}
		}
		c.stop()
		if err != nil {
			return 0, err
		}
	}
	return body, nil
}

// answerBytes is the mean length of a hundred answers of a source, headers and all.
func answerBytes(ctx context.Context, s *source.Source) (int, error) {
	const samples = 100
	l, err := s.Load(0, 1, s.Flags.Seed)
	if err != nil {
		return 0, err
	}
	client := l.Scenario.Client(0, load.NewRand(s.Flags.Seed, 1))
	total := 0
	for range samples {
		request, want := client.Next(nil)
		a, err := load.Fetch(ctx, s.Target, request)
		if err != nil {
			return 0, err
		}
		if s.Checking {
			if a.Status != want {
				return 0, fmt.Errorf("status %d, not %d: %.200s", a.Status, want, a.Body)
			}
			if err := client.Check(a); err != nil {
				return 0, err
			}
		}
		total += a.Bytes
	}
	return total / samples, nil
}
