package config

import (
	"maps"
	"slices"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/strictyaml"
	"github.com/cloakroom-dev/cloakroom/internal/suggest"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// readFile reads the YAML file into k, each value as it is written. It says
// whether all fields of the file could be read.
func readFile(path, source string, pipes followed.Pipes, table []Setting, k *koanf.Koanf, wrong *usage.Faults) bool {
	text, err := followed.Read(path, pipes)
	if err != nil {
		wrong.Addf("%s: %v", source, err)
		return false
	}
	doc, err := strictyaml.Read(text)
	if err != nil {
		wrong.Addf("%s: %s: %v", source, path, err)
		return false
	}
	found := map[string]*yaml.Node{}
	lists := map[string]bool{}
	for _, s := range table {
		lists[s.Name] = s.value.kind == listKind
	}
	if doc.Given() {
		flatten(doc, "", lists, found)
	}
	for _, err := range doc.Faults() {
		wrong.Addf("%s: %s: %v", source, path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		i := slices.IndexFunc(table, func(s Setting) bool { return s.Name == name && s.from == anywhere })
		if i < 0 {
			wrong.Addf("file: unknown setting %s%s", usage.Quote(name), suggest.DidYouMean("", name, fileNames(table)))
			continue
		}
		v := found[name]
		if lists[name] {
			text, err := listText(v)
			if err != nil || v.Tag == "!!null" {
				wrong.Addf("file: %s must be %s", name, table[i].value.allowed)
				continue
			}
			_ = k.Set(name, text)
			continue
		}
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			wrong.Addf("file: %s must be a single value: %s", name, table[i].value.allowed)
			continue
		}
		// The text, not what YAML makes of it: 0123 is no octal number here.
		// Setting a single key cannot fail.
		_ = k.Set(name, v.Value)
	}
	return doc.Err() == nil
}

// flatten puts the values of doc into found by their names. Those in a mapping,
// which no setting is but a list, get its name, delim, and their own.
func flatten(doc strictyaml.Value, prefix string, lists map[string]bool, found map[string]*yaml.Node) {
	doc.Each(func(name string, v strictyaml.Value) {
		name = prefix + name
		if v.Node.Kind == yaml.MappingNode && !lists[name] && len(v.Node.Content) > 0 {
			flatten(v, name+delim, lists, found)
			return
		}
		found[name] = v.Node
	})
}

// fileNames are the names of the settings that a file may have.
func fileNames(table []Setting) (names []string) {
	for _, s := range table {
		if s.from == anywhere {
			names = append(names, s.Name)
		}
	}
	return names
}
