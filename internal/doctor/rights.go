package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// Rights are the commands that an examination needs besides those of serve.
func Rights() []acl.Right {
	return []acl.Right{
		{Command: "info", When: acl.Doctor, Why: "version, role, memory, persistence, replicas"},
		{Command: "role", When: acl.Doctor, Why: "is it a master"},
		{Command: "config|get", Args: "timeout", When: acl.Doctor, Why: "settings that INFO does not tell"},
		{Command: "client|list", When: acl.Doctor, Why: "who else is connected"},
		{Command: "cluster|info", When: acl.Doctor | acl.Cluster, Why: "is every slot served"},
	}
}

// tried is one right, on one kind of key.
type tried struct {
	right *acl.Right
	kind  byte // 0 without a key
	cmd   *redis.Cmd
}

// checkRights tries every command on every kind of key that it is used on. All
// are queued in a transaction that is never run: Redis asks its ACL when it
// queues, so that nothing happens, whatever the answer.
func (e *examination) checkRights(ctx context.Context, n *node) []Finding {
	user := e.user()
	o := *n.client.Options()
	client := redis.NewClient(&o) // its connection is closed in the middle of the transaction
	defer client.Close()
	conn := client.Conn()
	defer conn.Close()
	if err := conn.Do(ctx, "multi").Err(); err != nil {
		if redis.HasErrorPrefix(err, "NOPERM") {
			return []Finding{fail("user "+user+" may not MULTI; what else is missing can be seen only with it", todo("ACL SETUSER %s +multi; `cloakroom acl` prints all that is needed", user))}
		}
		return []Finding{unseen("what user "+user+" may do", err)}
	}
	pipe := conn.Pipeline()
	all := e.try(ctx, pipe)
	_, _ = pipe.Exec(ctx) // each has its own error
	return judge(all, e.Rights, e.space, user)
}

// try queues all rights.
func (e *examination) try(ctx context.Context, pipe redis.Pipeliner) (all []tried) {
	for i := range e.Rights {
		r := &e.Rights[i]
		if r.Keys == "" {
			all = append(all, tried{r, 0, pipe.Do(ctx, r.Words("")...)})
		}
		for _, kind := range []byte(r.Keys) {
			all = append(all, tried{r, kind, pipe.Do(ctx, r.Words(e.space.Nobodys(kind, 0, "doctor-"+rand.Text()))...)})
		}
	}
	return all
}

// judge tells what the answers mean. Whatever is no refusal was let through:
// MOVED, OOM and their like come after the ACL.
func judge(all []tried, needed []acl.Right, space *keys.Space, user string) []Finding {
	commands, unknown := map[string]bool{}, map[string]bool{}
	kinds := map[byte]bool{}
	var broken error
	for _, t := range all {
		err := t.cmd.Err()
		switch {
		case err == nil:
		case redis.HasErrorPrefix(err, "NOPERM") && (t.kind == 0 || strings.Contains(err.Error(), " run ")):
			commands[t.right.Command] = true
		case redis.HasErrorPrefix(err, "NOPERM"):
			kinds[t.kind] = true
		case strings.Contains(err.Error(), "unknown command") || strings.Contains(err.Error(), "unknown subcommand"):
			unknown[t.right.Command] = true
		case !isReply(err):
			broken = err
		}
	}
	var found []Finding
	if broken != nil {
		found = append(found, unseen("what user "+user+" may do", broken))
	}
	if len(unknown) > 0 {
		found = append(found, fail("the server does not know "+strings.Join(slices.Sorted(maps.Keys(unknown)), ", "),
			todo("use a Redis or Valkey without rename-command; a proxy, or a clone that lacks it, will not do")))
	}
	if len(commands)+len(kinds) > 0 {
		found = append(found, missing(commands, kinds, needed, space, user))
	}
	if len(found) == 0 {
		used := map[string]bool{}
		for _, r := range needed {
			used[r.Command] = true
		}
		found = append(found, ok("user %s may use all %d commands on all keys under %s", user, len(used), space.Prefix()))
	}
	return found
}

// missing names every right that is missing.
func missing(commands map[string]bool, kinds map[byte]bool, needed []acl.Right, space *keys.Space, user string) Finding {
	var names, rules []string
	for _, c := range slices.Sorted(maps.Keys(commands)) {
		names, rules = append(names, c), append(rules, "+"+c)
	}
	access := map[byte]acl.Access{}
	for _, r := range needed {
		for _, kind := range []byte(r.Keys) {
			access[kind] |= r.Access
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		pattern := access[kind].Pattern(space.Pattern(kind))
		names, rules = append(names, "keys "+space.Pattern(kind)), append(rules, pattern)
	}
	return fail(fmt.Sprintf("user %s may not use %s", user, strings.Join(names, ", ")),
		todo("ACL SETUSER %s %s", user, strings.Join(rules, " ")),
		todo("then ACL SAVE, or the same in the users file; `cloakroom acl` prints the whole rule"))
}

// isReply says whether an error is an answer of Redis.
func isReply(err error) bool {
	_, answered := err.(redis.Error) //nolint:errorlint // go-redis hands them on as they are
	return answered
}
