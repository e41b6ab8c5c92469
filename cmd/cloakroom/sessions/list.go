package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const listIntro = `Usage: cloakroom sessions list [WHICH] [flags]

Lists sessions of a running sidecar, newest first: all that the caller may see,
or those that WHICH names. On a terminal it prints a table as wide as that: AGE
is the time since a session was created, LEFT the time until it ends. Elsewhere
it prints JSON, a session a line, as the API has it.
`

const (
	// defaultLimit is how many sessions are listed if nothing else is said.
	defaultLimit = 100
	// maxPage is how many sessions are asked for at a time.
	maxPage = 250
)

var (
	limitOption = option{name: "limit", def: strconv.Itoa(defaultLimit), help: "how many sessions at most; default 100; 0 = all"}
	ascOption   = option{name: "asc", kind: onOff, help: "oldest first"}
	pages       = group{"How many, and in which order:", []option{limitOption, ascOption, freshOption}}
	listOutput  = group{"Output:", []option{{
		name: "output", words: []string{formatTable, formatWide, formatJSON, formatLines, formatID},
		help: "form of what is printed; table; wide, with more columns and nothing cut; json, an array; jsonl, a session a line; id, IDs alone; default table on a terminal, else jsonl",
	}}}
)

func checkPages(c *call, wrong *usage.Faults) {
	if _, err := strconv.ParseUint(c.text("limit"), 10, 31); err != nil {
		wrong.Addf("--limit must be a whole number of sessions, or 0 for all")
	}
}

// limit returns how many sessions there may be, 0 for any number.
func (c *call) limit() int {
	n, _ := strconv.Atoi(c.text("limit")) // checkPages has seen it
	return n
}

func list(ctx context.Context, c *call) error {
	out := c.sessionWriter()
	limit, listed := c.limit(), 0
	s := apiclient.Search{Queries: c.queries, Ascending: c.on("asc"), Fresh: c.on("fresh")}
	for {
		page, err := c.page(ctx, &s, limit-listed)
		if err != nil {
			return errors.Join(out.flush(), err)
		}
		if limit > 0 && len(page.Sessions) > limit-listed {
			page.Sessions = page.Sessions[:limit-listed]
		}
		listed += len(page.Sessions)
		if err := out.page(page); err != nil {
			return err
		}
		enough := limit > 0 && listed >= limit
		if enough && uint64(listed) < page.Total {
			c.note("%s", c.shown(listed, page.Total))
		}
		if enough || page.Next == "" {
			break
		}
		s.Cursor = page.Next
	}
	if listed == 0 && out.people() {
		c.note("%s", c.sessions(0))
	}
	return out.end()
}

// page asks for a page of so many sessions at most; 0 and less for any number.
func (c *call) page(ctx context.Context, s *apiclient.Search, most int) (page *apiclient.Page, err error) {
	defer terminal.Spin(c.Stderr, "searching")()
	err = limited(s, most, func() error {
		page, err = c.client.List(ctx, s)
		return err
	})
	return page, err
}

// limited asks for a page of so many sessions at most, 0 and less for any number, and once more for one
// as long as the sidecar likes if its pages are shorter.
func limited(s *apiclient.Search, most int, ask func() error) error {
	if s.Limit = maxPage; most > 0 {
		s.Limit = min(most, maxPage)
	}
	err := ask()
	if errors.Is(err, apiclient.ErrLimit) {
		s.Limit = 0
		err = ask()
	}
	return err
}

// shown says that there are more sessions than were listed.
func (c *call) shown(listed int, total uint64) string {
	which := "newest"
	if c.on("asc") {
		which = "oldest"
	}
	return "these are the " + which + " " + strconv.Itoa(listed) + " of " + c.sessions(total) + "; --limit 0 lists all"
}

// sessionID returns the ID of a session.
func sessionID(text json.RawMessage) string {
	var s struct{ ID string }
	_ = json.Unmarshal(text, &s) // it is an object, or has no ID
	return s.ID
}
