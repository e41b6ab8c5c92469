package main

import (
	"os"
	"strings"
)

const keyVariable = "CLOAKROOM_BENCH_KEY"

// readKey returns the API key, which is nowhere in a result.
func readKey(file string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(keyVariable)), nil
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}
