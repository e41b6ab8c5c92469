package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestFlagsAreDocumented ties the table of flags in docs/operations.md to the
// settings: name, environment variable, default, and no others.
func TestFlagsAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	text, rows := string(b), map[string]string{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "| `--") {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "| `--"), "`")
			if rows[name] != "" {
				t.Errorf("two rows for --%s", name)
			}
			rows[name] = line
		}
	}
	for _, s := range settings(&Config{}) {
		env, def := "—", "—"
		if s.from != flagOnly {
			env = "`" + EnvName(s.Name) + "`"
		}
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		want := fmt.Sprintf("| `--%s` | %s | %s | ", s.Name, env, def)
		if !strings.HasPrefix(rows[s.Name], want) {
			t.Errorf("docs/operations.md: the row of --%s must begin with\n%s\nand is\n%s", s.Name, want, rows[s.Name])
		}
		delete(rows, s.Name)
	}
	for name := range rows {
		t.Errorf("docs/operations.md: there is no --%s", name)
	}
	for name, def := range devDefaults {
		if want := fmt.Sprintf("`--%s=%s`", name, def); !strings.Contains(text, want) {
			t.Errorf("docs/operations.md does not say that dev has %s", want)
		}
	}
}
