package audit

import (
	"context"
	_ "embed"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

//go:embed lua/repair.lua
var repairLua string

var repairScript = redis.NewScript(repairLua)

// Scripts returns the scripts that a repair runs, to be loaded on a server before the first one.
func Scripts() []string { return []string{repairLua} }

// fix is what repair.lua does to one session.
type fix struct {
	id        session.ID
	version   string // "" if nothing is stored
	ends      string // ARGV 2
	locations []location
}

// result is what became of a fix.
type result struct {
	outcome Outcome
	err     error
}

// resultOf is the result of a fix that has changed n things.
func resultOf[N int | int64](n N, err error) result {
	switch {
	case err != nil:
		return result{Failed, plainError(err)}
	case n == 0:
		return result{outcome: Skipped}
	}
	return result{outcome: Repaired}
}

// runFixes runs repair.lua for each fix, in one round trip. Its own error is
// that it is not known what happened.
func (au *audit) runFixes(ctx context.Context, fixes []fix) ([]result, error) {
	replies, err := au.sendFixes(ctx, fixes, redis.Pipeliner.EvalSha, repairScript.Hash())
	if err == nil && slices.ContainsFunc(replies, func(r *redis.Cmd) bool { return redis.HasErrorPrefix(r.Err(), "NOSCRIPT") }) {
		// The server is new, or its scripts were flushed.
		replies, err = au.sendFixes(ctx, fixes, redis.Pipeliner.Eval, repairLua)
	}
	if err != nil {
		return nil, err
	}
	results := make([]result, len(fixes))
	for i, reply := range replies {
		results[i] = resultOf(reply.Int())
	}
	return results, nil
}

// sendFixes runs the script for each fix: eval is EvalSha with its hash, or Eval with its text.
func (au *audit) sendFixes(ctx context.Context, fixes []fix,
	eval func(redis.Pipeliner, context.Context, string, []string, ...any) *redis.Cmd, script string,
) ([]*redis.Cmd, error) {
	if len(fixes) == 0 {
		return nil, nil
	}
	pipe := au.Redis.Pipeline()
	replies := make([]*redis.Cmd, len(fixes))
	for i := range fixes {
		f := &fixes[i]
		scriptKeys := make([]string, 0, 1+len(f.locations))
		scriptKeys = append(scriptKeys, au.Keys.Session(f.id))
		args := make([]any, 0, 2+2*len(f.locations))
		args = append(args, f.version, f.ends)
		for _, p := range f.locations {
			scriptKeys = append(scriptKeys, p.key)
			args = append(args, p.member, p.score)
		}
		replies[i] = eval(pipe, ctx, script, scriptKeys, args...)
	}
	return replies, send(ctx, pipe)
}
