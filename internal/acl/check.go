package acl

import (
	"context"
	_ "embed"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/rights.lua
var rightsLua string

var rightsScript = redis.NewScript(rightsLua)

// ErrUntold says that a server is a look-alike that cannot tell what its users
// may do.
var ErrUntold = errors.New("the server has no redis.acl_check_cmd")

// Lack is one thing that a Redis user may not do.
type Lack struct {
	// Name says it for people: "zadd", or "keys cr:s:*".
	Name string
	// Rule is what an ACL that allows it has: "+zadd", or "%RW~cr:s:*".
	Rule string
	// Optional says that it is needed only for rights that are Optional.
	Optional bool
	// Unknown says that the server does not know the command, for any user.
	Unknown bool
}

// Lacks is what a user lacks: commands by name, then kinds of keys.
type Lacks struct {
	All []Lack
	// Partly says that there may be more, which only a user that has these can see.
	Partly bool
}

// pair is a command on one kind of key, 0 without a key.
type pair struct {
	command string
	kind    byte
}

// Check asks one server, in one round trip, which of some rights the user of c
// lacks. Nothing is changed, not even the server's log of refusals if nothing is
// missing, so that it can be asked again and again. Its error says that it could
// not be seen.
func Check(ctx context.Context, c redis.Scripter, space *keys.Space, rights []Right) (Lacks, error) {
	pairs, args := examples(space, rights)
	reply, err := rightsScript.EvalSha(ctx, c, nil, args...).Slice()
	closed := map[pair]bool{}
	if Forbidden(err) {
		closed[pair{"evalsha", 0}] = true
	}
	if err != nil && (len(closed) > 0 || redis.HasErrorPrefix(err, "NOSCRIPT")) {
		if reply, err = rightsScript.Eval(ctx, c, nil, args...).Slice(); Forbidden(err) {
			closed[pair{"eval", 0}] = true
			return lacks(space, rights, closed, nil, true), nil
		}
	}
	if err != nil {
		return Lacks{}, err
	}
	refused, unknown, err := judge(pairs, reply)
	if err != nil {
		return Lacks{}, err
	}
	return lacks(space, rights, refused, unknown, false), nil
}

// Forbidden says that Redis refused a command to its user, or has none of that
// name, as after rename-command.
func Forbidden(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "unknown command")
}

// examples returns each command on each kind of key, and all of them as
// rights.lua takes them.
func examples(space *keys.Space, rights []Right) (pairs []pair, args []any) {
	seen := map[pair]bool{}
	for i := range rights {
		r := &rights[i]
		kinds := []byte(r.Keys)
		if len(kinds) == 0 {
			kinds = []byte{0}
		}
		for _, kind := range kinds {
			p := pair{r.Command, kind}
			if seen[p] {
				continue
			}
			seen[p] = true
			key := ""
			if kind != 0 {
				key = space.Nobodys(kind, 0, "rights")
			}
			words := r.Words(key)
			pairs, args = append(pairs, p), append(append(args, len(words)), words...)
		}
	}
	return pairs, args
}

// judge tells from Redis' words whether a command is refused, which is a pair
// without a kind then, or a kind of key, which is one without a command.
func judge(pairs []pair, reply []any) (refused map[pair]bool, unknown map[string]bool, err error) {
	refused, unknown = map[pair]bool{}, map[string]bool{}
	var unsure []pair // commands that scripts may not call: Redis says no more than that
	denied := map[pair]bool{}
	for i := 0; i+1 < len(reply); i += 2 {
		n, isNumber := reply[i].(int64)
		text, isText := reply[i+1].(string)
		if isNumber && n == -1 {
			return nil, nil, ErrUntold
		}
		if !isNumber || !isText || n < 0 || n >= int64(len(pairs)) {
			return nil, nil, errors.New("the answer to which rights are missing cannot be read")
		}
		p := pairs[n]
		denied[p] = true
		switch {
		case text == "":
			unknown[p.command] = true
		case p.kind == 0 || strings.Contains(text, " run "):
			refused[pair{command: p.command}] = true
		case strings.Contains(text, " access "):
			refused[pair{kind: p.kind}] = true
		default:
			unsure = append(unsure, p)
		}
	}
	for _, p := range unsure {
		elsewhere := slices.ContainsFunc(pairs, func(other pair) bool { return other.command == p.command && !denied[other] })
		switch {
		case elsewhere:
			refused[pair{kind: p.kind}] = true
		case !refused[pair{kind: p.kind}]:
			refused[pair{command: p.command}] = true
		}
	}
	return refused, unknown, nil
}

// lacks says it for people.
func lacks(space *keys.Space, rights []Right, refused map[pair]bool, unknown map[string]bool, partly bool) Lacks {
	optional := func(needs func(r *Right) bool) bool {
		return !slices.ContainsFunc(rights, func(r Right) bool { return needs(&r) && !r.Optional })
	}
	l := Lacks{Partly: partly}
	commands := maps.Clone(unknown)
	if commands == nil {
		commands = map[string]bool{}
	}
	var kinds []byte
	for p := range refused {
		if p.kind == 0 {
			commands[p.command] = true
		} else {
			kinds = append(kinds, p.kind)
		}
	}
	for _, c := range slices.Sorted(maps.Keys(commands)) {
		l.All = append(l.All, Lack{
			Name: c, Rule: "+" + c, Unknown: unknown[c],
			Optional: optional(func(r *Right) bool { return r.Command == c }),
		})
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		var access Access
		for i := range rights {
			if strings.IndexByte(rights[i].Keys, kind) >= 0 {
				access |= rights[i].Access
			}
		}
		l.All = append(l.All, Lack{
			Name: "keys " + space.Pattern(kind), Rule: access.Pattern(space.Pattern(kind)),
			Optional: optional(func(r *Right) bool { return strings.IndexByte(r.Keys, kind) >= 0 }),
		})
	}
	return l
}

// Needed returns the names of what cannot be done without.
func (l *Lacks) Needed() (names []string) { return l.names(false) }

// Spare returns the names of what can be done without.
func (l *Lacks) Spare() (names []string) { return l.names(true) }

func (l *Lacks) names(optional bool) (names []string) {
	for _, one := range l.All {
		if one.Optional == optional {
			names = append(names, one.Name)
		}
	}
	return names
}
