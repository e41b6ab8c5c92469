package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const operations = "../../docs/operations.md"

func readDoc(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFlagsAreDocumented ties the table of flags in docs/operations.md to the
// settings: name, environment variable, default, and no others.
func TestFlagsAreDocumented(t *testing.T) {
	rows := map[string]string{}
	for line := range strings.Lines(readDoc(t, operations)) {
		if strings.HasPrefix(line, "| `--") {
			name, _, _ := strings.Cut(strings.TrimPrefix(line, "| `--"), "`")
			if rows[name] != "" {
				t.Errorf("two rows for --%s", name)
			}
			rows[name] = line
		}
	}
	for _, s := range settings(&config{}) {
		env, def := "—", "—"
		if s.from != flagOnly {
			env = "`" + envName(s.name) + "`"
		}
		if s.def != "" {
			def = "`" + s.def + "`"
		}
		want := fmt.Sprintf("| `--%s` | %s | %s | ", s.name, env, def)
		if !strings.HasPrefix(rows[s.name], want) {
			t.Errorf("docs/operations.md: the row of --%s must begin with\n%s\nand is\n%s", s.name, want, rows[s.name])
		}
		delete(rows, s.name)
	}
	for name := range rows {
		t.Errorf("docs/operations.md: there is no --%s", name)
	}
	for name, def := range devDefaults {
		if want := fmt.Sprintf("`--%s=%s`", name, def); !strings.Contains(readDoc(t, operations), want) {
			t.Errorf("docs/operations.md does not say that dev has %s", want)
		}
	}
}

// TestDocumentsNameOnlyRealFlags looks at every flag and variable in the
// documents.
func TestDocumentsNameOnlyRealFlags(t *testing.T) {
	known := []string{"help", "name", "user-id", "agent-id", "permission", "file"} // of key new
	for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(revokeHelp+auditHelp, -1) {
		known = append(known, m[1])
	}
	env := []string{apiKeyEnv}
	for _, s := range settings(&config{}) {
		known = append(known, s.name)
		env = append(env, envName(s.name))
	}
	for _, path := range []string{operations, "../../README.md"} {
		text := readDoc(t, path)
		for _, m := range regexp.MustCompile(`--([a-z][a-z-]*[a-z])`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, m[1]) && m[1] != "unix-socket" { // that is curl's
				t.Errorf("%s: there is no --%s", path, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`CLOAKROOM_[A-Z_]*[A-Z]`).FindAllString(text, -1) {
			if !slices.Contains(env, m) && !kubernetes(m) {
				t.Errorf("%s: there is no %s", path, m)
			}
		}
	}
}

// TestReadmeIsShortAndLinks looks at the length and the links of README.md.
func TestReadmeIsShortAndLinks(t *testing.T) {
	text := readDoc(t, "../../README.md")
	if n := strings.Count(text, "\n"); n > 150 {
		t.Errorf("README.md has %d lines, at most 150 are allowed", n)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat("../../" + m[1]); err != nil {
			t.Errorf("README.md links to what is not there: %v", err)
		}
	}
	// The user in the second curl line is among the samples.
	if id := samples(session.TimeOf(time.Now()))[0].Factors.User.ID; !strings.Contains(text, `{"userIdQuery": {"id": "`+id+`"}}`) {
		t.Errorf("README.md does not ask for the sample user %s", id)
	}
}
