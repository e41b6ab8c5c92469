package cli

import (
	"os"
	"strings"
)

// KeyVariable is the environment variable that the API key comes from.
const KeyVariable = "CLOAKROOM_BENCH_KEY"

// ReadKey returns the API key in a file, or that of the environment if file is "". No
// result has it.
func ReadKey(file string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(KeyVariable)), nil
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}
