package cloakroom_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// TestRedisDocumentNamesScriptsAndKeys ties docs/redis.md to the scripts and to
// the families of keys.
func TestRedisDocumentNamesScriptsAndKeys(t *testing.T) {
	text := readFile(t, "docs/redis.md")
	scripts := slices.DeleteFunc(files(t, ".lua"), func(name string) bool {
		return !strings.HasPrefix(name, "cache/") && !strings.HasPrefix(name, "index/")
	})
	if len(scripts) == 0 {
		t.Fatal("no scripts found")
	}
	for _, script := range scripts {
		if !strings.Contains(text, "`"+filepath.Base(script)+"`") {
			t.Errorf("docs/redis.md does not name %s", script)
		}
	}
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		space.Meta(), space.Session("i"), space.Created(0), space.Creator(0, "c"), space.Catalogue(0), space.User("u"),
		space.Agent("a"), space.Token(session.TokenHash{}), space.Used(session.TokenHash{}), space.Tombstone("i"), space.End("i"), space.Pending(0), space.Never(0),
	} {
		family, _, _ := strings.Cut(key, "{")
		if !strings.Contains(text, "`"+family) {
			t.Errorf("docs/redis.md does not name the keys %s…", family)
		}
	}
}

// TestInvariantsAreStatedAndTested ties the invariants of ARCHITECTURE.md to the
// tests that are named after them.
func TestInvariantsAreStatedAndTested(t *testing.T) {
	text := readFile(t, "ARCHITECTURE.md")
	var tests strings.Builder
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			tests.WriteString(readFile(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10"} {
		if !strings.Contains(text, "**"+i+"**") {
			t.Errorf("ARCHITECTURE.md does not state %s", i)
		}
		if !strings.Contains(tests.String(), "func Test"+i+"_") {
			t.Errorf("no test is named after %s", i)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
