package audit

import "github.com/cloakroom-dev/cloakroom/internal/acl"

// entered are the kinds of lists that have entries of a session, its notes
// included.
const entered = "tcxuakp"

// Rights returns the commands that an audit sends in addition to those of an index.Index,
// Config.Read included, and that repair.lua calls in addition to those of put.lua.
func Rights() []acl.Right {
	return []acl.Right{
		{Command: "scan", Args: "0", Optional: true, Why: "audit: find sessions and lists"},
		{Command: "pexpiretime", Args: "KEY", Keys: "s", Access: acl.Reads, Optional: true, Why: "audit: is it the expiration date"},
		{Command: "hget", Args: "KEY v", Keys: "s", Access: acl.Reads, Why: "audit, repair.lua: is it the same version still"},
		{Command: "zscore", Args: "KEY m", Keys: entered, Access: acl.Reads, Why: "audit: are entries there"},
		{Command: "zrange", Args: "KEY 0 0", Keys: entered, Access: acl.Reads, Why: "audit: what else is there"},
	}
}
