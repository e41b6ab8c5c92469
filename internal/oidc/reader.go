package oidc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// reader reads YAML that knows its fields, and collects all faults. They name
// fields and lines, and repeat no value: it may be a secret that was put in the
// wrong place. (I6)
type reader struct {
	faults []error
	// read reads the files that are named.
	read func(name string) ([]byte, error)
}

// fields are the fields that an object may have, and who reads them.
type fields map[string]func(n *yaml.Node, at string)

// fault notes what is wrong with the field at; n, if known, tells the line.
func (r *reader) fault(at string, n *yaml.Node, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if at == "" {
		at = "the file"
	}
	if n != nil {
		text = fmt.Sprintf("line %d: %s", n.Line, text)
	}
	r.faults = append(r.faults, fmt.Errorf("%s: %s", at, text))
}

// lineOf finds the line in an error of the YAML library.
var lineOf = regexp.MustCompile(`: line \d+`)

// document returns the one YAML document in text.
func document(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var doc, more yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, errors.New("not YAML" + lineOf.FindString(err.Error()))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one YAML document")
	}
	return doc.Content[0], nil
}

// each calls f for every field of an object.
func (r *reader) each(n *yaml.Node, at string, f func(name string, v *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		r.fault(at, n, "must have fields")
		return
	}
	var seen []string
	for k := 0; k+1 < len(n.Content); k += 2 {
		key, v := n.Content[k], n.Content[k+1]
		name := at + "." + key.Value
		if at == "" {
			name = key.Value
		}
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge" || v.Kind == yaml.AliasNode:
			r.fault(at, key, "aliases and merges are not read")
		case slices.Contains(seen, key.Value):
			r.fault(name, key, "is given twice")
		default:
			f(key.Value, v, name)
		}
		seen = append(seen, key.Value)
	}
}

// object reads an object and returns the fields that were given. Other fields
// than those known are faults, and so are required ones that are missing.
func (r *reader) object(n *yaml.Node, at string, known fields, required ...string) (given []string) {
	before := len(r.faults)
	r.each(n, at, func(name string, v *yaml.Node, at string) {
		read, ok := known[name]
		if !ok {
			names := make([]string, 0, len(known))
			for k := range known {
				names = append(names, k)
			}
			slices.Sort(names)
			r.fault(at, v, "is not known here; known are %s", strings.Join(names, ", "))
			return
		}
		given = append(given, name)
		read(v, at)
	})
	if n.Kind != yaml.MappingNode && len(r.faults) > before {
		return nil
	}
	for _, name := range required {
		if !slices.Contains(given, name) {
			r.fault(at+"."+name, nil, "is missing")
		}
	}
	return given
}

// peek calls f for one field of an object, if it is there.
func (r *reader) peek(n *yaml.Node, name string, f func(*yaml.Node)) {
	for k := 0; n.Kind == yaml.MappingNode && k+1 < len(n.Content); k += 2 {
		if n.Content[k].Value == name {
			f(n.Content[k+1])
			return
		}
	}
}

// list returns the entries of a list, nil if n is none.
func (r *reader) list(n *yaml.Node, at string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		r.fault(at, n, "must be a list")
		return nil
	}
	if n.Content == nil {
		return []*yaml.Node{}
	}
	return n.Content
}

// text reads a text, as it is written: 0123 is no number here.
func (r *reader) text(n *yaml.Node, at string, to *string) bool {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || strings.ContainsFunc(n.Value, func(c rune) bool { return c < ' ' }) {
		r.fault(at, n, "must be a text")
		return false
	}
	*to = n.Value
	return true
}

func (r *reader) boolean(n *yaml.Node, at string, to *bool) {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		r.fault(at, n, "must be true or false")
		return
	}
	*to = n.Value == "true"
}

func (r *reader) duration(n *yaml.Node, at string, least, most time.Duration, to *time.Duration) {
	d, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || d < least || d > most {
		r.fault(at, n, "must be a duration from %v to %v, as 90s", least, most)
		return
	}
	*to = d
}
