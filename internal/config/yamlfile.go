package config

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/suggest"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// readFile reads the YAML file into k, each value as it is written. It says
// whether the file could be read as YAML.
func readFile(path, source string, pipes followed.Pipes, table []Setting, k *koanf.Koanf, wrong *usage.Faults) bool {
	text, err := followed.Read(path, pipes)
	if err != nil {
		wrong.Addf("%s: %v", source, err)
		return false
	}
	var doc map[string]yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		wrong.Addf("%s: %s", source, fileProblem(path, err))
		return false
	}
	found := map[string]*yaml.Node{}
	lists := map[string]bool{}
	for _, s := range table {
		lists[s.name] = s.value.kind == listKind
	}
	flatten(doc, "", lists, found)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		i := slices.IndexFunc(table, func(s Setting) bool { return s.name == name && s.from == anywhere })
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
	return true
}

// flatten puts the values of doc into found by their names. Those in a mapping,
// which no setting is but a list, get its name, delim, and their own.
func flatten(doc map[string]yaml.Node, prefix string, lists map[string]bool, found map[string]*yaml.Node) {
	for name, v := range doc {
		var inner map[string]yaml.Node
		// An alias of a mapping is not followed: it may lead into itself.
		if v.Kind == yaml.MappingNode && !lists[prefix+name] && v.Decode(&inner) == nil && len(inner) > 0 {
			flatten(inner, prefix+name+delim, lists, found)
			continue
		}
		if v.Kind == yaml.AliasNode {
			v = *v.Alias
		}
		found[prefix+name] = &v
	}
}

// fileProblem says what is wrong with a file, without quoting its content,
// which may be anything. (I6)
func fileProblem(path string, err error) string {
	var types *yaml.TypeError
	if errors.As(err, &types) {
		for _, e := range types.Errors {
			if strings.Contains(e, "mapping key") {
				return path + ": " + e
			}
		}
		return path + " must be a YAML mapping of settings to values"
	}
	problem := path + ": " + err.Error()
	if strings.Contains(problem, "mapping values are not allowed") {
		problem += ` (a value that ends in a colon needs quotes: redis-url: "embedded:")`
	}
	return problem
}

// fileNames are the names of the settings that a file may have.
func fileNames(table []Setting) (names []string) {
	for _, s := range table {
		if s.from == anywhere {
			names = append(names, s.name)
		}
	}
	return names
}
