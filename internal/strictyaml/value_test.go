package strictyaml

import (
	"strings"
	"testing"
	"time"
)

// faultsOf reads a text as an object with some fields, and returns what is wrong with it.
func faultsOf(text string) string {
	v, err := Read([]byte(text))
	if err == nil {
		v.Object(Fields{
			"name":  func(v Value) { v.Name(1, 3, new(string)) },
			"names": func(v Value) { v.Names(3) },
			"on":    func(v Value) { v.Boolean(new(bool)) },
			"for":   func(v Value) { v.Duration(0, time.Second, new(time.Duration)) },
			"inner": func(v Value) { v.Object(Fields{"text": func(v Value) { v.Text(new(string)) }}, "text") },
		}, "name")
		err = v.Err()
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "the file: must have fields",
		"~":                                    "the file: must have fields",
		"x":                                    "the file: line 1: must have fields",
		"name: x":                              "",
		"name: 0123456":                        "name: line 1: must have 1 to 3 characters",
		"name: ~":                              "name: line 1: must be a text",
		"name: \"\\n\"":                        "name: line 1: must be a text",
		"on: True":                             "on: line 1: must be true or false\nname: is missing",
		"name: x\ninner: {}":                   "inner.text: is missing",
		"name: x\ninner: x":                    "inner: line 2: must have fields",
		"name: x\ninner: {\n a: {}}":           "inner: line 3: a field is not known here; known are text\ninner.text: is missing",
		"name: x\nname: [":                     "not YAML: line 2: did not find expected node content",
		"name: x\n? [a]\n: b":                  "the file: line 2: merges, and aliases of what has fields, are not read",
		"name: x\n<<: {on: true}":              "the file: line 2: merges, and aliases of what has fields, are not read",
		"name: x\ninner: &i {text: a}\non: *i": "the file: line 3: merges, and aliases of what has fields, are not read",
		"name: &n x\nnames: &l [*n, *n]":       "",
		"name: x\nnames: &l [*l]":              "names[0]: line 2: must be a text",
		"name: &n {a: *n}":                     "name: line 1: must be a text",
		"name: *swordfish":                     "not YAML: an alias has no anchor",
		"name: x\n---\n":                       "there is more than one YAML document",
	} {
		if got := faultsOf(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzI6_NoFaultRepeatsAValue puts a secret into every place of a text.
func FuzzI6_NoFaultRepeatsAValue(f *testing.F) {
	for _, text := range []string{
		"#", "#: x", "#: x\n#: y", "name: *#", "name: &# [*#]", "%#\n---\n", "name: !# x", "name: !!int #", "name: \"\\#\"", "name: [#", "for: #", "on: #", "inner: {#: #}", "names: [{#: #}]", "<<: #", "- #", "? #", "name: |#\n", "name: !!binary #", "#: [#: {#",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "swordfish"
		if got := faultsOf(strings.ReplaceAll(text, "#", secret)); strings.Contains(got, secret) {
			t.Errorf("I6: %q: %s", text, got)
		}
	})
}
