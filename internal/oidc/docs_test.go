package oidc

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

const doc = "../../docs/credentials.md"

// The file that docs/credentials.md shows is one that is read.
func TestDocumentedFile(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 1 {
		t.Fatalf("%s has %d files", doc, len(blocks))
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(oidctest.ClientSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := parse([]byte(strings.ReplaceAll(string(blocks[0][1]), "/run/secrets/zitadel", secret)), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		name   string
		claims map[string]any
		want   string
	}{
		{"zitadel", map[string]any{"urn:zitadel:iam:org:project:roles": map[string]any{"session-support": map[string]any{"o1": "o1.example"}}}, "read:o1 delete:o1"},
		{"keycloak", map[string]any{"realm_access": map[string]any{"roles": []any{"session-admin"}}}, "read:* write:* delete:*"},
	} {
		var a Access
		if s.issuers[i].grant(&a, c.claims); s.issuers[i].Name != c.name || shown(&a) != c.want {
			t.Errorf("%s: got %s, %q, want %q", c.name, s.issuers[i].Name, shown(&a), c.want)
		}
	}
}

// docs/credentials.md names every field of the file, and no other.
func TestDocumentedFields(t *testing.T) {
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| field | default | meaning |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{}
	for row := range strings.Lines(table) {
		name, _, _ := strings.Cut(row[1:], " | ")
		at := ""
		for _, n := range strings.Split(name, ", ") {
			n = strings.Trim(n, "`| ")
			if strings.HasPrefix(n, ".") {
				n = at + n
			}
			at, _, _ = strings.Cut(n, ".")
			documented[n] = true
		}
	}
	// What is known here is what a file with a wrong field is told.
	known := map[string]bool{}
	for _, at := range []string{"", "claims", "introspection", "logout", "verify", "verify.claims"} {
		file := "issuers: [{wrong: x}]"
		if at != "" {
			file = "issuers: [{" + strings.ReplaceAll(at, ".", ": {") + ": {wrong: x}" + strings.Repeat("}", strings.Count(at, ".")) + "}]"
		}
		_, err := parse([]byte(file), os.ReadFile)
		m := regexp.MustCompile(`known are (.*)`).FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatalf("%s: %v", at, err)
		}
		for name := range strings.SplitSeq(m[1], ", ") {
			if at != "" {
				name = at + "." + name
			}
			known[name] = true
		}
	}
	for _, section := range []string{"claims", "introspection", "logout", "verify", "verify.claims"} {
		delete(known, section)
	}
	for name := range known {
		if !documented[name] {
			t.Errorf("%s does not have the field %s", doc, name)
		}
	}
	for name := range documented {
		if !known[name] {
			t.Errorf("%s has the field %s", doc, name)
		}
	}
}
