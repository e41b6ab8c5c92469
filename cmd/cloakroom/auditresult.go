package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/cloakroom-dev/cloakroom/index/audit"
)

// auditResult is what an audit prints.
type auditResult struct {
	Redis    string       `json:"redis"`
	Prefix   string       `json:"keyPrefix"`
	Shards   int          `json:"shards"`
	Repair   bool         `json:"repair"`
	Complete bool         `json:"complete"`
	Clean    bool         `json:"clean"`
	Seconds  float64      `json:"seconds"`
	Sessions uint64       `json:"sessions"`
	Cards    uint64       `json:"cards"`
	Entries  uint64       `json:"entries"`
	Notes    uint64       `json:"notes"`
	Ends     uint64       `json:"ends"`
	Unknown  uint64       `json:"unsettled"`
	Drift    []auditDrift `json:"drift"`

	took     time.Duration
	examples map[audit.Drift][]auditExample
}

// auditDrift is one kind of drift.
type auditDrift struct {
	Kind     audit.Drift    `json:"kind"`
	Found    uint64         `json:"found"`
	Repaired uint64         `json:"repaired"`
	Skipped  uint64         `json:"skipped"`
	Failed   uint64         `json:"failed"`
	Examples []auditExample `json:"examples"`
}

// auditExample is one finding.
type auditExample struct {
	Session string `json:"session,omitempty"`
	Where   string `json:"where"`
	Outcome string `json:"outcome"`
	Error   string `json:"error,omitempty"`
}

// found keeps the first findings of each kind.
func (r *auditResult) found(f *audit.Finding) {
	if len(r.examples[f.Drift]) == auditExamples {
		return
	}
	e := auditExample{Session: string(f.ID), Where: f.Where, Outcome: f.Outcome.String()}
	if f.Err != nil {
		e.Error = f.Err.Error()
	}
	r.examples[f.Drift] = append(r.examples[f.Drift], e)
}

// fill takes the figures of a report.
func (r *auditResult) fill(report *audit.Report) {
	r.Complete, r.Clean, r.Seconds = report.Complete, report.Clean(), r.took.Seconds()
	r.Sessions, r.Cards, r.Entries, r.Notes, r.Ends, r.Unknown = report.Sessions, report.Cards, report.Entries, report.Notes, report.Ends, report.Unsettled
	r.Drift = []auditDrift{}
	for _, kind := range audit.Drifts() {
		if c, ok := report.Drift[kind]; ok {
			r.Drift = append(r.Drift, auditDrift{kind, c.Found, c.Repaired, c.Skipped, c.Failed, r.examples[kind]})
		}
	}
}

func (r *auditResult) print(w io.Writer, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", text)
		}
		return err
	}
	var b strings.Builder
	looked := r.Sessions + r.Cards + r.Entries + r.Notes
	fmt.Fprintf(&b, "%s, key prefix %s, %s: looked at %s, %s, %d entries and %s in %v (%.0f a second)\n",
		r.Redis, r.Prefix, plural(uint64(r.Shards), "shard"), plural(r.Sessions, "session"), plural(r.Cards, "card"), r.Entries, plural(r.Notes, "note"),
		r.took.Round(time.Millisecond), float64(looked)/max(r.Seconds, 1e-6))
	if r.Ends > 0 {
		fmt.Fprintf(&b, "%s of logins, which refuse JWTs\n", plural(r.Ends, "end"))
	}
	if r.Unknown > 0 {
		fmt.Fprintf(&b, "%d cards and entries of sessions that have ended are not known yet\n", r.Unknown)
	}
	switch {
	case len(r.Drift) == 0 && r.Complete:
		b.WriteString("no drift was found\n")
	case len(r.Drift) == 0:
		b.WriteString("no drift was found until then\n")
	default:
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(t, "\ndrift\tfound\trepaired\tskipped\tfailed\tfor example") // a strings.Builder takes all
		for i := range r.Drift {
			d := &r.Drift[i]
			_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\n", d.Kind, d.Found, d.Repaired, d.Skipped, d.Failed, d.example())
		}
		_ = t.Flush()
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// example says what the first findings are.
func (d *auditDrift) example() string {
	var words []string
	for i := range d.Examples[:min(2, len(d.Examples))] {
		e := &d.Examples[i]
		text := e.Where
		if e.Session != "" {
			text += " of " + plain(e.Session)
		}
		if e.Error != "" {
			text += " (" + e.Error + ")"
		}
		words = append(words, text)
	}
	return strings.Join(words, ", ")
}

// drifts counts what was found.
func drifts(r *audit.Report) (n uint64) {
	for _, c := range r.Drift {
		n += c.Found
	}
	return n
}
