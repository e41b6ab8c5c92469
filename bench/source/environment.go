package source

import (
	"context"
	"flag"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

// newEnvironment says where and with what a measurement is made.
func newEnvironment(ctx context.Context, flags *flag.FlagSet, f *Flags) result.Environment {
	e := result.Environment{
		Commit: commit(ctx), Go: runtime.Version(), Kernel: kernel(), CPU: cpu(), Cores: runtime.NumCPU(),
		Placement: f.Placement, Seed: f.Seed, Flags: map[string]string{},
	}
	flags.VisitAll(func(fl *flag.Flag) {
		if shown := shownFlag(fl.Name, fl.Value.String()); shown != "" {
			e.Flags[fl.Name] = shown
		}
	})
	return e
}

// shownFlag returns a flag's value as results show it, "" if they do not: no
// secrets, and no paths of this machine.
func shownFlag(name, value string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "a-"), "b-")
	switch {
	case slices.Contains([]string{"key-file", "token-file", "ca-file", "user-ids", "password-file", "dataset", "out"}, name) || value == "":
		return ""
	case strings.HasPrefix(value, "unix:"):
		return "unix:"
	case name == "postgres":
		if u, err := url.Parse(value); err == nil && u.Host != "" { // what follows may hold a password
			return u.Scheme + "://" + u.Host + u.Path
		}
		return ""
	}
	if u, err := url.Parse(value); err == nil && (u.User != nil || u.Scheme == "unix") {
		u.User = nil
		if u.Scheme == "unix" {
			return "unix:"
		}
		return u.String()
	}
	return value
}

// command returns the command line that a result shows.
func command(name string, flags *flag.FlagSet) []string {
	c := []string{"bench", name}
	flags.Visit(func(fl *flag.Flag) {
		if shown := shownFlag(fl.Name, fl.Value.String()); shown != "" {
			c = append(c, "--"+fl.Name+"="+shown)
		}
	})
	return c
}

// commit returns the commit that is checked out here, else the one of this binary.
func commit(ctx context.Context) string {
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude", "*").Output(); err == nil {
		return strings.TrimSpace(string(out))
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return runtime.GOOS + " " + strings.TrimSpace(string(b))
}

func cpu() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// NewResult begins the result of a subcommand: all but its runs.
func NewResult(ctx context.Context, kind string, flags *flag.FlagSet, f *Flags, s *Source, m *Meters) *result.Result {
	r := &result.Result{
		Format: result.Format, Kind: kind, Started: time.Now().UTC().Truncate(time.Second), Command: command(kind, flags),
		Scenario: s.Flags.Scenario, Environment: newEnvironment(ctx, flags, f),
	}
	r.Environment.Target = s.version
	r.Environment.Redis, r.Environment.RedisSettings = m.redisVersion, m.redisSettings
	return r
}
