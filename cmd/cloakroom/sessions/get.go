package sessions

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
)

const getIntro = `Usage: cloakroom sessions get [flags] [--] ID

Shows one session in full: as text on a terminal, elsewhere as one line of JSON
in the form of the API. If there is no such session, the exit code is 1. An ID
that begins with a dash goes behind --.
`

func get(ctx context.Context, c *call) error {
	stop := terminal.Spin(c.Stderr, "asking")
	text, err := c.client.Get(ctx, c.id, c.on("fresh"))
	stop()
	if errors.Is(err, apiclient.ErrNoSession) {
		return fmt.Errorf("there is no session %s", terminal.Word(c.id))
	}
	if err != nil {
		return err
	}
	if format := c.format(formatText); format != formatText {
		return c.printOne(format, text)
	}
	s, err := read(text)
	if err != nil {
		return fmt.Errorf("the session cannot be read: %w; --output json prints it as it is", err)
	}
	var b block
	b.session(s, c.now)
	return b.print(c.Stdout)
}

// session adds the lines of a session.
func (b *block) session(s *shown, now time.Time) {
	user := &s.Factors.User
	b.line("id", s.ID)
	b.line("user", user.ID)
	b.line("login name", user.LoginName)
	b.line("display name", user.DisplayName)
	b.line("organization", user.OrganizationID)
	b.date("created", s.CreationDate, now)
	b.date("changed", s.ChangeDate, now)
	if s.ExpirationDate.IsZero() {
		b.line("ends", "never")
	} else {
		b.date("ends", s.ExpirationDate, now)
	}
	b.line("sequence", s.Sequence)
	if !user.VerifiedAt.IsZero() {
		b.date("user factor", user.VerifiedAt, now)
	}
	for _, f := range s.proofs() {
		text := "not verified"
		if !f.VerifiedAt.IsZero() {
			text = instantAnd(f.VerifiedAt, now)
		}
		if f.UserVerified {
			text += ", with user verification"
		}
		b.line(f.name, text)
	}
	b.line("user agent", s.UserAgent.Description)
	b.line("agent id", s.UserAgent.FingerprintID)
	b.line("ip address", s.UserAgent.IP)
	for _, name := range slices.Sorted(maps.Keys(s.UserAgent.Header)) {
		b.line("header", name+": "+strings.Join(s.UserAgent.Header[name].Values, ", "))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Metadata)) {
		b.line("metadata", key+": "+metadata(s.Metadata[key]))
	}
}

// metadata shows a value as text if it is one, else in base64.
func metadata(value []byte) string {
	if utf8.Valid(value) && !strings.ContainsFunc(string(value), func(r rune) bool { return !unicode.IsPrint(r) }) {
		return string(value)
	}
	return base64.StdEncoding.EncodeToString(value) + " (base64)"
}

// instantAnd returns an instant, and the time between it and now.
func instantAnd(at, now time.Time) string {
	switch {
	case at.IsZero():
		return ""
	case at.After(now):
		return at.UTC().Format(time.RFC3339) + ", in " + age(at.Sub(now))
	}
	return at.UTC().Format(time.RFC3339) + ", " + age(now.Sub(at)) + " ago"
}
