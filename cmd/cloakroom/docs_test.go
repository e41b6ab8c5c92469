package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/config"
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

// settingNames are the flags of serve, by its help.
func settingNames(t *testing.T) (names []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^  --([a-z-]+)`).FindAllStringSubmatch(printedHelp(t, "serve", "--help"), -1) {
		names = append(names, m[1])
	}
	return names
}

// TestDocumentsNameOnlyRealFlags looks at every flag and variable in the
// documents.
func TestDocumentsNameOnlyRealFlags(t *testing.T) {
	known := []string{"help", "name", "user-id", "agent-id", "permission", "file", "rate", "burst"} // of key new
	for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(revokeHelp+auditHelp+setupHelp, -1) {
		known = append(known, m[1])
	}
	env := []string{config.APIKeyEnv}
	for _, s := range settingNames(t) {
		known = append(known, s)
		env = append(env, config.EnvName(s))
	}
	for _, path := range []string{operations, "../../README.md"} {
		text := readDoc(t, path)
		for _, m := range regexp.MustCompile(`--([a-z][a-z-]*[a-z])`).FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, m[1]) && m[1] != "unix-socket" { // that is curl's
				t.Errorf("%s: there is no --%s", path, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`CLOAKROOM_[A-Z_]*[A-Z]`).FindAllString(text, -1) {
			if !slices.Contains(env, m) && !regexp.MustCompile(`_PORT(_|$)|_SERVICE_`).MatchString(m) {
				t.Errorf("%s: there is no %s", path, m)
			}
		}
	}
}

// A newcomer finds the tutorial on the first screen of README.md, which is short.
func TestReadmeIsShort(t *testing.T) {
	lines := strings.Split(readDoc(t, "../../README.md"), "\n")
	if len(lines) > 121 {
		t.Errorf("README.md has %d lines, at most 120 are allowed", len(lines)-1)
	}
	if !strings.Contains(strings.Join(lines[:24], "\n"), "(docs/tutorial.md)") {
		t.Error("the first screen of README.md does not lead to the tutorial")
	}
}

// unsteady matches text that differs from one start of dev to the next: ports, the token, IDs
// and dates.
var unsteady = regexp.MustCompile(`127\.0\.0\.1:\d+|\b\d{19}\b(\.[\w-]{43})?|\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// TestReadmeShowsWhatDevPrints compares README.md with the running program.
func TestReadmeShowsWhatDevPrints(t *testing.T) {
	p := launch(t, append([]string{"dev"}, quick()...))
	p.pasted(t)
	want := unsteady.ReplaceAllString(strings.Trim(p.stdout.String(), "\n"), "…")
	for _, m := range regexp.MustCompile("(?s)\n```\n(.*?)\n```\n").FindAllStringSubmatch(readDoc(t, "../../README.md"), -1) {
		if unsteady.ReplaceAllString(m[1], "…") == want {
			return
		}
	}
	t.Errorf("README.md does not show what `make run` prints:\n%s", p.stdout)
}
