package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/redis/go-redis/v9"
)

// advice is a step of what to do. Only remedy and setting make one, with a text that
// stands in the code: a test finds each of them there, and has one row for each
// that follows it.
type advice struct{ text string }

func remedy(format string, args ...any) advice { return advice{fmt.Sprintf(format, args...)} }

// setting says how to set something, now and for good.
func setting(name, value string) advice {
	return advice{fmt.Sprintf("CONFIG SET %s %s, and in redis.conf: %s %s", name, value, name, value)}
}

// unseen is about what could not be seen.
func unseen(what string, err error) Finding {
	found := "could not see " + what + ": " + strings.TrimPrefix(plain(err), "NOPERM ")
	switch {
	case redis.HasErrorPrefix(err, "NOPERM") && slices.ContainsFunc(Rights(), func(r acl.Right) bool { return strings.Contains(err.Error(), "'"+r.Command+"'") }):
		return advise(Skip, found, []advice{remedy("`cloakroom acl --doctor` prints an ACL with which it can be seen; or look as a user with more rights")})
	case redis.HasErrorPrefix(err, "NOPERM"):
		return advise(Skip, found, []advice{remedy("what this user lacks is named under rights")})
	}
	if check := namedUnder(err); check != "" {
		return advise(Skip, found, []advice{remedy("mend what is named under %s, and look again", check)})
	}
	if said, fix := standing(err); said != "" {
		return advise(Skip, "could not see "+what+": "+said, fix)
	}
	return advise(Skip, found, nil)
}

// namedUnder is the check that looks at why Redis refuses some commands, "" if
// err is no such refusal.
func namedUnder(err error) string {
	for prefix, check := range map[string]string{
		"OOM": "memory", "MISCONF": "persistence", "NOREPLICAS": "replicas", "READONLY": "server", "MASTERDOWN": "server", "CLUSTERDOWN": "cluster",
	} {
		if strings.HasPrefix(err.Error(), prefix+" ") {
			return check
		}
	}
	return ""
}

// standing is about a reply that Redis gives to everything, or to a new client,
// as long as something lasts; "" if err is none.
func standing(err error) (found string, fix []advice) {
	switch {
	case strings.HasPrefix(err.Error(), "LOADING "):
		return "Redis is loading its data", []advice{remedy("wait; cloakroom serve waits as well")}
	case strings.HasPrefix(err.Error(), "BUSY "):
		return "a script of somebody's hangs, and Redis answers nobody: " + plain(err),
			[]advice{remedy("SCRIPT KILL ends it, if it has written nothing; if it has, only SHUTDOWN NOSAVE does, which loses what was not saved")}
	case strings.Contains(err.Error(), "max number of clients"):
		return "Redis has as many clients as its maxclients allows, and takes no more: " + plain(err),
			[]advice{
				remedy("end a client that has too many connections, so that you get in; then raise it: CONFIG SET maxclients NUMBER, and in redis.conf: maxclients NUMBER"),
				remedy("CLIENT LIST shows who holds connections; those of cloakroom are bounded by pool_size in --redis-url"),
			}
	case strings.HasPrefix(err.Error(), "DENIED "):
		return "Redis is in protected mode, and takes connections of its own machine only",
			[]advice{remedy("give it a user with a password: `cloakroom acl`, or requirepass in redis.conf")}
	}
	return "", nil
}
