package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/config"
)

// loadWith loads the configuration of serve.
func loadWith(t *testing.T, args, env []string) (*config.Config, error) {
	t.Helper()
	return config.Load(t.Context(), config.Source{Subcommand: "serve", Args: args, Env: env})
}

// enough is the least that serve needs.
var enough = []string{"--redis-url", "memory:", "--auth-anonymous"}

func with(more ...string) []string { return append(slices.Clone(enough), more...) }

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cloakroom.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keysWithOne is a keys file that nobody has the key of.
const keysWithOne = "keys:\n- name: a\n  userId: u\n  permissions: []\n" +
	"  sha256: 0000000000000000000000000000000000000000000000000000000000000000\n"
