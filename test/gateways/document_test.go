package gateways

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentShowsLinesOfDeploy ties each excerpt in docs/gateways.md to the file that it is from: the same lines, in the same
// order, though not all of them, and perhaps less indented.
func TestDocumentShowsLinesOfDeploy(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	excerpts := regexp.MustCompile("(?s)<!-- lines of deploy/(\\S+) -->\n```\\w+\n(.*?)```\n").FindAllStringSubmatch(string(text), -1)
	if want := len(gateways) + 1; len(excerpts) != want { // and Envoy by gRPC
		t.Errorf("there are %d excerpts, not %d", len(excerpts), want)
	}
	for _, e := range excerpts {
		content, err := os.ReadFile(deploy + e[1])
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(strings.TrimSpace(e[2]), "\n")
		if len(lines) > 13 {
			t.Errorf("the excerpt of %s has %d lines", e[1], len(lines))
		}
		rest := strings.Split(string(content), "\n")
		for _, line := range lines {
			i := 0
			for i < len(rest) && strings.TrimSpace(rest[i]) != strings.TrimSpace(line) {
				i++
			}
			if i == len(rest) {
				t.Errorf("deploy/%s has no line, or none there: %s", e[1], line)
				break
			}
			rest = rest[i+1:]
		}
	}
}

// TestDocumentTellsOfJWTs checks that each gateway has a part about JWTs, which is short.
func TestDocumentTellsOfJWTs(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gateways {
		_, rest, ok := strings.Cut(string(text), "\n### JWTs behind "+g.Name()+"\n")
		part, _, _ := strings.Cut(rest, "\n#")
		lines := strings.FieldsFunc(part, func(c rune) bool { return c == '\n' })
		if !ok || len(lines) > 10 || !strings.Contains(part, "laims") || !strings.Contains(part, "ssertion") {
			t.Errorf("the part about JWTs behind %s, of %d lines, is missing, too long, or says nothing of claims or assertions", g.Name(), len(lines))
		}
	}
}
