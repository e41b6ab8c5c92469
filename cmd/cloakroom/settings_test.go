package main

import (
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
