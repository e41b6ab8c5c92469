package caller

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// AppendAPIKey returns the text of a keys file with one more entry. Comments
// stay. A text without keys becomes a new file. Any other text that ParseAPIKeys
// refuses is refused, and a key that does not fit in: a name or hash that is
// taken, a permission that does not exist.
func AppendAPIKey(text []byte, k APIKey) ([]byte, error) {
	before, err := parseAPIKeys(text)
	if err != nil {
		return nil, err
	}
	list, err := readAPIKeys(text)
	if err != nil {
		return nil, err
	}
	for _, other := range list {
		if other.Name == k.Name {
			return nil, fmt.Errorf("there is a key with the name %q already", k.Name)
		}
	}
	written := apiKeyYAML{Name: k.Name, UserID: k.UserID, AgentID: k.AgentID, Permissions: k.Permissions, SHA256: k.SHA256}
	if k.Rate != nil {
		written.Rate, written.Burst = &k.Rate.PerSecond, k.Rate.Burst
	}
	entry, err := yaml.Marshal([]apiKeyYAML{written})
	if err != nil {
		return nil, err
	}
	root, err := parseYAML(text)
	if err != nil {
		return nil, err
	}
	var after []byte
	if root != nil && len(root.Content) == 0 {
		return nil, errNoBlock // {}
	}
	if root == nil {
		after = fmt.Appendf(bytes.Clone(endLine(text)), "keys:\n%s", indent(entry, "  "))
	} else {
		after = insertEntry(endLine(text), root, entry)
	}
	// The text was edited as text, to keep it as its owner wrote it: look that
	// it reads as meant.
	got, err := ParseAPIKeys(after)
	if err != nil {
		return nil, err
	}
	if got.Len() != before.Len()+1 {
		return nil, errNoBlock
	}
	return after, nil
}

var errNoBlock = errors.New("the keys file ends in a way that no entry can be appended to; put the list keys in block style")

// apiKeyYAML has the fields of an entry in the order in which they are written.
type apiKeyYAML struct {
	Name        string   `yaml:"name"`
	UserID      string   `yaml:"userId"`
	AgentID     string   `yaml:"agentId,omitempty"`
	Permissions []string `yaml:"permissions,flow"`
	Rate        *float64 `yaml:"rate,omitempty"`
	Burst       int      `yaml:"burst,omitempty"`
	SHA256      string   `yaml:"sha256"`
}

// insertEntry puts entry at the end of the list keys, which is the only field
// of root and so ends the text.
func insertEntry(text []byte, root *yaml.Node, entry []byte) []byte {
	list := root.Content[1]
	if list.Kind == yaml.SequenceNode && len(list.Content) > 0 && list.Style&yaml.FlowStyle == 0 {
		lines := strings.Split(string(text), "\n")
		first := lines[list.Content[0].Line-1]
		margin := first[:len(first)-len(strings.TrimLeft(first, " "))]
		return append(bytes.Clone(text), indent(entry, margin)...)
	}
	if list.Tag == "!!null" && list.Value == "" {
		return append(bytes.Clone(text), indent(entry, "  ")...)
	}
	// An empty or inline list: write what stands in it line by line.
	var doc, items yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || yaml.Unmarshal(entry, &items) != nil {
		return text
	}
	name := doc.Content[0].Content[0]
	list = doc.Content[0].Content[1]
	// A comment behind the list has no place behind its lines.
	name.HeadComment = strings.TrimPrefix(name.HeadComment+"\n"+list.LineComment, "\n")
	list.LineComment = ""
	list.Kind, list.Tag, list.Value, list.Style = yaml.SequenceNode, "!!seq", "", 0
	list.Content = append(list.Content, items.Content[0].Content...)
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if e.Encode(&doc) != nil {
		return text
	}
	return out.Bytes()
}

// endLine returns text with a newline at its end, if there is text.
func endLine(text []byte) []byte {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return append(bytes.Clone(text), '\n')
	}
	return text
}

// indent puts margin before every line.
func indent(text []byte, margin string) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		out = append(append(out, margin...), line...)
	}
	return out
}
