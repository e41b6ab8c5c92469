package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/redis/go-redis/v9"
)

// Rights are the commands that an examination needs in addition to those of serve.
func Rights() []acl.Right {
	return []acl.Right{
		{Command: "info", When: acl.Doctor, Why: "version, role, memory, persistence, replicas"},
		{Command: "role", When: acl.Doctor, Why: "is it a master"},
		{Command: "config|get", Args: "timeout", When: acl.Doctor, Why: "settings that INFO does not tell"},
		{Command: "client|list", When: acl.Doctor, Why: "who else is connected"},
		{Command: "cluster|info", When: acl.Doctor | acl.Cluster, Why: "is every slot served"},
	}
}

// checkRights asks which rights the user lacks. Nothing is run for it.
func (e *examination) checkRights(ctx context.Context, n *node) (found []Finding) {
	user := e.user()
	lacks, err := acl.Check(ctx, n.client, e.space, e.Rights)
	if err != nil {
		return []Finding{unseen("what user "+user+" may do", err)}
	}
	var names, rules, unknown []string
	status := Warn
	for _, l := range lacks.All {
		if l.Unknown {
			unknown = append(unknown, l.Name)
			continue
		}
		names, rules = append(names, l.Name), append(rules, l.Rule)
		if !l.Optional {
			status = Fail
		}
	}
	if len(unknown) > 0 {
		found = append(found, fail("the server does not know "+strings.Join(unknown, ", "),
			remedy("use a Redis or Valkey without rename-command; a proxy, or a clone that lacks it, will not do")))
	}
	if len(names) > 0 {
		text := fmt.Sprintf("user %s may not use %s", user, strings.Join(names, ", "))
		if lacks.Partly {
			text += "; what else is missing can be seen only with it"
		}
		found = append(found, advise(status, text, []advice{
			remedy("ACL SETUSER %s %s", user, strings.Join(rules, " ")),
			remedy("then ACL SAVE, or the same in the users file; `cloakroom acl` prints the whole rule"),
		}))
	}
	if len(found) == 0 {
		used := map[string]bool{}
		for _, r := range e.Rights {
			used[r.Command] = true
		}
		found = append(found, ok("user %s may use all %d commands on all keys under %s", user, len(used), e.space.Prefix()))
	}
	return found
}

// isReply says whether an error is an answer of Redis.
func isReply(err error) bool {
	_, answered := err.(redis.Error) //nolint:errorlint // go-redis hands them on as they are
	return answered
}
