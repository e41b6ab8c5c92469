package sessions

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
)

// The output formats: the first three are for people, the others for programs.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatText  = "text"
	formatJSON  = "json"
	formatLines = "jsonl"
	formatID    = "id"
)

// textOutput is the group of the verbs that show one thing.
var textOutput = group{"Output:", []option{{
	name: "output", words: []string{formatText, formatJSON, formatLines},
	help: "output format; text; json, indented; jsonl, on one line; default text on a terminal, else jsonl",
}}}

// format returns the output format; the default on a terminal is people.
func (c *call) format(people string) string {
	switch given := c.text("output"); {
	case given != "":
		return given
	case terminal.Of(c.Stdout) != nil:
		return people
	}
	return formatLines
}

// sessionWriter prints pages of sessions as they come.
type sessionWriter struct {
	format string
	w      *bufio.Writer
	json   *jsonWriter
	table  *table
	begun  bool
}

func (c *call) sessionWriter() *sessionWriter {
	w := &sessionWriter{format: c.format(formatTable), w: bufio.NewWriter(c.Stdout)}
	w.json = c.jsonWriter(w.w)
	w.table = &table{w: w.w, wide: w.format == formatWide, styled: terminal.Styled(c.Stdout, c.Env)}
	if !w.table.wide {
		w.table.columns = terminal.Columns(c.Stdout)
	}
	return w
}

// people says whether the output is for people.
func (w *sessionWriter) people() bool { return w.format == formatTable || w.format == formatWide }

// page prints a page.
func (w *sessionWriter) page(p *apiclient.Page) (err error) {
	if w.people() {
		if err := w.table.page(p); err != nil {
			return err
		}
		return w.flush()
	}
	for _, s := range p.Sessions {
		switch w.format {
		case formatID:
			id, _ := idAndDate(s)
			_, err = fmt.Fprintln(w.w, usage.Printable(id))
		case formatLines:
			err = w.json.line(s)
		case formatJSON:
			before := ",\n"
			if !w.begun {
				before = "[\n"
			}
			_, _ = w.w.WriteString(before) // the next write says what is wrong
			err = w.json.indented(s)
			w.begun = true
		}
		if err != nil {
			return err
		}
	}
	return w.flush()
}

// flush writes the buffered output.
func (w *sessionWriter) flush() error { return w.w.Flush() }

// end closes the output after the last page.
func (w *sessionWriter) end() error {
	if w.format == formatJSON {
		after := "\n]\n"
		if !w.begun {
			after = "[]\n"
		}
		_, _ = w.w.WriteString(after) // Flush says what is wrong
	}
	return w.flush()
}

// jsonWriter writes JSON unchanged. For a terminal it escapes the characters that usage.Unprintable
// names, since JSON itself escapes only some of the control characters.
type jsonWriter struct {
	w      io.Writer
	escape bool
	buffer bytes.Buffer
}

func (c *call) jsonWriter(w io.Writer) *jsonWriter {
	return &jsonWriter{w: w, escape: terminal.Of(c.Stdout) != nil}
}

// line writes a value in one line.
func (j *jsonWriter) line(value json.RawMessage) error {
	j.buffer.Reset()
	if err := json.Compact(&j.buffer, value); err != nil {
		return err
	}
	j.buffer.WriteByte('\n')
	return j.write()
}

// indented writes a value in many lines, without the end of the last one.
func (j *jsonWriter) indented(value json.RawMessage) error {
	j.buffer.Reset()
	if err := json.Indent(&j.buffer, value, "", "  "); err != nil {
		return err
	}
	return j.write()
}

// write writes the buffer. Outside of strings, JSON has none of the escaped characters but line breaks.
func (j *jsonWriter) write() (err error) {
	if !j.escape {
		_, err = j.w.Write(j.buffer.Bytes())
		return err
	}
	var b []byte
	for _, r := range j.buffer.String() {
		if r != '\n' && usage.Unprintable(r) {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = append(b, string(r)...)
		}
	}
	_, err = j.w.Write(b)
	return err
}

// printOne prints one JSON value in one of the formats for programs.
func (c *call) printOne(format string, value json.RawMessage) error {
	j := c.jsonWriter(c.Stdout)
	if format == formatLines {
		return j.line(value)
	}
	if err := j.indented(value); err != nil {
		return err
	}
	_, err := io.WriteString(c.Stdout, "\n")
	return err
}
