package cloakroom_test

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// isTest reports whether a file belongs to tests only.
func isTest(file string) bool {
	return strings.HasSuffix(file, "_test.go") || slices.Contains(testOnly, path.Dir(file))
}

func TestTests_NeitherSleepNorSkip(t *testing.T) {
	inspect(t, isTest, func(receiver, name, position string) {
		switch {
		case receiver == "time" && name == "Sleep":
			t.Errorf("%s: a test sleeps; wait for the event", position)
		case slices.Contains([]string{"t", "b", "f", "tb", "rt"}, receiver) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, name):
			t.Errorf("%s: a test skips", position)
		}
	})
}

// A wait for time.After alone sleeps, but not in the time of synctest; as one case of a select it ends a wait.
func TestTests_WaitForTimeOnlyInSynctest(t *testing.T) {
	isCall := func(n ast.Node, pkg, name string) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != name {
			return false
		}
		x, ok := sel.X.(*ast.Ident)
		return ok && x.Name == pkg
	}
	parse(t, isTest, func(set *token.FileSet, file *ast.File) {
		cases := map[ast.Node]bool{} // of a select that has others
		ast.Inspect(file, func(n ast.Node) bool {
			if isCall(n, "synctest", "Test") {
				return false
			}
			if s, ok := n.(*ast.SelectStmt); ok && len(s.Body.List) > 1 {
				for _, c := range s.Body.List {
					cases[c.(*ast.CommClause).Comm] = true
				}
			}
			if cases[n] {
				return false
			}
			if receive, ok := n.(*ast.UnaryExpr); ok && receive.Op == token.ARROW && isCall(receive.X, "time", "After") {
				t.Errorf("%s: a test sleeps; wait for the event", set.Position(receive.Pos()))
			}
			return true
		})
	})
}

func TestEnvironment_IsReadByCommandsOnly(t *testing.T) {
	product := func(file string) bool { return !isTest(file) }
	inspect(t, product, func(receiver, name, position string) {
		reads := receiver == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, name)
		if reads && !strings.HasPrefix(position, "cmd/") && !strings.HasPrefix(position, "bench/") {
			t.Errorf("%s: os.%s outside of cmd and bench", position, name)
		}
	})
}

func TestFiles_NameNoPathOfTheMachineTheyWereWrittenOn(t *testing.T) {
	machinePath := regexp.MustCompile(`(?:^|[^\w.~-])/(?:work|root|home|Users)/\w`)
	for _, name := range files(t, ".go", ".md", ".lua") {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(content), "\n") {
			if machinePath.MatchString(line) {
				t.Errorf("%s:%d: %s", name, i+1, line)
			}
		}
	}
}
