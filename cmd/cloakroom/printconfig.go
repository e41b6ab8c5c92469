package main

import (
	"io"

	"go.yaml.in/yaml/v3"
)

// value is the effective value of a setting as it was given, "" if it has none.
func (c *config) value(setting string) string { return c.values[setting] }

// print prints the effective configuration as YAML that --config takes,
// in the order of the table, with the password of the Redis URL masked. (I6)
func (c *config) print(w io.Writer) error {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range settings(&config{}) {
		if s.from != anywhere {
			continue
		}
		v := c.values[s.name]
		if s.value.secret {
			v = c.redisURL.masked
		}
		node := &yaml.Node{Kind: yaml.ScalarNode, Tag: s.value.kind, Value: v}
		if s.value.kind == listKind {
			node = &yaml.Node{Kind: yaml.SequenceNode}
			for _, m := range members(v) {
				node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: m})
			}
		}
		doc.Content = append(doc.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: s.name}, node)
	}
	b, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
