package config

import (
	"io"

	"go.yaml.in/yaml/v3"
)

// Value is the effective value of a setting as it was given, "" if it has none.
func (c *Config) Value(setting string) string { return c.values[setting] }

// Print prints the effective configuration as YAML that --config takes,
// in the order of the table, with the password of the Redis URL masked. (I6)
func (c *Config) Print(w io.Writer) error {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range settings(&Config{}) {
		if s.from != anywhere {
			continue
		}
		v := c.values[s.Name]
		if s.value.secret {
			v = c.RedisURL.Masked
		}
		node := &yaml.Node{Kind: yaml.ScalarNode, Tag: s.value.kind, Value: v}
		if s.value.kind == listKind {
			node = &yaml.Node{Kind: yaml.SequenceNode}
			for _, m := range members(v) {
				node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: m})
			}
		}
		doc.Content = append(doc.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: s.Name}, node)
	}
	b, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
