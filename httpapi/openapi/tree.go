package openapi

import (
	"encoding/json"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// tree is a value of JSON that keeps the order of its members. It is an object if it has names or is the zero value, else a
// list, else what scalar says.
type tree struct {
	names  []string
	values map[string]*tree
	list   []*tree
	isList bool
	// scalar is the value as JSON; nil for objects and lists.
	scalar json.RawMessage
}

// plain makes a tree of a YAML document: aliases are replaced by what they stand for, and merged mappings (<<) by their
// members, which those beside them override.
func plain(n *yaml.Node) (*tree, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return plain(n.Content[0])
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.MappingNode:
		t := &tree{}
		for i := 0; i < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			v, err := plain(value)
			if err != nil {
				return nil, err
			}
			if key.Tag != "!!merge" {
				t.set(key.Value, v)
				continue
			}
			for _, name := range v.names {
				if t.get(name) == nil {
					t.set(name, v.values[name])
				}
			}
		}
		return t, nil
	case yaml.SequenceNode:
		t := &tree{isList: true}
		for _, item := range n.Content {
			v, err := plain(item)
			if err != nil {
				return nil, err
			}
			t.list = append(t.list, v)
		}
		return t, nil
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return nil, err
	}
	return scalar(value)
}

// scalar makes a tree of a text, a number or a boolean.
func scalar(value any) (*tree, error) {
	text, err := json.Marshal(value)
	return &tree{scalar: text}, err
}

// get returns a member, nil if t is nil or has none of that name.
func (t *tree) get(names ...string) *tree {
	for _, name := range names {
		if t == nil {
			return nil
		}
		t = t.values[name]
	}
	return t
}

// text returns the text that t is, "" if it is none.
func (t *tree) text() (s string) {
	if t != nil && t.scalar != nil && json.Unmarshal(t.scalar, &s) != nil {
		return string(t.scalar) // a number or a boolean
	}
	return s
}

// set adds a member, or replaces it.
func (t *tree) set(name string, value *tree) {
	if t.values == nil {
		t.values = map[string]*tree{}
	}
	if t.values[name] == nil {
		t.names = append(t.names, name)
	}
	t.values[name] = value
}

// take adds the members of other. Both may have a name only if it is an object in both.
func (t *tree) take(other *tree) error {
	for _, name := range other.names {
		have, more := t.values[name], other.values[name]
		switch {
		case have == nil:
			t.set(name, more)
		case len(have.names) == 0 || len(more.names) == 0:
			return fmt.Errorf("%s is given twice", name)
		default:
			if err := have.take(more); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// appendJSON appends t as JSON.
func (t *tree) appendJSON(b []byte) (_ []byte, err error) {
	switch {
	case t.scalar != nil:
		return append(b, t.scalar...), nil
	case t.isList:
		b = append(b, '[')
		for i, item := range t.list {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = item.appendJSON(b); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	b = append(b, '{')
	for i, name := range t.names {
		if i > 0 {
			b = append(b, ',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b = append(append(b, quoted...), ':')
		if b, err = t.values[name].appendJSON(b); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}
