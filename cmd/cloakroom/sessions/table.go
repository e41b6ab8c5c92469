package sessions

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/rivo/uniseg"
)

// column is one of the table.
type column struct {
	heading string
	of      func(s *shown, now time.Time) string
	// least is to how few terminal columns it is cut before one goes away; 0 never cuts it.
	least int
	// goes is when it goes away, the lowest first, to fit the others into the terminal; 0 never,
	// as of the ID, which takes half of the terminal at most: longer ones have a line of their own.
	goes int
	// wide says that only a wide table has it.
	wide bool
}

var columns = []column{
	{heading: "ID", of: func(s *shown, _ time.Time) string { return s.ID }},
	{heading: "USER", of: func(s *shown, _ time.Time) string { return s.Factors.User.ID }, least: 19, goes: 4},
	{heading: "LOGIN NAME", of: func(s *shown, _ time.Time) string { return s.Factors.User.LoginName }, least: 10, goes: 3},
	{heading: "FACTORS", of: func(s *shown, _ time.Time) string { return s.proofNames() }, least: 8, goes: 2},
	{heading: "AGE", of: func(s *shown, now time.Time) string { return since(s.CreationDate, now) }, goes: 6},
	{heading: "LEFT", of: func(s *shown, now time.Time) string { return s.left(now) }, goes: 5},
	{heading: "USER AGENT", of: func(s *shown, _ time.Time) string { return s.UserAgent.Description }, least: 12, goes: 1},
	{heading: "IP ADDRESS", of: func(s *shown, _ time.Time) string { return s.UserAgent.IP }, wide: true},
	{heading: "AGENT ID", of: func(s *shown, _ time.Time) string { return s.UserAgent.FingerprintID }, wide: true},
	{heading: "ORGANIZATION", of: func(s *shown, _ time.Time) string { return s.Factors.User.OrganizationID }, wide: true},
}

// gap is how many terminal columns are between two.
const gap = 2

// table prints sessions, one a line. Its first page decides how wide the columns are, so that
// it is printed while later pages are still to come.
type table struct {
	w *bufio.Writer
	// columns is how many the terminal has, 0 if nothing is to be cut.
	columns int
	wide    bool
	// styled lets it have more than ASCII of its own.
	styled bool
	// shown are the columns, and widths how wide each is, once there was a page.
	shown  []column
	widths []int
}

// page prints a page.
func (t *table) page(p *apiclient.Page) error {
	now := p.At
	if now.IsZero() {
		now = time.Now()
	}
	if len(p.Sessions) == 0 {
		return nil
	}
	rows := make([]*shown, 0, len(p.Sessions))
	for _, text := range p.Sessions {
		s, err := read(text)
		if err != nil {
			return fmt.Errorf("a session that cannot be read: %w; --output jsonl prints it as it is", err)
		}
		rows = append(rows, s)
	}
	if t.widths == nil {
		t.fit(rows, now)
		t.head()
	}
	for _, s := range rows {
		cells := make([]string, len(t.shown))
		for i := range t.shown {
			cells[i] = cell(t.shown[i].of(s, now))
		}
		t.print(t.line(cells))
	}
	return nil
}

// head prints the headings.
func (t *table) head() {
	cells := make([]string, len(t.shown))
	for i := range t.shown {
		cells[i] = t.shown[i].heading
	}
	text := t.line(cells)
	if t.styled {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	t.print(text)
}

// print prints a line; the flush that follows says what is wrong.
func (t *table) print(line string) { _, _ = t.w.WriteString(line + "\n") }

// line returns the line of a session, two if its ID is too long.
func (t *table) line(cells []string) string {
	var b strings.Builder
	for i, text := range cells {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		width := uniseg.StringWidth(text)
		if t.columns > 0 && i == 0 && width > t.widths[0] {
			// An ID is never cut, and keeps no other session from being shown.
			b.WriteString(text + "\n")
			text, width = "", 0
		}
		if t.columns > 0 && t.shown[i].least > 0 && width > t.widths[i] {
			text = cut(text, t.widths[i], t.ellipsis())
			width = uniseg.StringWidth(text)
		}
		b.WriteString(text)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, t.widths[i]-width)))
		}
	}
	return b.String()
}

func (t *table) ellipsis() string {
	if t.styled {
		return "…"
	}
	return "..."
}

// fit decides which columns there are, and how wide each is.
func (t *table) fit(rows []*shown, now time.Time) {
	var natural []int
	for _, c := range columns {
		if c.wide && !t.wide {
			continue
		}
		width := uniseg.StringWidth(c.heading)
		for _, s := range rows {
			if w := uniseg.StringWidth(cell(c.of(s, now))); c.goes > 0 || t.columns == 0 || w <= t.columns/2 {
				width = max(width, w)
			}
		}
		t.shown, natural = append(t.shown, c), append(natural, width)
	}
	t.widths = natural
	if t.columns == 0 {
		return
	}
	for {
		widths := make([]int, len(t.shown))
		left := t.columns - gap*(len(widths)-1)
		for i, c := range t.shown {
			widths[i] = natural[i]
			if c.least > 0 {
				widths[i] = min(natural[i], c.least)
			}
			left -= widths[i]
		}
		if left >= 0 || len(widths) == 1 {
			share(widths, natural, left)
			t.widths = widths
			return
		}
		gone := 0
		for i, c := range t.shown {
			if c.goes > 0 && (gone == 0 || c.goes < t.shown[gone].goes) {
				gone = i
			}
		}
		t.shown, natural = append(t.shown[:gone], t.shown[gone+1:]...), append(natural[:gone], natural[gone+1:]...)
	}
}

// share gives widths what is left over, evenly, up to what each could use.
func share(widths, natural []int, left int) {
	for given := true; given && left > 0; {
		given = false
		for i := range widths {
			if widths[i] < natural[i] && left > 0 {
				widths[i]++
				left--
				given = true
			}
		}
	}
}

// cut shortens text to so many terminal columns, and ends it with an ellipsis.
func cut(text string, columns int, ellipsis string) string {
	columns -= uniseg.StringWidth(ellipsis)
	var b strings.Builder
	for state := -1; text != ""; {
		var cluster string
		var width int
		cluster, text, width, state = uniseg.FirstGraphemeClusterInString(text, state)
		if columns -= width; columns < 0 {
			break
		}
		b.WriteString(cluster)
	}
	return b.String() + ellipsis
}
