package torture

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const page = "../../docs/faults.md"

// TestDocumentHasTheMatrix compares the table in docs/faults.md with the faults that TestMatrix makes; with -update it
// writes it.
func TestDocumentHasTheMatrix(t *testing.T) {
	const begin, end = "<!-- matrix -->\n", "<!-- /matrix -->\n"
	var want strings.Builder
	want.WriteString("| fault | what callers see | what may be lost | recovery |\n|---|---|---|---|\n")
	names := map[string]bool{}
	for _, f := range faults() {
		if names[f.name] {
			t.Errorf("two faults are called %q", f.name)
		}
		names[f.name] = true
		fmt.Fprintf(&want, "| %s | %s | %s | %s |\n", f.name, f.sees, f.outcome, f.recovery)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	switch {
	case !ok1 || !ok2:
		t.Fatalf("%s has no part between %q and %q", page, begin, end)
	case got == want.String():
	case *update:
		if err := os.WriteFile(page, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has not the faults that TestMatrix makes (go test ./test/torture -run Document -update writes them):\n%s", page, want.String())
	}
}
