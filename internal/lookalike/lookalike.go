// Package lookalike makes miniredis take scripts that are written for Redis 7.
package lookalike

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// AdaptScripts has a running m read each script that begins with a line such as
// "#!lua flags=allow-oom" as if that were a comment. Scripts go by their own hash
// all the same, in the answer of SCRIPT LOAD, too.
func AdaptScripts(m *miniredis.Miniredis) {
	var read sync.Map // the hash of a script as it is read, by its own
	adapt := func(text string) string {
		adapted := "-- " + text
		read.Store(hashOf(text), hashOf(adapted))
		return adapted
	}
	m.Server().SetPreHook(func(client *server.Peer, command string, args ...string) bool {
		switch {
		case command == "EVALSHA" && len(args) > 0:
			if hash, ok := read.Load(args[0]); ok {
				args[0] = hash.(string) // in the slice that the command gets next
			}
		case command == "EVAL" && len(args) > 0 && isFlagged(args[0]):
			args[0] = adapt(args[0])
		case command == "SCRIPT" && len(args) == 2 && strings.EqualFold(args[0], "load") && isFlagged(args[1]):
			var reply bytes.Buffer
			peer := server.NewPeer(bufio.NewWriter(&reply))
			m.Server().Dispatch(peer, []string{command, args[0], adapt(args[1])})
			peer.Flush()
			if failed, ok := strings.CutPrefix(reply.String(), "-"); ok {
				client.WriteError(strings.TrimSuffix(failed, "\r\n"))
			} else {
				client.WriteBulk(hashOf(args[1]))
			}
			return true
		}
		return false
	})
}

func isFlagged(script string) bool { return strings.HasPrefix(script, "#!") }

func hashOf(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}
