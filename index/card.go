package index

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/packed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Card is what the catalogue keeps of a session: enough to rule a candidate
// out without its document, and to name every other entry. A stored session
// has exactly one card, and a card's entries in its shard come and go with it. (I5)
type Card struct {
	ID       session.ID
	Creation session.Time
	UserID   string
	AgentID  string
	Creator  string
	// Token is the hash of a token of somebody else's making, zero otherwise.
	Token session.TokenHash
	// Tag marks the session's entries in other shards; "" with one shard. The
	// write that adds entries draws it, so that removing the entries of one
	// version can never take those of another.
	Tag string
}

// CardOf returns the card of a stored session.
func CardOf(s *session.Stored) Card {
	c := Card{ID: s.ID, Creation: s.Creation, UserID: s.UserID, AgentID: s.AgentID, Creator: s.Creator, Tag: s.EntryTag}
	if s.TokenForeign {
		c.Token = s.Token
	}
	return c
}

// Facts returns what the card knows of its session, whose expiration is its score.
func (c *Card) Facts(expiration session.Time) session.Facts {
	return session.Facts{ID: c.ID, Creation: c.Creation, Expiration: expiration, UserID: c.UserID, AgentID: c.AgentID, Creator: c.Creator}
}

// Member is what stands for the session in lists of other shards, and with one
// shard in all lists.
func (c *Card) Member() string {
	if c.Tag == "" {
		return string(c.ID)
	}
	return string(c.ID) + "\x00" + c.Tag
}

// MemberID returns the session ID of a list's member.
func MemberID(member string) session.ID {
	for i := range len(member) {
		if member[i] == 0 {
			return session.ID(member[:i])
		}
	}
	return session.ID(member)
}

// CreatorList returns the key of the creator's list in the session's shard, "" without a creator.
func (c *Card) CreatorList(k *keys.Space) string {
	if c.Creator == "" {
		return ""
	}
	return k.Creator(k.ShardOf(c.ID), c.Creator)
}

// NamedLists returns the keys of the lists that are in the shard of what they
// are named after: user, user agent, token.
func (c *Card) NamedLists(k *keys.Space) []string {
	lists := make([]string, 0, 3)
	if c.UserID != "" {
		lists = append(lists, k.User(c.UserID))
	}
	if c.AgentID != "" {
		lists = append(lists, k.Agent(c.AgentID))
	}
	if !c.Token.IsZero() {
		lists = append(lists, k.Token(c.Token))
	}
	return lists
}

// A packed card is a byte of flags; the ID, the creation date, user, agent and
// creator, each in its usual form if its flag says so and as a packed text
// (a date: in 8 bytes) if not; the token's 32 bytes or none; and the tag. The
// usual session's card has 43 bytes, which fit 48 bytes of Redis' memory.
const (
	cardFormat  = 0x20 // in every card
	cardToken   = 0x01 // there is a token
	cardOwnID   = 0x02 // an ID of ours, 8 bytes; the creation date within its millisecond, 2 bytes
	cardUser    = 0x04 // the user is a number, 8 bytes
	cardAgent   = 0x08 // the agent is 32 hexadecimal digits, 16 bytes
	cardCreator = 0x10 // the creator is a number, 8 bytes
	cardFlags   = 0x1f
)

var errBadCard = errors.New("not a card that this version can read")

// Pack returns c as the catalogue's member. Equal cards have equal members.
func (c *Card) Pack() string {
	b := make([]byte, 1, 128)
	b[0] = cardFormat
	if n, ok := packed.Number(string(c.ID)); ok && c.Creation >= 0 && n>>session.RandomIDBits == uint64(c.Creation/1000) {
		b[0] |= cardOwnID
		b = binary.BigEndian.AppendUint64(b, n)
		b = binary.BigEndian.AppendUint16(b, uint16(c.Creation%1000))
	} else {
		b = packed.Append(b, string(c.ID))
		b = binary.BigEndian.AppendUint64(b, uint64(c.Creation))
	}
	b = appendNumber(b, cardUser, c.UserID)
	if len(c.AgentID) == 32 && packed.IsHex(c.AgentID) {
		b[0] |= cardAgent
		b = packed.AppendHex(b, c.AgentID)
	} else {
		b = packed.Append(b, c.AgentID)
	}
	b = appendNumber(b, cardCreator, c.Creator)
	if !c.Token.IsZero() {
		b[0] |= cardToken
		b = append(b, c.Token[:]...)
	}
	return string(append(b, c.Tag...))
}

// appendNumber appends text; the flag says that it is a number.
func appendNumber(b []byte, flag byte, text string) []byte {
	n, ok := packed.Number(text)
	if !ok {
		return packed.Append(b, text)
	}
	b[0] |= flag
	return binary.BigEndian.AppendUint64(b, n)
}

// UnpackCard reads what Pack wrote.
func UnpackCard(s string) (Card, error) {
	var c Card
	if s == "" || s[0]&^cardFlags != cardFormat {
		return c, errBadCard
	}
	r := cardReader{flags: s[0], rest: s[1:]}
	if r.flags&cardOwnID != 0 {
		n := r.number(8)
		c.ID = session.ID(strconv.FormatUint(n, 10))
		c.Creation = session.Time(n>>session.RandomIDBits*1000 + r.number(2))
	} else {
		c.ID = session.ID(r.text())
		c.Creation = session.Time(r.number(8))
	}
	c.UserID = r.numberOrText(cardUser)
	if r.flags&cardAgent != 0 {
		c.AgentID = packed.Hex(r.take(16))
	} else {
		c.AgentID = r.text()
	}
	c.Creator = r.numberOrText(cardCreator)
	if r.flags&cardToken != 0 {
		copy(c.Token[:], r.take(len(c.Token)))
	}
	if r.bad {
		return Card{}, errBadCard
	}
	c.Tag = r.rest
	return c, nil
}

// cardReader takes a card's fields from its beginning.
type cardReader struct {
	flags byte
	rest  string
	bad   bool
}

func (r *cardReader) take(n int) string {
	if len(r.rest) < n {
		r.bad, r.rest = true, ""
		return ""
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

// number takes a big-endian number of size bytes.
func (r *cardReader) number(size int) (n uint64) {
	taken := r.take(size)
	for i := range len(taken) {
		n = n<<8 | uint64(taken[i])
	}
	return n
}

func (r *cardReader) text() string {
	text, rest, ok := packed.Cut(r.rest)
	r.bad = r.bad || !ok
	r.rest = rest
	return text
}

func (r *cardReader) numberOrText(flag byte) string {
	if r.flags&flag == 0 {
		return r.text()
	}
	return strconv.FormatUint(r.number(8), 10)
}
