// Package strictyaml reads YAML files whose fields are known, and collects all
// that is wrong with them. Faults name fields and lines, and repeat no value: it
// may be a secret that was put in the wrong place. (I6)
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Value is a value in a file. Its methods note what is wrong with it among the
// faults of its file, and go on. The values of one file are not safe for
// concurrent use.
type Value struct {
	// At is the path to the value, as issuers[0].name; "" is that of the whole file.
	At string
	// Node is what stands there, nil if nothing does.
	Node   *yaml.Node
	faults *[]error
}

// Fields are the fields that an object may have, and their readers.
type Fields map[string]func(v Value)

// Read returns the one YAML document in text; its Node is nil if it is empty or
// null. The error says that text is not one YAML document.
func Read(text []byte) (Value, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	root := Value{faults: new([]error)}
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return root, nil
	} else if err != nil {
		return root, notYAML(err)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return root, errors.New("there is more than one YAML document")
	}
	if root.Node = doc.Content[0]; root.IsNull() {
		root.Node = nil
	}
	return root, nil
}

// notYAML hands on what the library says, unless that has a name from the file. (I6)
func notYAML(err error) error {
	problem := strings.TrimPrefix(err.Error(), "yaml: ")
	switch {
	case strings.Contains(problem, "anchor"):
		problem = "an alias has no anchor"
	case strings.Contains(problem, "mapping values are not allowed"):
		problem += ` (a value that ends in a colon needs quotes: "embedded:")`
	}
	return errors.New("not YAML: " + problem)
}

// Faults are all faults of the file that were found, in order.
func (v Value) Faults() []error { return *v.faults }

// Err joins the faults of the file, nil if there are none.
func (v Value) Err() error { return errors.Join(*v.faults...) }

// Fault notes what is wrong with v. The text must repeat no value. (I6)
func (v Value) Fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if v.Node != nil {
		text = fmt.Sprintf("line %d: %s", v.Node.Line, text)
	}
	if v.At == "" {
		v.At = "the file"
	}
	*v.faults = append(*v.faults, fmt.Errorf("%s: %s", v.At, text))
}

// Given says whether something stands there; null counts.
func (v Value) Given() bool { return v.Node != nil }

// IsNull says whether null stands there, or nothing behind the colon.
func (v Value) IsNull() bool { return v.Given() && v.Node.Tag == "!!null" }

// IsList says whether a list stands there.
func (v Value) IsList() bool { return v.Given() && v.Node.Kind == yaml.SequenceNode }

// isScalar says whether neither a list nor an object stands there.
func (v Value) isScalar() bool { return v.Given() && v.Node.Kind == yaml.ScalarNode }

// isObject says whether an object stands there.
func (v Value) isObject() bool { return v.Given() && v.Node.Kind == yaml.MappingNode }

// field returns the value n of the field name, which may be nil. An alias of a
// text or a list is followed, one of an object is not: it may lead into itself.
func (v Value) field(name string, n *yaml.Node) Value {
	if v.At != "" {
		name = v.At + "." + name
	}
	return Value{name, follow(n), v.faults}
}

func follow(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode && n.Alias.Kind != yaml.MappingNode {
		return n.Alias
	}
	return n
}

// Field returns the value of a field, which need not be given.
func (v Value) Field(name string) Value {
	for k := 0; v.isObject() && k+1 < len(v.Node.Content); k += 2 {
		if v.Node.Content[k].Value == name {
			return v.field(name, v.Node.Content[k+1])
		}
	}
	return v.field(name, nil)
}

// Each calls f for every field of an object. The faults of the object itself name
// no field: a secret may stand where a name belongs. (I6)
func (v Value) Each(f func(name string, v Value)) {
	if !v.isObject() {
		v.Fault("must have fields")
		return
	}
	seen := map[string]bool{}
	for k := 0; k+1 < len(v.Node.Content); k += 2 {
		key := v.Node.Content[k]
		value := v.field(key.Value, v.Node.Content[k+1])
		switch at := (Value{v.At, key, v.faults}); {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || value.Node.Kind == yaml.AliasNode:
			at.Fault("merges, and aliases of what has fields, are not read")
		case seen[key.Value]:
			at.Fault("a field is given twice")
		default:
			f(key.Value, value)
		}
		seen[key.Value] = true
	}
}

// Object reads an object. Fields that are not known are faults, and so are
// required ones that are missing.
func (v Value) Object(known Fields, required ...string) {
	v.Each(func(name string, field Value) {
		if read, ok := known[name]; ok {
			read(field)
			return
		}
		field.At = v.At
		field.Fault("a field is not known here; known are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	})
	for _, name := range required {
		if field := v.Field(name); v.isObject() && !field.Given() {
			field.Fault("is missing")
		}
	}
}

// List returns the entries of a list.
func (v Value) List() (entries []Value) {
	if !v.IsList() {
		v.Fault("must be a list")
		return nil
	}
	for k, n := range v.Node.Content {
		entries = append(entries, Value{fmt.Sprintf("%s[%d]", v.At, k), follow(n), v.faults})
	}
	return entries
}

// Text reads a text without control characters, as it is written: 0123 is no
// number here.
func (v Value) Text(to *string) bool {
	if !v.isScalar() || v.IsNull() || strings.ContainsFunc(v.Node.Value, func(c rune) bool { return c < ' ' }) {
		v.Fault("must be a text")
		return false
	}
	*to = v.Node.Value
	return true
}

// Name reads a text of least to most characters.
func (v Value) Name(least, most int, to *string) {
	if v.Text(to) {
		if n := utf8.RuneCountInString(*to); n < least || n > most {
			v.Fault("must have %d to %d characters", least, most)
		}
	}
}

// Names reads a list of at least one text of 1 to most characters each.
func (v Value) Names(most int) []string {
	entries := v.List()
	names := make([]string, len(entries))
	for k, entry := range entries {
		entry.Name(1, most, &names[k])
	}
	if v.IsList() && len(entries) == 0 {
		v.Fault("must have at least one entry")
	}
	return names
}

// Boolean reads true or false.
func (v Value) Boolean(to *bool) {
	if !v.isScalar() || v.Node.Value != "true" && v.Node.Value != "false" {
		v.Fault("must be true or false")
		return
	}
	*to = v.Node.Value == "true"
}

// Duration reads a duration from least to most.
func (v Value) Duration(least, most time.Duration, to *time.Duration) {
	if v.isScalar() {
		if d, err := time.ParseDuration(v.Node.Value); err == nil && d >= least && d <= most {
			*to = d
			return
		}
	}
	v.Fault("must be a duration from %v to %v, as 90s", least, most)
}
