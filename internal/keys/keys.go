// Package keys spells every Redis key of Cloakroom, and no other package does.
//
// Session keys carry the configured prefix, one letter for what they hold, and
// a shard tag in braces, which is all that Redis Cluster hashes:
//
//	cr:s:{tag}:<session ID>      the session, a hash
//	cr:t:{tag}                   all sessions of the shard, by creation
//	cr:c:{tag}:<creator>         sessions of a creator, by creation
//	cr:x:{tag}                   the catalogue: cards, by expiration
//	cr:u:{tag}:<user ID>         sessions of a user, by creation
//	cr:a:{tag}:<fingerprint ID>  sessions of a user agent, by creation
//	cr:k:{tag}:<token hash>      sessions with a token of somebody else's making
//	cr:j:{tag}:<token hash>      a token that counts once, and was used
//	cr:d:{tag}:<session ID>      tombstone
//	cr:e:{tag}:<end name>        what refuses JWTs of a session, or of a user
//	cr:q:{tag}:<session ID>      marks a question to the system of record about a session that is not stored
//	cr:o:{tag}:<OIDC session>    which session of the system of record that is part of
//	cr:f:{tag}:<name>            news of the system of record, and who asks for them
//	cr:p:{tag}                   writes under way across shards
//	cr:n:{tag}                   never there: who answers for it has the shard
//
// Everything of one session is in the shard of its ID, but its u, a and k
// entries, which are in the shard of what they are named after.
package keys

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// MaxShards is the largest number of shards.
const MaxShards = 128

// DefaultPrefix is the prefix of all keys unless another is configured.
const DefaultPrefix = "cr:"

// Space spells the keys of one deployment. It is immutable.
type Space struct {
	prefix string
	tags   []string // "{ab}", by shard
}

// NewSpace returns the keys under prefix in the given number of shards, which
// must be a power of two up to MaxShards. Braces in the prefix are refused,
// because Redis Cluster would hash what they enclose.
func NewSpace(prefix string, shards int) (*Space, error) {
	if strings.ContainsAny(prefix, "{}") {
		return nil, fmt.Errorf("the key prefix %q must not contain braces", prefix)
	}
	if shards < 1 || shards > MaxShards || shards&(shards-1) != 0 {
		return nil, fmt.Errorf("the number of shards must be a power of two from 1 to %d, not %d", MaxShards, shards)
	}
	s := &Space{prefix: prefix, tags: make([]string, shards)}
	for k := range s.tags {
		j := (2*k + 1) * 128 / shards
		s.tags[k] = "{" + tags[j*tagLen:(j+1)*tagLen] + "}"
	}
	return s, nil
}

// Shards returns the number of shards, P.
func (s *Space) Shards() int { return len(s.tags) }

// Prefix returns what every key begins with.
func (s *Space) Prefix() string { return s.prefix }

// Meta is the key of the deployment's settings.
func (s *Space) Meta() string { return s.prefix + "meta" }

// ShardOfKey returns the shard that a key is in, -1 if it is none of ours.
func (s *Space) ShardOfKey(key string) int {
	_, rest, _ := strings.Cut(key, "{")
	tag, _, ok := strings.Cut(rest, "}")
	if !ok {
		return -1
	}
	return slices.IndexFunc(s.tags, func(t string) bool { return t[1:len(t)-1] == tag })
}

// ShardOf returns the shard of a session.
func (s *Space) ShardOf(id session.ID) int { return s.shard(string(id)) }

// Session is the key of a session's hash.
func (s *Space) Session(id session.ID) string { return s.named("s:", string(id)) }

// Tombstone is the key that a deleted session leaves behind.
func (s *Space) Tombstone(id session.ID) string { return s.named("d:", string(id)) }

// End is what refuses JWTs of a session, in its shard, or of a user.
func (s *Space) End(name session.EndName) string { return s.named("e:", string(name)) }

// Question marks a question to the system of record about a session that is not stored: whose
// answer comes when it has another mark is outdated.
func (s *Space) Question(id session.ID) string { return s.named("q:", string(id)) }

// Tie is which session an OIDC session of the system of record is part of.
func (s *Space) Tie(oidcSession string) string { return s.named("o:", oidcSession) }

// News is what is known of the news of the system of record.
func (s *Space) News() string { return s.named("f:", "news") }

// NewsLease is who asks it for news.
func (s *Space) NewsLease() string { return s.named("f:", "lease") }

// User is the list of a user's sessions.
func (s *Space) User(id string) string { return s.named("u:", id) }

// Agent is the list of a user agent's sessions.
func (s *Space) Agent(fingerprint string) string { return s.named("a:", fingerprint) }

// Token is the list of the sessions with a token of somebody else's making.
func (s *Space) Token(h session.TokenHash) string { return s.named("k:", string(h[:])) }

// Used is there while a token that counts once must not come again.
func (s *Space) Used(h session.TokenHash) string { return s.named("j:", string(h[:])) }

// Created is the list of all sessions of a shard.
func (s *Space) Created(shard int) string { return s.prefix + "t:" + s.tags[shard] }

// Creator is the list of a creator's sessions in a shard.
func (s *Space) Creator(shard int, creator string) string {
	return s.prefix + "c:" + s.tags[shard] + ":" + creator
}

// Catalogue is the list of all cards of a shard.
func (s *Space) Catalogue(shard int) string { return s.prefix + "x:" + s.tags[shard] }

// Pending is the list of a shard's writes that touch other shards and are under way.
func (s *Space) Pending(shard int) string { return s.prefix + "p:" + s.tags[shard] }

// Never is a key of a shard that nothing is ever stored under. The master that
// says so has the shard, and gives none of it away: one that does has it no
// longer for keys that it does not hold.
func (s *Space) Never(shard int) string { return s.prefix + "n:" + s.tags[shard] }

// The kinds of keys that near caches follow.
const (
	KindSession = 's'
	KindUser    = 'u'
	KindToken   = 'k'
	KindEnd     = 'e'
)

// Followed returns the prefixes of the keys that near caches follow.
func (s *Space) Followed() []string {
	return []string{s.prefix + "s:", s.prefix + "u:", s.prefix + "k:", s.prefix + "e:"}
}

// Moved returns the prefixes of the keys whose changes an export follows.
func (s *Space) Moved() []string {
	return []string{s.prefix + "s:", s.prefix + "d:", s.prefix + "e:"}
}

// Follows says whether near caches follow a key.
func (s *Space) Follows(key string) bool {
	rest, ok := strings.CutPrefix(key, s.prefix)
	return ok && len(rest) > 1 && rest[1] == ':' && followed(rest[0])
}

func followed(kind byte) bool {
	return kind == KindSession || kind == KindUser || kind == KindToken || kind == KindEnd
}

// Parse returns what a key that near caches follow is about: a session ID, a
// user ID, the bytes of a token's hash, or the name of an end. ok is false for any other key.
func (s *Space) Parse(key []byte) (kind byte, name string, ok bool) {
	rest, ok := strings.CutPrefix(string(key), s.prefix)
	if !ok || len(rest) < 3 || rest[1] != ':' || rest[2] != '{' {
		return 0, "", false
	}
	kind = rest[0]
	_, name, ok = strings.Cut(rest[3:], "}:")
	return kind, name, ok && followed(kind)
}

// The kinds of keys other than those that near caches follow, as Spelled returns
// them.
const (
	KindCreated   = 't'
	KindCreator   = 'c'
	KindCatalogue = 'x'
	KindAgent     = 'a'
	KindPending   = 'p'
	KindTombstone = 'd'
)

// Spelled takes a key apart that this Space spells: its kind, the shard that it
// is in, and what it is named after, "" for a shard's own. ours says that the
// key is of a kind of ours; ok, that it is spelled as this Space does, so that
// somebody looks for it there.
func (s *Space) Spelled(key string) (kind byte, shard int, name string, ours, ok bool) {
	rest, ok := strings.CutPrefix(key, s.prefix)
	if !ok || len(rest) < 4 || rest[1] != ':' || rest[2] != '{' || !strings.ContainsRune("stcxuakjdeqfop", rune(rest[0])) {
		return 0, 0, "", false, false
	}
	kind = rest[0]
	tag, name, hasName := strings.Cut(rest[2:], "}:")
	if hasName {
		tag += "}"
	}
	shard = slices.Index(s.tags, tag)
	switch kind {
	case KindCreated, KindCatalogue, KindPending:
		ok = shard >= 0 && !hasName
	case KindCreator:
		ok = shard >= 0 && hasName
	default:
		ok = shard >= 0 && hasName && shard == s.shard(name)
	}
	return kind, shard, name, true, ok
}

func (s *Space) named(kind, name string) string {
	return s.prefix + kind + s.tags[s.shard(name)] + ":" + name
}

func (s *Space) shard(name string) int {
	if len(s.tags) == 1 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	sum := h.Sum64()
	return int((sum ^ sum>>32) & uint64(len(s.tags)-1))
}
