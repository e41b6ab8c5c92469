package sessions

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
)

const explainIntro = `Usage: cloakroom sessions explain [WHICH] [flags]

Shows how the sidecar finds the sessions of sessions list with the same flags:
the plan, what drove it, what was read, and how long that took. It needs
session.read for the whole instance. A search that the sidecar refuses because
it would cost too much is explained, too, and is exit code 1.
`

// explanation is the answer of the API. Unknown words are printed as they are.
type explanation struct {
	Plan   string
	Driver struct{ Predicate, Lists string }
	Steps  []string

	Candidates, Examined, Limit, RoundTrips, Microseconds string

	Documents struct{ Copies, Redis, Replicas string }
	Costly    *struct{ WaitedMicroseconds string }
}

// driverWords describe the lists of a driver, and stepWords the steps, by their names in the API.
var (
	driverWords = map[string]string{
		"none": "nothing", "copy": "the user's list in the near cache", "ids": "the IDs", "user": "the user's list", "user_agent": "the user agent's list", "creator": "the creator's list",
		"creation_date": "the list of all by creation date", "expiration_date": "the list of all by expiration date", "own": "the lists of the caller's own sessions", "all": "the list of all sessions",
	}
	stepWords = map[string]string{
		"kept_page": "answered with the page kept from the same search", "held_list": "took the user's list from the near cache", "short_list": "read the beginning of each list",
		"guessed":   "read its sessions in the same round trip, because they were on it before",
		"given_ids": "took the IDs that were given", "counted": "counted what each list has", "ranked": "found total and page by rank", "examined": "examined each candidate's session",
		"refused": "refused, because there are too many candidates", "nothing": "nothing can match", "anew": "started over without copies, which became invalid meanwhile",
	}
)

func explain(ctx context.Context, c *call) error {
	var e *apiclient.Explained
	s := c.search()
	stop := terminal.Spin(c.Stderr, "searching")
	var err error
	limited(&s, maxPage, c.limit(), func() error {
		e, err = c.client.Explain(ctx, &s)
		return err
	})
	stop()
	if err != nil {
		return err
	}
	if format := c.format(formatText); format != formatText {
		err = c.printOne(format, e.JSON)
	} else {
		var said explanation
		if err := json.Unmarshal(e.JSON, &said); err != nil {
			return fmt.Errorf("the explanation cannot be read: %w; --output json prints it as it is", err)
		}
		var b block
		b.explanation(c, &said, e)
		err = b.print(c.Stdout)
	}
	return cmp.Or(err, e.Refused)
}

// explanation adds the lines of an explained search.
func (b *block) explanation(c *call, said *explanation, e *apiclient.Explained) {
	b.line("plan", said.Plan)
	driver := cmp.Or(driverWords[said.Driver.Lists], said.Driver.Lists)
	if flags := c.flagsOf(said.Driver.Predicate); len(flags) > 0 {
		driver += ", by " + strings.Join(flags, " and ")
	}
	b.line("driven by", driver)
	for _, step := range said.Steps {
		b.line("step", cmp.Or(stepWords[step], step))
	}
	b.line("candidates", said.Candidates+", of which "+said.Examined+" were examined; a search may examine "+said.Limit)
	b.line("sessions read", said.Documents.Copies+" from copies, "+said.Documents.Redis+" from Redis, "+said.Documents.Replicas+" from replicas")
	b.line("round trips", said.RoundTrips)
	if said.Costly != nil {
		b.line("waited", milliseconds(said.Costly.WaitedMicroseconds)+" for its place among costly searches")
	}
	b.line("took", milliseconds(said.Microseconds)+" in the store")
	if e.Refused == nil {
		b.line("found", c.sessions(e.Total))
	}
}

// milliseconds is a number of microseconds for people.
func milliseconds(microseconds string) string {
	n, err := strconv.ParseInt(microseconds, 10, 64)
	if err != nil {
		return microseconds + " us"
	}
	return strconv.FormatFloat(float64(n)/float64(time.Millisecond/time.Microsecond), 'f', -1, 64) + " ms"
}
