package lookalike_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/cloakroom-dev/cloakroom/internal/lookalike"
	"github.com/redis/go-redis/v9"
)

// A script for Redis 7 runs by EVAL, by EVALSHA after either, and by SCRIPT LOAD
// first; one without the line runs as it is.
func TestAdaptScripts(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	lookalike.AdaptScripts(m)
	client := redis.NewClient(&redis.Options{Addr: m.Addr(), MaxRetries: -1, DisableIdentity: true})
	defer client.Close()
	for _, text := range []string{
		"#!lua flags=allow-oom\nreturn ARGV[1]",
		"#!lua\n-- comment\nredis.call('SET', KEYS[1], 'x')\nreturn ARGV[1]",
		"return ARGV[1]",
	} {
		script := redis.NewScript(text)
		if err := script.EvalSha(t.Context(), client, []string{"k"}, "v").Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
			t.Errorf("%q before it is known: %v", text, err)
		}
		run := func(name string, cmd *redis.Cmd) {
			t.Helper()
			if got, err := cmd.Text(); err != nil || got != "v" {
				t.Errorf("%s %q: %q, %v", name, text, got, err)
			}
		}
		run("EVAL", script.Eval(t.Context(), client, []string{"k"}, "v"))
		run("EVALSHA after EVAL", script.EvalSha(t.Context(), client, []string{"k"}, "v"))
		loaded := redis.NewScript(text + " -- another")
		own := loaded.Hash()
		if hash, err := loaded.Load(t.Context(), client).Result(); err != nil || hash != own {
			t.Fatalf("SCRIPT LOAD %q: %q, %v, want %q", text, hash, err, own)
		}
		run("EVALSHA after SCRIPT LOAD", loaded.EvalSha(t.Context(), client, []string{"k"}, "v"))
	}
	const broken = "#!lua\nreturn ("
	if err := client.ScriptLoad(t.Context(), broken).Err(); !redis.HasErrorPrefix(err, "Error compiling script") {
		t.Errorf("SCRIPT LOAD %q: %v", broken, err)
	}
}
