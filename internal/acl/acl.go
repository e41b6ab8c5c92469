// Package acl says what the Redis user of Cloakroom must be allowed: each package
// that sends commands has a table of them (Right), and the rule of an ACL follows
// from the tables.
package acl

import (
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
)

// Access is what a command does with a key, as Redis sees it.
type Access uint8

// Looks asks whether a key is there, or how long its list is: for that Redis asks
// for the right to read or to write the key, either of them.
const (
	Looks  Access = 0
	Reads  Access = 1
	Writes Access = 2
	Both          = Reads | Writes
)

// When says in which deployments a right is needed.
type When uint16

// A right with several of them is needed where all of them hold.
const (
	Always   When = 0
	Near     When = 1 << iota // with a near cache
	Database                  // in a database other than 0
	Cluster                   // on a Redis Cluster
	Replicas                  // with reads from replicas
	Doctor                    // by cloakroom doctor
	Audit                     // by cloakroom audit
	Waits                     // where deletions wait for replicas
	JWTs                      // where sessions have JWTs
	Upstream                  // where the sessions are copies of a ZITADEL's
)

// Right is one command that is sent, or that a script calls: scripts run with
// the rights of the user who runs them.
type Right struct {
	// Command is its name as ACLs have it, "hget" or "client|tracking".
	Command string
	// Args are example arguments, with blanks between. KEY is a key. They do no
	// harm: to a key that is not there they do nothing, where that can be.
	Args string
	// Keys are the kinds of keys that it is used on, letters of keys.Kinds; ""
	// if it takes no key.
	Keys   string
	Access Access
	When   When
	// Optional says that without it every request is still answered, and rightly:
	// only what Why names is missing.
	Optional bool
	// Why says what it is for.
	Why string
}

// Words returns the example as a command, with this key.
func (r *Right) Words(key string) []any {
	var words []any
	for _, w := range append(strings.Split(r.Command, "|"), strings.Fields(r.Args)...) {
		if w == "KEY" {
			w = key
		}
		words = append(words, w)
	}
	return words
}

// Needed returns the rights that are needed in a deployment.
func Needed(rights []Right, in When) []Right {
	return slices.DeleteFunc(slices.Clone(rights), func(r Right) bool { return r.When&in != r.When })
}

// Rule is what an ACL allows: these commands, on these keys.
type Rule struct {
	Commands []string // sorted
	Keys     []string // "%RW~cr:s:*"
}

// RuleOf returns the least rule that gives rights on the keys of a space.
func RuleOf(space *keys.Space, rights []Right) Rule {
	var r Rule
	access := map[rune]Access{}
	for _, right := range rights {
		r.Commands = append(r.Commands, right.Command)
		for _, kind := range right.Keys {
			access[kind] |= right.Access
		}
	}
	slices.Sort(r.Commands)
	r.Commands = slices.Compact(r.Commands)
	for _, kind := range keys.Kinds {
		if a, used := access[kind]; used {
			r.Keys = append(r.Keys, a.Pattern(space.Pattern(byte(kind))))
		}
	}
	return r
}

// Pattern returns a key pattern with the letters of its access. To look, either
// is enough, and reading is less.
func (a Access) Pattern(pattern string) string {
	switch a {
	case Writes:
		return "%W~" + pattern
	case Both:
		return "%RW~" + pattern
	}
	return "%R~" + pattern
}

// String returns the rule as ACL SETUSER and files of ACLs take it. It allows
// no channel.
func (r *Rule) String() string {
	words := append([]string{"resetchannels"}, r.Keys...)
	words = append(words, "-@all")
	for _, c := range r.Commands {
		words = append(words, "+"+c)
	}
	return strings.Join(words, " ")
}
