// Package lookalike makes miniredis take scripts that are written for Redis 7.
package lookalike

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// AdaptScripts has a running m read each script that begins with a line such as
// "#!lua flags=allow-oom" as if that were a comment. Scripts go by their own hash
// all the same.
func AdaptScripts(m *miniredis.Miniredis) {
	var read sync.Map // the hash of a script as it is read, by its own
	m.Server().SetPreHook(func(_ *server.Peer, command string, args ...string) bool {
		at := 0
		switch {
		case command == "EVALSHA" && len(args) > 0:
			if hash, ok := read.Load(args[0]); ok {
				args[0] = hash.(string)
			}
			return false
		case command == "EVAL" && len(args) > 0:
		case command == "SCRIPT" && len(args) > 1 && strings.EqualFold(args[0], "load"):
			at = 1
		default:
			return false
		}
		if strings.HasPrefix(args[at], "#!") {
			adapted := "-- " + args[at]
			read.Store(hashOf(args[at]), hashOf(adapted))
			args[at] = adapted // the slice that the command gets next
		}
		return false
	})
}

func hashOf(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}
