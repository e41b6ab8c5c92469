// Package transfer moves sessions from one store to another, through lines of JSON: an Export reads all that must
// survive a move, an Import stores it, exactly. Look here when sessions are missing after a move, when what was
// revoked is back, or when an export that follows changes falls behind. docs/moving.md says what is promised.
//
// The lines are, in this order: a header; sessions, each as PUT and import take it, and deletions and ends, which keep
// what was revoked from coming back; a trailer with the number of each. An Export that follows changes has marks in
// between, which say up to when nothing is missing.
package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/cache/deletions"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// formatVersion is the version of the lines that an Export writes, and the only one that an Import reads.
const formatVersion = 1

// Header is the first line: of what the others are.
type Header struct {
	Version int `json:"version"`
	// Date is when the export began, by the store's clock.
	Date   time.Time `json:"date"`
	Prefix string    `json:"prefix"`
	Shards int       `json:"shards"`
	// Sessions is about how many there were then.
	Sessions uint64 `json:"sessions"`
	// Follow says that the lines go on until the export is stopped.
	Follow bool `json:"follow,omitempty"`
}

// Counts are how many lines of each kind there are.
type Counts struct {
	Sessions  uint64 `json:"sessions"`
	Deletions uint64 `json:"deletions"`
	Ends      uint64 `json:"ends"`
}

// Trailer is the last line. A file without it is cut off.
type Trailer struct {
	Counts
	// Date is when the export ended, by the store's clock.
	Date time.Time `json:"date"`
}

// Mark says that all that had changed before Date is in the lines above. Passes is how many times everything has been
// exported.
type Mark struct {
	Date   time.Time `json:"date"`
	Passes uint64    `json:"passes"`
}

// Deletion is what the deletion of a session has left.
type Deletion struct {
	ID session.ID `json:"id"`
	// Tombstone is the text that stands in Redis: it begins with the sequence of the deletion.
	Tombstone string `json:"tombstone"`
	// Until is when it is forgotten.
	Until time.Time `json:"until"`
	// Again says that the session was stored again since: its line is the next.
	Again bool `json:"again,omitempty"`
}

// sequence returns that of the deletion.
func (d *Deletion) sequence() uint64 { return deletions.SequenceOf(d.Tombstone) }

// date returns when it was, 0 if the tombstone does not say.
func (d *Deletion) date() session.Time {
	fields := strings.Fields(d.Tombstone)
	if len(fields) != 4 {
		return 0
	}
	date, _ := strconv.ParseInt(fields[3], 10, 64)
	return session.Time(date)
}

// Ended is an end of logins, of a session or of a user.
type Ended struct {
	Name session.EndName `json:"name"`
	// NotAfter is the instant up to which what was authenticated has ended; nil: everything has.
	NotAfter *time.Time `json:"notAfter,omitempty"`
	Until    time.Time  `json:"until"`
}

// end returns what the line says.
func (e *Ended) end() session.End {
	end := session.End{NotAfter: session.Never, Until: session.TimeOf(e.Until)}
	if e.NotAfter != nil {
		end.NotAfter = session.TimeOf(*e.NotAfter)
	}
	return end
}

func newEnded(name session.EndName, end session.End) *Ended {
	e := &Ended{Name: name, Until: end.Until.Std()}
	if end.NotAfter != session.Never {
		at := end.NotAfter.Std()
		e.NotAfter = &at
	}
	return e
}

// special is a line that is no session; one of its members is there.
type special struct {
	Header   *Header   `json:"cloakroomExport,omitempty"`
	Deletion *Deletion `json:"deletion,omitempty"`
	Ended    *Ended    `json:"end,omitempty"`
	Mark     *Mark     `json:"mark,omitempty"`
	Trailer  *Trailer  `json:"trailer,omitempty"`
}

// appendSpecial appends a line.
func appendSpecial(dst []byte, s *special) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a line of an export: " + err.Error()) // dates are of the years that JSON has
	}
	return append(append(dst, text...), '\n')
}

// The beginnings of lines that are no sessions: no member of a session has these names.
var specialStarts = []struct {
	text  []byte
	empty special // what a line is that cannot be read
}{
	{[]byte(`{"cloakroomExport":`), special{}},
	{[]byte(`{"deletion":`), special{Deletion: new(Deletion)}},
	{[]byte(`{"end":`), special{Ended: new(Ended)}},
	{[]byte(`{"mark":`), special{}},
	{[]byte(`{"trailer":`), special{}},
}

// isSpecial says whether a line is one that is no session.
func isSpecial(text []byte) bool {
	for i := range specialStarts {
		if bytes.HasPrefix(text, specialStarts[i].text) {
			return true
		}
	}
	return false
}

// parseSpecial reads a line that is no session. With an error it only says of which kind the line is.
func parseSpecial(text []byte) (*special, error) {
	s, err := decodeSpecial(text)
	if err == nil {
		return s, nil
	}
	for i := range specialStarts {
		if it := &specialStarts[i]; bytes.HasPrefix(text, it.text) {
			return &it.empty, err
		}
	}
	return new(special), err
}

func decodeSpecial(text []byte) (*special, error) {
	s := new(special)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it goes on behind its JSON object")
	}
	switch {
	case s.Deletion != nil:
		return s, s.Deletion.validate()
	case s.Ended != nil:
		return s, s.Ended.validate()
	case s.Header == nil && s.Mark == nil && s.Trailer == nil:
		return nil, errors.New("it says nothing")
	}
	return s, nil
}

// maxTombstone is the longest tombstone that is taken, in bytes.
const maxTombstone = 200

func (d *Deletion) validate() error {
	if _, err := session.ParseID(string(d.ID)); err != nil {
		return fmt.Errorf("deletion.%w", err)
	}
	switch {
	case d.sequence() == 0 || len(d.Tombstone) > maxTombstone || !printable(d.Tombstone):
		return fmt.Errorf("invalid deletion.tombstone: must begin with the sequence of the deletion, and have at most %d characters", maxTombstone)
	case d.Until.Unix() <= 0 || d.Until.Year() > maxYear:
		return errUntil("deletion")
	}
	return nil
}

// maxYear is the last year of a date of a deletion or of an end.
const maxYear = 2254

func errUntil(kind string) error {
	return fmt.Errorf("invalid %s.until: must be a date of the years 1970 to %d", kind, maxYear)
}

func (e *Ended) validate() error {
	switch {
	case e.Name == "" || !utf8.ValidString(string(e.Name)):
		return errors.New("invalid end.name: must be a session ID, or @ and a user ID")
	case e.Until.Unix() <= 0 || e.Until.Year() > maxYear:
		return errUntil("end")
	case e.NotAfter != nil && (e.NotAfter.Unix() < 0 || e.NotAfter.Year() > maxYear):
		return fmt.Errorf("invalid end.notAfter: must be a date of the years 1970 to %d", maxYear)
	}
	return nil
}

// printable says whether a text has ASCII characters only, and no control characters.
func printable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
