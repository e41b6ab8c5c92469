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

// Score returns t as a sorted set's score: itself, or +inf from 2255 on.
func Score(t session.Time) string {
	switch {
	case t >= session.MaxScore:
		return "+inf"
	case t <= -session.MaxScore:
		return "-inf"
	}
	return strconv.FormatInt(int64(t), 10)
}

func timeOfScore(score float64) session.Time {
	if score >= float64(session.MaxScore) {
		return session.Never
	}
	return session.Time(score)
}

// A packed card is a format byte, the creation date as 8 bytes, then ID, user,
// agent and creator as packed strings, the token's 32 bytes or none, and the tag.
const (
	cardPlain = 1 // no token
	cardToken = 2 // with token
)

var errBadCard = errors.New("not a card that this version can read")

// Pack returns c as the catalogue's member.
func (c *Card) Pack() string {
	b := make([]byte, 0, 128)
	format := byte(cardPlain)
	if !c.Token.IsZero() {
		format = cardToken
	}
	b = append(b, format)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Creation))
	b = packed.Append(b, string(c.ID))
	b = packed.Append(b, c.UserID)
	b = packed.Append(b, c.AgentID)
	b = packed.Append(b, c.Creator)
	if format == cardToken {
		b = append(b, c.Token[:]...)
	}
	return string(append(b, c.Tag...))
}

// UnpackCard reads what Pack wrote.
func UnpackCard(s string) (Card, error) {
	var c Card
	if len(s) < 9 || (s[0] != cardPlain && s[0] != cardToken) {
		return c, errBadCard
	}
	c.Creation = session.Time(binary.BigEndian.Uint64([]byte(s[1:9])))
	rest := s[9:]
	var id string
	for _, field := range []*string{&id, &c.UserID, &c.AgentID, &c.Creator} {
		var ok bool
		if *field, rest, ok = packed.Cut(rest); !ok {
			return c, errBadCard
		}
	}
	c.ID = session.ID(id)
	if s[0] == cardToken {
		if len(rest) < len(c.Token) {
			return c, errBadCard
		}
		rest = rest[copy(c.Token[:], rest):]
	}
	c.Tag = rest
	return c, nil
}
