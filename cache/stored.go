package cache

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/packed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// The fields of a session's hash. To read a session, fieldDoc
// is enough; the others are for writes and their scripts.
const (
	fieldDoc     = "doc" // head and document, packed (appendStored)
	fieldVersion = "v"   // random, drawn by the write
	fieldTag     = "tag" // version of the write that added the entries in other shards
)

// What fieldDoc holds: a byte for the format, of a checked one eight bytes with the instant
// (µs, big-endian; outdate.lua writes zero there), the creator as a packed text, the
// token's hash unless there is none, and the packed document.
const (
	storedBare    = 1    // no token
	storedOwn     = 2    // with a token of ours
	storedForeign = 3    // with a token that somebody else made
	storedChecked = 0x10 // added to each of them where there is a system of record: in every format, so that outdate.lua need not know it
)

// checkedLen is the length of the instant of a checked one.
const checkedLen = 8

// ErrUnreadable is session.ErrUnavailable because what is stored is damaged, or of a later program.
var ErrUnreadable = errors.New("it cannot be read")

var errDamaged = errors.New("what is stored is damaged")

// appendStored appends what fieldDoc holds of s.
func appendStored(dst []byte, s *session.Session) []byte {
	format := byte(storedOwn)
	switch {
	case s.Token.IsZero():
		format = storedBare
	case s.TokenForeign:
		format = storedForeign
	}
	if s.CheckedAt != 0 {
		dst = binary.BigEndian.AppendUint64(append(dst, format|storedChecked), uint64(s.CheckedAt))
	} else {
		dst = append(dst, format)
	}
	dst = packed.Append(dst, s.Creator)
	if format != storedBare {
		dst = append(dst, s.Token[:]...)
	}
	sc := scratches.Get().(*scratch)
	defer sc.release()
	sc.doc = session.AppendJSON(sc.doc[:0], s)
	return appendDocument(dst, sc.doc)
}

// storedOf unpacks what fieldDoc holds. It returns nil for "", which says that
// nothing is stored. The result has neither Version nor EntryTag. Its creator and
// its document, with what else is read off that, are one piece of memory of their
// own, and no larger than they are: a copy does not keep the reply that it came with.
func storedOf(field string) (*session.Stored, error) {
	if field == "" {
		return nil, nil
	}
	sc := scratches.Get().(*scratch)
	defer sc.release()
	s := new(session.Stored)
	own, parts, err := appendParts(sc.doc[:0], field, s)
	if err != nil {
		return nil, err
	}
	sc.doc = own
	return s, parts.refer(s, bytes.Clone(own))
}

// storedIn is storedOf for s, which is empty, in memory that others share.
func storedIn(m *session.Memory, field string, s *session.Stored) error {
	start := len(m.Bytes)
	own, parts, err := appendParts(m.Bytes, field, s)
	if err != nil {
		return err
	}
	m.Bytes = own
	return parts.refer(s, own[start:len(own):len(own)])
}

// parts are what fieldDoc holds, unpacked: the creator and the document, one behind
// the other.
type parts struct {
	creator int // its length
	notes   packed.Notes
}

// appendParts appends the parts of what fieldDoc holds, and sets the token.
func appendParts(dst []byte, field string, s *session.Stored) (_ []byte, p parts, err error) {
	format, field := field[0], field[1:]
	if format&storedChecked != 0 {
		if len(field) < checkedLen {
			return nil, p, errDamaged
		}
		format &^= storedChecked
		s.CheckedAt, field = session.Time(binary.BigEndian.Uint64(bytesOf(field[:checkedLen]))), field[checkedLen:]
	}
	if format < storedBare || format > storedForeign {
		return nil, p, fmt.Errorf("the session is stored in format %d, which this program does not know", format)
	}
	start := len(dst)
	dst, rest, ok := packed.AppendCut(dst, field)
	if !ok {
		return nil, p, errDamaged
	}
	p.creator = len(dst) - start
	if format != storedBare {
		if len(rest) < len(s.Token) {
			return nil, p, errDamaged
		}
		rest = rest[copy(s.Token[:], rest):]
		s.TokenForeign = format == storedForeign
	}
	dst, err = appendUnpacked(dst, bytesOf(rest), &p.notes)
	return dst, p, err
}

// refer has s refer to its parts in own, which must not change any more.
func (p *parts) refer(s *session.Stored, own []byte) error {
	s.Creator = textIn(own[:p.creator])
	s.Doc = own[p.creator:]
	return factsOf(s.Doc, &p.notes, &s.Facts)
}

// bytesOf returns the bytes of text, which nobody may write to.
func bytesOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// readFresh returns what is stored, due or not, deleted by this process or not,
// with Version and EntryTag, and nil if nothing is.
func (s *Store) readFresh(ctx context.Context, id session.ID) (*session.Stored, error) {
	found, unreadable, err := readAllFresh(ctx, s.rdb, s.keys, []session.ID{id})
	if err = cmp.Or(err, unreadable); err != nil {
		return nil, unavailable(err)
	}
	return found[0], nil
}

// readAllFresh returns what is stored under each ID, with Version and
// EntryTag, in one round trip. The caller asks s.remembered. A session that cannot be read, because it is
// damaged or of a later program, keeps no other from being read: it is nil, and
// unreadable says which it is, of several the first.
func readAllFresh(ctx context.Context, rdb redis.UniversalClient, space *keys.Space, ids []session.ID) (found []*session.Stored, unreadable, err error) {
	replies := make([]*redis.SliceCmd, len(ids))
	_, unsent := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each reply has its error
		for i, id := range ids {
			replies[i] = pipe.HMGet(ctx, space.Session(id), fieldDoc, fieldVersion, fieldTag)
		}
		return nil
	})
	found = make([]*session.Stored, len(ids))
	for i, reply := range replies {
		values, err := repliesTo(reply, unsent)
		if err != nil {
			return nil, nil, err
		}
		stored, err := storedOf(textOf(values[0]))
		switch {
		case err != nil:
			unreadable = cmp.Or(unreadable, fmt.Errorf("session %s: %w: %w", ids[i], ErrUnreadable, err))
		case stored != nil:
			stored.Version, stored.EntryTag = textOf(values[1]), textOf(values[2])
			found[i] = stored
		}
	}
	return found, unreadable, nil
}

// Standing is what Redis has under a session's ID: the session, and what a deletion has left.
type Standing struct {
	// Stored is due or not, with Version and EntryTag; nil if nothing is stored that can be read.
	Stored *session.Stored
	// Unreadable says why what is stored cannot be read; nil if it can, or nothing is there.
	Unreadable error
	// Tombstone is the text of the tombstone, "" if there is none. It is no older than Stored: of a
	// session that is deleted meanwhile both may be there, never a session without the tombstone that
	// it came after.
	Tombstone string
}

// ReadStandings reads what stands under each ID, in one round trip. It only reads, and needs no Store.
func ReadStandings(ctx context.Context, rdb redis.UniversalClient, space *keys.Space, ids []session.ID) ([]Standing, error) {
	fields, tombstones := make([]*redis.SliceCmd, len(ids)), make([]*redis.StringCmd, len(ids))
	_, unsent := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each reply has its error
		for i, id := range ids { // both are on one server, which answers them in this order
			fields[i] = pipe.HMGet(ctx, space.Session(id), fieldDoc, fieldVersion, fieldTag)
			tombstones[i] = pipe.Get(ctx, space.Tombstone(id))
		}
		return nil
	})
	found := make([]Standing, len(ids))
	for i := range ids {
		at := &found[i]
		values, err := repliesTo(fields[i], unsent)
		switch {
		case redis.HasErrorPrefix(err, "WRONGTYPE"):
			at.Unreadable = errors.New("its key has another type")
		case err != nil:
			return nil, unavailable(err)
		default:
			if at.Stored, err = storedOf(textOf(values[0])); err != nil {
				at.Stored, at.Unreadable = nil, err
			} else if at.Stored != nil {
				at.Stored.Version, at.Stored.EntryTag = textOf(values[1]), textOf(values[2])
			}
		}
		if at.Tombstone, err = tombstones[i].Result(); err != nil && !errors.Is(err, redis.Nil) {
			return nil, unavailable(err)
		}
	}
	return found, nil
}

// repliesTo returns the values that an HMGET of a pipeline has read, or why there
// are none. unsent is the pipeline's error: where Redis refuses a new connection,
// the client tells it, and no command has it.
func repliesTo(cmd *redis.SliceCmd, unsent error) ([]any, error) {
	values, err := cmd.Result()
	if err == nil && len(values) == 0 {
		err = unsent
	}
	return values, err
}

func textOf(value any) string {
	text, _ := value.(string)
	return text
}
