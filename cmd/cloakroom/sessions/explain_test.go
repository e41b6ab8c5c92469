package sessions

import (
	"os"
	"regexp"
	"testing"
)

// Every step and every kind of list that a sidecar may name has words for people.
func TestExplainHasWordsForEverything(t *testing.T) {
	f := func(file, pattern string, words map[string]string) {
		t.Helper()
		text, err := os.ReadFile("../../../index/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, found := range regexp.MustCompile(pattern).FindAllString(string(text), -1) {
			for _, m := range regexp.MustCompile(`"(\w+)"`).FindAllStringSubmatch(found, -1) {
				names = append(names, m[1])
			}
		}
		if len(names) != len(words) {
			t.Errorf("%s has the names %q, and there are words for %d", file, names, len(words))
		}
		for _, name := range names {
			if words[name] == "" {
				t.Errorf("%s: there are no words for %q", file, name)
			}
		}
	}
	f("explanation.go", `Step = "\w+"`, stepWords)
	f("searchstats.go", `sourceNames = \[sources\]string\{.*\}`, driverWords)
}
