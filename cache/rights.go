package cache

import (
	"fmt"
	"slices"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/index/audit"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
)

// written are the kinds of keys that put.lua and delete.lua are given.
const written = "stcxuakdp"

// Rights returns the commands that a Store and its clients send, and that the
// scripts call, those of its index and of audits included: one table, which `cloakroom acl`
// prints and `cloakroom doctor` checks. HELLO and AUTH are not in it: Redis lets
// everybody send them.
func Rights() []acl.Right {
	return slices.Concat(index.Rights(), audit.Rights(), []acl.Right{
		{Command: "select", Args: "0", When: acl.Database, Why: "use a database other than 0"},
		{Command: "ping", Why: "is Redis there; proofs that no invalidation was missed"},
		{Command: "time", Why: "follow the store's clock"},

		{Command: "get", Args: "KEY", Keys: "m", Access: acl.Reads, Why: "the number of shards"},
		{Command: "set", Args: "KEY 0 NX XX", Keys: "m", Access: acl.Writes, Why: "record it, the first to come"},
		{Command: "script|load", Args: "0", Optional: true, Why: "load the scripts"},
		{Command: "evalsha", Args: "0 1 KEY", Keys: written, Access: acl.Both, Why: "run put.lua, delete.lua and admit.lua"},
		{Command: "eval", Args: "0 1 KEY", Keys: written, Access: acl.Both, Why: "the same, when Redis has forgotten a script"},

		{Command: "hget", Args: "KEY doc", Keys: "s", Access: acl.Reads, Why: "read a session; put.lua, delete.lua: its version"},
		{Command: "hmget", Args: "KEY doc v tag", Keys: "s", Access: acl.Reads, Why: "read a session that is to be changed"},
		{Command: "hset", Args: "KEY f v f", Keys: "s", Access: acl.Writes, Why: "put.lua: store a session"},
		{Command: "persist", Args: "KEY", Keys: "s", Access: acl.Writes, Why: "put.lua: a session that never expires"},
		{Command: "pexpireat", Args: "KEY 1", Keys: "s", Access: acl.Writes, Why: "put.lua: one that does"},
		{Command: "del", Args: "KEY", Keys: "sd", Access: acl.Writes, Why: "delete.lua"},

		{Command: "zadd", Args: "KEY XX 1 m", Keys: "tcxuakp", Access: acl.Writes, Why: "add entries, cards and notes"},
		{Command: "zrem", Args: "KEY m", Keys: "tcxuakp", Access: acl.Writes, Why: "remove them"},
		{Command: "zscore", Args: "KEY m", Keys: "tpu", Access: acl.Reads, Why: "put.lua, admit.lua: is it there; verify: was it there a moment ago"},
		{Command: "zcard", Args: "KEY", Keys: "tuk", Access: acl.Looks, Why: "put.lua, admit.lua: limits; verify: tokens that we did not make"},
		{Command: "zrange", Args: "KEY 0 0", Keys: "u", Access: acl.Reads, Why: "the sessions of a user, for the near cache and for limits"},
		{Command: "zrevrange", Args: "KEY 0 0", Keys: "k", Access: acl.Reads, Why: "whose token it is that we did not make"},

		{Command: "get", Args: "KEY", Keys: "d", Access: acl.Reads, Why: "tombstones"},
		{Command: "set", Args: "KEY 0 NX XX", Keys: "d", Access: acl.Writes, Why: "delete.lua: leave one"},
		{Command: "exists", Args: "KEY", Keys: "j", Access: acl.Looks, Why: "was a logout token used"},
		{Command: "set", Args: "KEY 0 NX XX", Keys: "j", Access: acl.Writes, Why: "it is now"},

		{Command: "get", Args: "KEY", Keys: "e", Access: acl.Reads, When: acl.JWTs, Why: "has the login of a JWT ended"},
		{Command: "set", Args: "KEY 0 PXAT 1", Keys: "e", Access: acl.Writes, When: acl.JWTs, Why: "end.lua, delete.lua: it has"},
		{Command: "exists", Args: "KEY", Keys: "e", Access: acl.Looks, When: acl.JWTs, Why: "put.lua: has a session ended for good"},
		{Command: "evalsha", Args: "0 1 KEY", Keys: "e", Access: acl.Both, When: acl.JWTs, Why: "run end.lua"},
		{Command: "eval", Args: "0 1 KEY", Keys: "e", Access: acl.Both, When: acl.JWTs, Why: "the same, when Redis has forgotten it"},

		{Command: "get", Args: "KEY", Keys: "q", Access: acl.Reads, When: acl.Upstream, Why: "put.lua: has anything changed since a question to ZITADEL"},
		{Command: "set", Args: "KEY 0 NX GET PX 1", Keys: "q", Access: acl.Both, When: acl.Upstream, Why: "mark a question, or share its mark"},
		{Command: "pexpire", Args: "KEY 1", Keys: "q", Access: acl.Writes, When: acl.Upstream, Why: "for as long as the last one takes"},
		{Command: "del", Args: "KEY", Keys: "q", Access: acl.Writes, When: acl.Upstream, Why: "outdate.lua, put.lua: something has changed"},
		{Command: "get", Args: "KEY", Keys: "f", Access: acl.Reads, When: acl.Upstream, Why: "the record of news, and which process searches for them"},
		{Command: "set", Args: "KEY 0 PX 1 NX XX", Keys: "f", Access: acl.Writes, When: acl.Upstream, Why: "record that"},
		{Command: "del", Args: "KEY", Keys: "f", Access: acl.Writes, When: acl.Upstream, Why: "a process that ends lets another ask"},
		{Command: "get", Args: "KEY", Keys: "o", Access: acl.Reads, When: acl.Upstream, Why: "which session of ZITADEL a JWT's OIDC session is part of"},
		{Command: "set", Args: "KEY 0 PX 1", Keys: "o", Access: acl.Writes, When: acl.Upstream, Why: "remember that"},
		{Command: "evalsha", Args: "0 1 KEY", Keys: "q", Access: acl.Both, When: acl.Upstream, Why: "run outdate.lua"},
		{Command: "eval", Args: "0 1 KEY", Keys: "q", Access: acl.Both, When: acl.Upstream, Why: "the same, when Redis has forgotten it"},

		{Command: "cluster|slots", When: acl.Cluster, Why: "which master has which slots"},
		{Command: "command", When: acl.Cluster, Why: "where the keys of a command are; the client asks once"},
		{Command: "readonly", When: acl.Cluster | acl.Replicas, Why: "read from replicas"},
		{Command: "asking", When: acl.Cluster, Why: "follow a slot that moves"},

		{Command: "client|tracking", Args: "on bcast", When: acl.Near, Optional: true, Why: "hear of changes"},
		{Command: "role", When: acl.Near, Optional: true, Why: "prove that a master answers"},
		{Command: "get", Args: "KEY", Keys: "n", Access: acl.Reads, When: acl.Near | acl.Cluster, Optional: true, Why: "prove that it has its shards still; nothing is ever there"},
		{Command: "info", Args: "server", Optional: true, Why: "near cache: prove that it is the one that tells of changes; notice a failover, and look for what it has brought back"},
		{Command: "exists", Args: "KEY", Keys: "s", Access: acl.Looks, Why: "has a deleted session come back"},
		{Command: "wait", Args: "0 1", When: acl.Waits, Optional: true, Why: "have replicas acknowledge a deletion"},
	})
}

// ForbiddenError says that Redis does not let its user send a command that there
// is no store without.
type ForbiddenError struct {
	Command string // "TIME"
	Why     string // what it is for
	Err     error  // what Redis said
}

func (e *ForbiddenError) Error() string {
	return fmt.Sprintf("the Redis user must be allowed %s: %s; Redis says: %v", e.Command, e.Why, e.Err)
}

// Unwrap returns what Redis said.
func (e *ForbiddenError) Unwrap() error { return e.Err }
