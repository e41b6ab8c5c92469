package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

const (
	// cliffAfter is how long before the first of its sessions ends.
	cliffAfter = 3 * time.Second
	// cliffTolerance is how exactly the store's clock is known here.
	cliffTolerance = 3 * time.Millisecond
)

// expiryCliff stores sessions that all end in one second, and gets and searches
// them across it. A search is judged by its own timestamp, exactly; a get by this
// machine's clock, corrected by the store's as searches tell it.
type expiryCliff struct {
	source *source.Source
	flags  *Flags

	prefix  string    // of the IDs
	first   time.Time // when the first session ends
	mu      sync.Mutex
	out     *result.Run
	gets    *hdrhistogram.Histogram
	queries *hdrhistogram.Histogram
}

func (c *expiryCliff) id(i int) string { return fmt.Sprintf("%s%06d", c.prefix, i) }
func (c *expiryCliff) user(i int) string {
	return fmt.Sprintf("%s-u%06d", c.prefix, i/scenario.PerUser)
}

func (c *expiryCliff) end(i int) time.Time {
	return c.first.Add(time.Duration(i) * time.Second / time.Duration(c.flags.count)).Truncate(time.Microsecond)
}

func (c *expiryCliff) atOnce(i, n int) bool {
	return i/scenario.PerUser == n/scenario.PerUser && i < c.flags.count
}

func (c *expiryCliff) run(ctx context.Context, seconds float64, run *result.Run) error {
	begin := time.Now()
	c.prefix = fmt.Sprintf("77%d", begin.UnixMilli())
	c.first = begin.Add(cliffAfter).UTC()
	c.out, c.gets, c.queries = run, result.NewHistogram(), result.NewHistogram()
	if err := c.store(ctx); err != nil {
		return err
	}
	if time.Now().After(c.first) {
		return fmt.Errorf("storing %d sessions took longer than %v; use fewer", c.flags.count, cliffAfter)
	}
	stop := c.first.Add(time.Second + source.Duration(max(seconds-cliffAfter.Seconds()-1, 1)))
	err := together(ctx, run, begin, c.flags.workers, func(n int) error {
		return c.work(ctx, load.NewRand(c.source.Flags.Seed, uint64(n)), stop)
	})
	if err != nil {
		return err
	}
	run.Figures["ended_sessions"] = float64(c.flags.count)
	return fillRun(run, c.gets, c.queries, "get", "search")
}

// store imports the sessions.
func (c *expiryCliff) store(ctx context.Context) error {
	caller, err := scenario.NewCaller(ctx, c.source.Target, c.source.Config)
	if err != nil {
		return err
	}
	defer caller.Close()
	created := scenario.Date(time.Now())
	var lines strings.Builder
	for i := range c.flags.count {
		fmt.Fprintf(&lines, `{"id":"%s","creationDate":"%s","changeDate":"%s","sequence":"1","factors":{"user":{"verifiedAt":"%s","id":"%s"}},"expirationDate":"%s"}`+"\n",
			c.id(i), created, created, created, c.user(i), scenario.Date(c.end(i)))
	}
	a, err := caller.Call("POST", "/v2/sessions/import", lines.String())
	if err != nil {
		return err
	}
	var report scenario.Imported
	if err := json.Unmarshal(a.Body, &report); err != nil || report.Stored != c.flags.count {
		return fmt.Errorf("import: status %d: %.300s", a.Status, a.Body)
	}
	return nil
}

// work gets and searches by turns until stop.
func (c *expiryCliff) work(ctx context.Context, r *rand.Rand, stop time.Time) error {
	caller, err := scenario.NewCaller(ctx, c.source.Target, c.source.Config)
	if err != nil {
		return err
	}
	defer caller.Close()
	offset := storeOffset{}
	for time.Now().Before(stop) && ctx.Err() == nil {
		i := r.IntN(c.flags.count)
		sent := time.Now()
		a, err := caller.Call("POST", scenario.SearchPath, `{"queries":[{"userIdQuery":{"id":"`+c.user(i)+`"}}]}`)
		if err != nil {
			return err
		}
		took := time.Since(sent)
		var found struct {
			Details  struct{ TotalResult, Timestamp string }
			Sessions []scenario.SessionJSON
		}
		if a.Status != 200 || json.Unmarshal(a.Body, &found) != nil {
			return fmt.Errorf("search: status %d: %.200s", a.Status, a.Body)
		}
		at, err := time.Parse(time.RFC3339Nano, found.Details.Timestamp)
		if err != nil {
			return err
		}
		offset.take(sent, took, at)
		c.note(c.queries, took, c.judgeSearch(i, at, offset.of(sent.Add(took)), found.Details.TotalResult, found.Sessions))

		sent = time.Now()
		if a, err = caller.Call("GET", "/v2/sessions/"+c.id(i), ""); err != nil {
			return err
		}
		took = time.Since(sent)
		if a.Status != 200 && a.Status != 404 {
			return fmt.Errorf("get: status %d: %.200s", a.Status, a.Body)
		}
		c.note(c.gets, took, c.judgeGet(i, a.Status == 200, offset.of(sent), offset.of(sent.Add(took))))
	}
	return nil
}

// note records an answer, and what is wrong with it.
func (c *expiryCliff) note(h *hdrhistogram.Histogram, took time.Duration, wrong error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	record(h, took)
	c.out.Due++
	c.out.Answered++
	if wrong != nil {
		c.out.Wrong++
		if c.out.FirstError == "" {
			c.out.FirstError = "wrong: " + wrong.Error()
		}
	}
}

// judgeSearch compares an answer for the sessions of i's user with the truth at
// its timestamp. A session that ends between it and the answer may be missing.
func (c *expiryCliff) judgeSearch(i int, at, answered time.Time, total string, sessions []scenario.SessionJSON) error {
	may, must := map[string]bool{}, 0
	for k := i - i%scenario.PerUser; c.atOnce(k, i); k++ {
		if end := c.end(k); end.After(at) {
			may[c.id(k)] = true
			if end.After(answered.Add(cliffTolerance)) {
				must++
			}
		}
	}
	for _, s := range sessions {
		if !may[s.ID] {
			return fmt.Errorf("session %s, which ends at %s, is served at %s", s.ID, s.ExpirationDate, scenario.Date(at))
		}
	}
	if n := len(sessions); n < must || n > len(may) || total != fmt.Sprint(n) {
		return fmt.Errorf("%d sessions and total %s at %s, not %d to %d", n, total, scenario.Date(at), must, len(may))
	}
	return nil
}

// judgeGet says whether a session was served after its end, or refused before it.
func (c *expiryCliff) judgeGet(i int, served bool, sent, answered time.Time) error {
	switch end := c.end(i); {
	case served && sent.After(end.Add(cliffTolerance)):
		return fmt.Errorf("session %s is served %v after its end", c.id(i), sent.Sub(end))
	case !served && answered.Before(end.Add(-cliffTolerance)):
		return fmt.Errorf("session %s is refused %v before its end", c.id(i), end.Sub(answered))
	}
	return nil
}

// storeOffset is how far the store's clock is ahead of this machine's, by the
// fastest search: its answer's timestamp is between sending and answer.
type storeOffset struct {
	ahead, took time.Duration
}

func (o *storeOffset) take(sent time.Time, took time.Duration, at time.Time) {
	if o.took == 0 || took < o.took {
		o.took, o.ahead = took, at.Sub(sent.Add(took/2))
	}
}

func (o *storeOffset) of(t time.Time) time.Time { return t.Add(o.ahead) }
