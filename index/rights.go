package index

import "github.com/cloakroom-dev/cloakroom/internal/acl"

// The kinds of lists that a search reads, and those that have entries of a
// session, its notes included.
const (
	searched = "tcxua"
	entered  = "tcxuakp"
)

// Rights returns the commands that an Index sends, and that its scripts call. A
// command that is new here is new in the table: a test runs everything under
// the rule that follows from it, and another one compares what was used.
func Rights() []acl.Right {
	return []acl.Right{
		{Command: "zcount", Args: "KEY -inf +inf", Keys: searched, Access: acl.Reads, Why: "count the candidates of a search, what is due, and what ends soon"},
		{Command: "zrange", Args: "KEY 0 0", Keys: searched + "p", Access: acl.Reads, Why: "read lists, the catalogue and notes, in chunks"},
		{Command: "zrank", Args: "KEY m", Keys: searched, Access: acl.Reads, Why: "go on in a list that has changed"},
		{Command: "zrevrank", Args: "KEY m", Keys: searched, Access: acl.Reads, Why: "the same, newest first"},
		{Command: "zcard", Args: "KEY", Keys: searched, Access: acl.Looks, Why: "the same, among many sessions of one date"},
		{Command: "multi", Why: "see one moment: totals and pages, long lists of a user"},
		{Command: "exec", Why: "the same"},
		{Command: "zrem", Args: "KEY m", Keys: entered, Access: acl.Writes, Why: "remove entries and notes"},
		{Command: "zadd", Args: "KEY XX 1 m", Keys: "p", Access: acl.Writes, Why: "note what is to be removed in other shards"},
		{Command: "zscore", Args: "KEY m", Keys: "x", Access: acl.Reads, Why: "sweep.lua: is the card still there, and due"},
		{Command: "exists", Args: "KEY", Keys: "s", Access: acl.Looks, Why: "sweep.lua: has Redis dropped the session"},
		{Command: "del", Args: "KEY", Keys: "s", Access: acl.Writes, Why: "sweep.lua: remove the session"},
		{Command: "hget", Args: "KEY tag", Keys: "s", Access: acl.Reads, Why: "condemn.lua: was the write done after all"},
		{Command: "script|load", Args: "0", Optional: true, Why: "load the scripts"},
		{Command: "evalsha", Args: "0 1 KEY", Keys: "s" + entered, Access: acl.Both, Why: "run sweep.lua and condemn.lua"},
		{Command: "eval", Args: "0 1 KEY", Keys: "sp", Access: acl.Both, Why: "the same, when Redis has forgotten a script"},
	}
}
