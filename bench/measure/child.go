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
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

// child is a baseline in a process of its own.
type child struct {
	cmd  *exec.Cmd
	url  string
	grpc string // HOST:PORT of its listener of gRPC, "" without
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
	addr, grpc, _ := strings.Cut(addr, ", by gRPC on ")
	if err != nil || !ok {
		_ = cmd.Process.Kill()
		return nil, errors.Join(fmt.Errorf("the baseline did not start: %q", line), cmd.Wait())
	}
	return &child{cmd: cmd, url: "http://" + addr, grpc: grpc}, nil
}

func (c *child) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	_ = c.cmd.Wait()
}

// equalBody is how long a baseline's body must be for its answers to be as long, with their headers, as
// those of a source. Where the source answers by gRPC, it is how long the messages are.
func equalBody(ctx context.Context, s *source.Source) (int, error) {
	want, err := answerBytes(ctx, s)
	if err != nil || scenario.ByGRPC(s.Flags.Scenario) {
		return want, err
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

// answerBytes is the mean length of a hundred answers of a source, headers and all, of
// gRPC without.
func answerBytes(ctx context.Context, s *source.Source) (int, error) {
	const samples = 100
	total := 0
	for n := range samples {
		a, err := s.Answer(ctx, n)
		if err != nil {
			return 0, err
		}
		if total += a.Bytes; scenario.ByGRPC(s.Flags.Scenario) {
			total += len(a.Body) - a.Bytes
		}
	}
	return total / samples, nil
}
