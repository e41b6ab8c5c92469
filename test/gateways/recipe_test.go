package gateways

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// recipes is the document that most are from; those for claims are in document.
const recipes = "../../docs/gateway-recipes.md"

// recipe is a change that the document proposes to a file of deploy/.
type recipe struct {
	file   string   // in deploy/
	oldNew []string // each old must occur in it
	also   *recipe  // a change of another file
}

// deployed writes a file of deploy/ into dir, with the change of r if it is of that file, and then with each old address or
// path replaced by what the test has in its place. It returns the file's path. Every old must occur. A nil r changes nothing.
func (r *recipe) deployed(t *testing.T, dir, name string, oldNew ...string) string {
	t.Helper()
	content, err := os.ReadFile(deploy + name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for ; r != nil; r = r.also {
		if r.file != name {
			continue
		}
		for i := 0; i < len(r.oldNew); i += 2 {
			if !strings.Contains(text, r.oldNew[i]) {
				t.Fatalf("deploy/%s has no %q", name, r.oldNew[i])
			}
			text = strings.Replace(text, r.oldNew[i], r.oldNew[i+1], 1)
		}
	}
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("deploy/%s has no %q", name, oldNew[i])
		}
	}
	path := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(path, []byte(strings.NewReplacer(oldNew...).Replace(text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// documented returns the block of the documents after the comment "recipe: name", each line after the indent.
func documented(t *testing.T, name, indent string) string {
	t.Helper()
	var text []byte
	for _, file := range []string{recipes, document} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, content...)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- recipe: "+name+" -->\n```")
	_, rest, _ = strings.Cut(rest, "\n")
	block, _, closed := strings.Cut(rest, "\n```")
	if !ok || !closed {
		t.Fatalf("no document has a recipe %q", name)
	}
	return indent + strings.ReplaceAll(block, "\n", "\n"+indent) + "\n"
}

// change returns the recipe that makes these changes to file, each an old text and a new one.
func change(file string, oldNew ...[]string) *recipe {
	return &recipe{file: file, oldNew: slices.Concat(oldNew...)}
}

// before and after add text to a line.
func before(line, text string) []string { return []string{line, text + line} }
func after(line, text string) []string  { return []string{line, line + text} }

// edited returns the change of a YAML file of deploy/ that f makes.
func edited[T any](t *testing.T, file string, f func(conf T) T) *recipe {
	t.Helper()
	content, err := os.ReadFile(deploy + file)
	if err != nil {
		t.Fatal(err)
	}
	var conf T
	if err := yaml.Unmarshal(content, &conf); err != nil {
		t.Fatal(err)
	}
	changed, err := yaml.Marshal(f(conf))
	if err != nil {
		t.Fatal(err)
	}
	return &recipe{file: file, oldNew: []string{string(content), string(changed)}}
}

// documentedYAML returns the object that a recipe is.
func documentedYAML(t *testing.T, name string) (o object) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(documented(t, name, "")), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestRecipes tries each recipe, before each gateway that it is shown for.
func TestRecipes(t *testing.T) {
	hasTurn := testdepth.OneIn(t, 3)
	for i, name := range []string{"nginx", "HAProxy", "Caddy", "Traefik", "Oathkeeper"} {
		if !hasTurn(i) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			for _, r := range []struct {
				name   string
				with   gateway
				verify string // in the place of 127.0.0.1:8081
				check  func(*world, *testing.T)
			}{
				{"login pages", redirecting(t, name), w.verify.Addr, (*world).loginIsShown},
				{"preflights", preflighting(t, name), w.verify.Addr, (*world).preflightsAreAnswered},
				{"strict by default", strictByDefault(t, name, w.ours.api), w.askedForPolicies(name), (*world).strictHolds},
				{"strict by prefix", strictByPrefix(t, name, w.ours.api), w.askedForPolicies(name), (*world).prefixFails},
			} {
				t.Run(r.name, func(t *testing.T) {
					w.gateway = r.with
					w.addr = w.gateway.Start(t, r.verify, w.app.addr)
					w.app.take() // what looked whether the gateway is there
					r.check(w, t)
				})
			}
		})
	}
}

// askedForPolicies returns what the document puts in the place of 127.0.0.1:8081 for policies: the API listener, except for
// Oathkeeper, whose recipe has the address of that itself.
func (w *world) askedForPolicies(name string) string {
	if name == "Oathkeeper" {
		return w.verify.Addr
	}
	return w.ours.api
}
