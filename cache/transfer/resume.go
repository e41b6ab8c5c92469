package transfer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zlist"
)

// Resume finds out where an export goes on that was cut off: it is shown all lines that there are (Add), in order.
type Resume struct {
	header *Header
	keys   *keys.Space
	counts Counts
	ended  bool
	// shard and last are where the last session stands, if there is any.
	any   bool
	shard int
	last  zlist.Entry
	// again are the deletions of sessions that were stored again; pending is one whose session has not come yet.
	again   []*Deletion
	pending bool
}

// ErrComplete says that an export is complete, so that nothing goes on.
var ErrComplete = errors.New("the export is complete: its trailer is there")

// Add is shown whole lines. good says that the export can go on behind them.
func (r *Resume) Add(lines []byte) (good bool, err error) {
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if r.ended {
			return false, ErrComplete
		}
		if err := r.add(line); err != nil {
			return false, fmt.Errorf("line %d: %w", r.lines()+1, err)
		}
	}
	return !r.pending, nil
}

// lines returns how many lines there were.
func (r *Resume) lines() uint64 {
	n := r.counts.Sessions + r.counts.Deletions + r.counts.Ends
	if r.header != nil {
		n++
	}
	return n
}

func (r *Resume) add(line []byte) (err error) {
	if r.header == nil {
		if r.header, err = parseHeader(line); err != nil {
			return err
		}
		r.keys, err = keys.NewSpace(r.header.Prefix, r.header.Shards)
		return err
	}
	if !isSpecial(line) {
		s, _, err := session.DecodeJSON(line, false)
		if err != nil {
			return err
		}
		r.counts.Sessions++
		if r.pending {
			r.counts.Deletions++
			r.pending = false
		}
		// A session that was deleted and stored again meanwhile comes behind the others, with an earlier place.
		at := zlist.Entry{At: s.CreationDate, Member: string(s.ID)}
		if shard := r.keys.ShardOf(s.ID); !r.any || shard > r.shard || shard == r.shard && (at.At > r.last.At || at.At == r.last.At && at.Member > r.last.Member) {
			r.any, r.shard, r.last = true, shard, at
		}
		return nil
	}
	s, err := parseSpecial(line)
	switch {
	case err != nil:
		return err
	case s.Deletion != nil:
		if r.pending = s.Deletion.Again; r.pending {
			r.again = append(r.again, s.Deletion)
		} else {
			r.counts.Deletions++
		}
	case s.Ended != nil:
		r.counts.Ends++
	case s.Trailer != nil:
		r.ended = true
	default:
		return errors.New("only exports that do not follow changes can be resumed")
	}
	return nil
}

// parseHeader reads the first line.
func parseHeader(line []byte) (*Header, error) {
	var s *special
	err := errors.New("it is none")
	if isSpecial(line) {
		s, err = parseSpecial(line)
	}
	if err != nil || s.Header == nil {
		// A later version may have other members; the number of the version comes first.
		var version int
		if n, _ := fmt.Sscanf(string(line), `{"cloakroomExport":{"version":%d`, &version); n == 1 && version != formatVersion {
			return nil, errVersion(version)
		}
		return nil, errors.New("the first line must be the header of an export of cloakroom")
	}
	if s.Header.Version != formatVersion {
		return nil, errVersion(s.Header.Version)
	}
	return s.Header, nil
}

func errVersion(version int) error {
	return fmt.Errorf("the export has version %d, and this cloakroom reads version %d only", version, formatVersion)
}

// resume goes on with an export that was cut off.
func (e *exporter) resume() error {
	h := e.Resume.header
	switch {
	case e.Resume.ended:
		return ErrComplete
	case h == nil: // not even the header was written
		e.Resume = nil
		return e.writeHeader()
	case h.Follow:
		return errors.New("an export that follows changes cannot be resumed; begin anew")
	case h.Prefix != e.Prefix || h.Shards != e.keys.Shards():
		return fmt.Errorf("the export to resume is of the key prefix %q with %d shards, and this store has the key prefix %q and %d shards", h.Prefix, h.Shards, e.Prefix, e.keys.Shards())
	}
	begun := session.TimeOf(h.Date)
	if now := e.begun; now.Sub(begun) > resumeFor || begun > now.Add(dateSlack) {
		return fmt.Errorf("the export to resume began on %s: %w", h.Date.Format("2006-01-02T15:04:05Z07:00"), ErrTooLong)
	}
	e.begun = begun
	e.done.Counts = e.Resume.counts
	e.seen = e.done.Sessions
	if r := e.Resume; r.pending { // it is not there: the export goes on before it
		r.again = r.again[:len(r.again)-1]
	}
	for _, d := range e.Resume.again {
		if e.late(d) {
			e.again[d.ID] = d.Tombstone
		}
	}
	return nil
}
