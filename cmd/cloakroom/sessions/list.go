package sessions

import (
	"context"
	"errors"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

const listIntro = `Usage: cloakroom sessions list [WHICH] [flags]

Lists sessions of a running sidecar, newest first: all that the caller may see,
or those that WHICH names. On a terminal it prints a table that fits: AGE is the
time since a session was created, LEFT the time until it ends. Elsewhere it
prints JSON in the form of the API, one session a line.
`

// defaultLimit is the default of --limit.
const defaultLimit = 100

var (
	limitOption = option{name: "limit", def: strconv.Itoa(defaultLimit), help: "how many sessions at most; default 100; 0 = all"}
	ascOption   = option{name: "asc", kind: onOff, help: "oldest first"}
	pages       = group{"How many, and in which order:", []option{limitOption, ascOption, freshOption}}
	listOutput  = group{"Output:", []option{{
		name: "output", words: []string{formatTable, formatWide, formatJSON, formatLines, formatID},
		help: "output format; table; wide, with more columns and nothing cut; json, an array; jsonl, one session a line; id, IDs alone; default table on a terminal, else jsonl",
	}}}
)

func checkPages(c *call, wrong *usage.Faults) {
	if _, err := strconv.ParseUint(c.text("limit"), 10, 31); err != nil {
		wrong.Addf("--limit must be a whole number of sessions, or 0 for all")
	}
}

// limit returns the value of --limit; 0 is no limit.
func (c *call) limit() int {
	n, _ := strconv.Atoi(c.text("limit")) // checkPages has seen it
	return n
}

func list(ctx context.Context, c *call) error {
	out := c.sessionWriter()
	limit, listed := c.limit(), 0
	p := c.pager()
	for more := true; more; {
		page, err := p.next(ctx, limit-listed)
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
		more = !p.done
		if limit > 0 && listed >= limit {
			if uint64(listed) < p.total {
				c.note("%s", c.shown(listed, p.total))
			}
			break
		}
	}
	if listed == 0 && out.people() {
		c.note("%s", c.sessions(0))
	}
	return out.end()
}

// shown tells the user that the list is not complete.
func (c *call) shown(listed int, total uint64) string {
	which := "newest"
	if c.on("asc") {
		which = "oldest"
	}
	return "these are the " + which + " " + strconv.Itoa(listed) + " of " + c.sessions(total) + "; --limit 0 lists all"
}
