package main

import (
	"io"

	"go.yaml.in/yaml/v3"
)

// printConfig prints the effective configuration as YAML that --config takes,
// in the order of the table, with the password of the Redis URL masked. (I6)
func printConfig(w io.Writer, c *config) error {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range settings(&config{}) {
		if s.from != anywhere {
			continue
		}
		v := c.values[s.name]
		if s.value.secret {
			v = c.redisURL.masked
		}
		doc.Content = append(doc.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: s.name},
			&yaml.Node{Kind: yaml.ScalarNode, Tag: s.value.kind, Value: v})
	}
	b, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
