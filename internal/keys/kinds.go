package keys

import "strings"

// Kinds are the letters of all kinds of keys, and 'm' for Meta.
const Kinds = "stcxuakjdeqfopnm"

// Pattern returns the pattern, as ACLs of Redis have them, of the keys of one
// kind. What a pattern cannot say literally (spaces, quotes) is any one
// character in it.
func (s *Space) Pattern(kind byte) string {
	var b strings.Builder
	for _, c := range []byte(s.prefix) {
		switch {
		case strings.IndexByte(`*?[]\`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case c <= ' ' || c >= 0x7f || c == '"' || c == '\'':
			b.WriteByte('?')
		default:
			b.WriteByte(c)
		}
	}
	if kind == 'm' {
		return b.String() + "meta"
	}
	return b.String() + string(kind) + ":*"
}

// Nobodys returns a key of one kind in a shard that no session, user or agent
// has, if name is unlike all others'. It is for trying what a Redis allows. Of
// 'm' there is only Meta.
func (s *Space) Nobodys(kind byte, shard int, name string) string {
	if kind == 'm' {
		return s.Meta()
	}
	return s.prefix + string(kind) + ":" + s.tags[shard] + ":/" + name
}
