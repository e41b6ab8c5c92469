package torture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// report collects what the tests have measured.
var report = &results{Seed: seed, Race: withRace}

type results struct {
	mu        sync.Mutex
	Seed      int64         `json:"seed"`
	Version   string        `json:"version"`
	Race      bool          `json:"race"`
	Rows      []*result     `json:"matrix"`
	Killed    []*killed     `json:"killed"`
	Soaks     []*soaking    `json:"soak"`
	Overloads []*overloaded `json:"overload"`
	Crowds    []*crowded    `json:"crowd"`
	Streams   []*streamed   `json:"streams"`
	Floods    []*flooded    `json:"flood"`
}

// result is a row of the matrix.
type result struct {
	place       int
	Fault       string        `json:"fault"`
	Shards      int           `json:"shards"`
	Calls       int64         `json:"calls"`
	Acked       int64         `json:"acknowledged_writes"`
	Maybes      int64         `json:"maybe_writes"`
	Unavailable int64         `json:"unavailable"`
	Seen        int           `json:"observations_checked"`
	Sessions    int           `json:"sessions"`
	Live        int           `json:"live_at_end"`
	Wrong       int           `json:"wrong"`
	Staleness   time.Duration `json:"staleness_ns"`
	Serving     time.Duration `json:"recovered_ns"`
	Near        time.Duration `json:"copies_used_again_ns"`
}

func (r *results) add(t *testing.T, f func(*results)) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r)
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// begin notes what is about to be tested.
func (r *results) begin() {
	out, _ := exec.Command("git", "describe", "--always", "--dirty=-modified").Output() // "" without git
	r.Version = strings.TrimSpace(string(out))
}

// write writes report.md and report.json, if a directory was given.
func (r *results) write() error {
	if reportDir == "" {
		return nil
	}
	slices.SortStableFunc(r.Rows, func(a, b *result) int { return cmp.Compare(a.place, b.place) })
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(reportDir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(reportDir, "report.json"), append(content, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(reportDir, "report.md"), []byte(r.markdown()), 0o644)
}

func (r *results) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Torture\n\nVersion %s, seed %d, race detector %v, bound of staleness %v.\n", r.Version, r.Seed, r.Race, bound)
	if len(r.Rows) > 0 {
		fmt.Fprintf(&b, "\n## Faults\n\nEach lasted %v. \"Served\" and \"copies\": how long after its end every process read and wrote again, and used copies again. "+
			"\"Stale\": the oldest that an answer that was not asked to be fresh certainly was.\n\n", faultTime)
		b.WriteString("| fault | P | calls | writes acknowledged | maybe | unavailable | checked | wrong | stale | served | copies |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
		for _, x := range r.Rows {
			fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s |\n", x.Fault, x.Shards, x.Calls, x.Acked, x.Maybes, x.Unavailable, x.Seen, x.Wrong,
				ms(x.Staleness), ms(x.Serving), ms(x.Near))
		}
	}
	if len(r.Killed) > 0 {
		b.WriteString("\n## Killed\n\n| P | kills | of Redis | calls | writes acknowledged | maybe | checked | wrong | live at the end | took |\n|---|---|---|---|---|---|---|---|---|---|\n")
		for _, x := range r.Killed {
			fmt.Fprintf(&b, "| %d | %d | %d | %d | %d | %d | %d | %d | %d | %s |\n", x.Shards, x.Kills, x.RedisKills, x.Calls, x.Acked, x.Maybes, x.Seen, x.Wrong, x.Live, x.Took.Round(time.Second))
		}
	}
	for _, x := range r.Soaks {
		fmt.Fprintf(&b, "\n## Soak\n\n%d operations in %v: %d creates, %d sets, %d deletes, %d expired.\n\n| | half | end |\n|---|---|---|\n", x.Ops, x.Took.Round(time.Second), x.Creates, x.Sets, x.Deletes, x.Expired)
		fmt.Fprintf(&b, "| goroutines | %.0f | %.0f |\n| file descriptors | %.0f | %.0f |\n| resident memory, MiB | %.1f | %.1f |\n| heap in use, MiB | %.1f | %.1f |\n| near cache, MiB (budget %.1f) | %.1f | %.1f |\n| live sessions = cards = entries | %d | %d |\n",
			x.Half.Goroutines, x.End.Goroutines, x.Half.FDs, x.End.FDs, x.Half.Resident/mib, x.End.Resident/mib, x.Half.Heap/mib, x.End.Heap/mib, float64(soakNear)/mib, x.Half.Near/mib, x.End.Near/mib, x.Half.Live, x.End.Live)
	}
	for _, x := range r.Overloads {
		x.markdown(&b)
	}
	for _, x := range r.Crowds {
		x.markdown(&b)
	}
	for _, x := range r.Streams {
		x.markdown(&b)
	}
	for _, x := range r.Floods {
		x.markdown(&b)
	}
	return b.String()
}

const mib = 1 << 20
