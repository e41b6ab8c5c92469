package main

import (
	"io"
	"strings"
	"testing"
)

func TestRun_RefusesBadArguments(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		err := run(t.Context(), args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run(%q): got %v, want an error with %q", args, err, want)
		}
	}
	f("subcommand is required")
	f(`unknown subcommand "nope"`, "nope")
	f("not defined: -nope", "baseline", "--nope")
	f(`unexpected argument "x"`, "baseline", "x")
	f("--dir is required", "issuer")
	f("--bytes must be between 12 and 67108864, not 9", "baseline", "--bytes", "9")
	f("--bytes must be between", "baseline", "--bytes", "67108865")
	f("invalid port", "baseline", "--addr", "127.0.0.1:99999")
}
