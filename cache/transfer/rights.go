package transfer

import "github.com/cloakroom-dev/cloakroom/internal/acl"

// Rights returns the commands that an export sends, and its client: none of them writes. An import needs the rights of a
// Store.
func Rights() []acl.Right {
	return []acl.Right{
		{Command: "select", Args: "0", When: acl.Database, Why: "use a database other than 0"},
		{Command: "time", Why: "follow the store's clock"},
		{Command: "get", Args: "KEY", Keys: "mden", Access: acl.Reads, Why: "the number of shards, deletions, ends; prove that a master has its shards: nothing is ever there"},
		{Command: "scan", Args: "0", Why: "find deletions and ends"},
		{Command: "pexpiretime", Args: "KEY", Keys: "d", Access: acl.Reads, Why: "until when is a deletion remembered"},
		{Command: "zcard", Args: "KEY", Keys: "t", Access: acl.Reads, Why: "how many sessions there are"},
		{Command: "zcount", Args: "KEY 0 0", Keys: "t", Access: acl.Reads, Why: "where a list goes on"},
		{Command: "zrank", Args: "KEY m", Keys: "t", Access: acl.Reads, Why: "where a list goes on"},
		{Command: "zrange", Args: "KEY 0 0", Keys: "t", Access: acl.Reads, Why: "which sessions there are"},
		{Command: "hmget", Args: "KEY doc v tag", Keys: "s", Access: acl.Reads, Why: "read them"},

		{Command: "ping", Why: "follow: prove that no change was missed"},
		{Command: "client|tracking", Args: "on bcast", Why: "follow: hear of changes"},
		{Command: "role", Why: "is it the master"},
		{Command: "info", Args: "server", Why: "is it the server that tells of changes"},

		{Command: "cluster|slots", When: acl.Cluster, Why: "which master has which slots"},
		{Command: "cluster|info", When: acl.Cluster, Why: "is it a Cluster"},
		{Command: "command", When: acl.Cluster, Why: "where the keys of a command are; the client asks once"},
		{Command: "asking", When: acl.Cluster, Why: "follow a slot that moves"},
	}
}
