package caller

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// errNotAppendable says that nothing can be appended to a keys file.
var errNotAppendable = errors.New("no entry can be appended: the list keys must be in block style, and end the file; run `cloakroom key new` without --file, and put the entry that it prints into the list")

// AppendAPIKey returns the text of a keys file with one more entry at its end, and
// a line end before it if that is missing; the text itself stays as it is. A text
// without keys becomes a new file. It refuses a text that ParseAPIKeys refuses, one
// that no entry can be appended to, and a key that does not fit in: a name or hash
// that is taken, a permission that does not exist.
func AppendAPIKey(text []byte, k APIKey) ([]byte, error) {
	before, err := parseAPIKeys(text)
	if err != nil {
		return nil, err
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
	after, margin := bytes.Clone(text), "  "
	if len(text) > 0 && text[len(text)-1] != '\n' {
		after = append(after, '\n')
	}
	switch {
	case root == nil:
		after = append(after, "keys:\n"...)
	case len(root.Content) == 2 && root.Content[1].Kind == yaml.SequenceNode:
		margin = strings.Repeat(" ", root.Content[1].Column-1) // where its first dash is
	}
	for line := range bytes.Lines(entry) {
		after = append(append(after, margin...), line...)
	}
	// Whether an entry may stand there, the YAML library says.
	if list, err := readAPIKeys(after); err != nil || len(list) != before.Len()+1 {
		return nil, errNotAppendable
	}
	if _, err := ParseAPIKeys(after); err != nil {
		return nil, err
	}
	return after, nil
}

// apiKeyYAML has the fields of an entry in the order in which they are written.
// The hash comes last: without all of it, an entry is refused.
type apiKeyYAML struct {
	Name        string   `yaml:"name"`
	UserID      string   `yaml:"userId"`
	AgentID     string   `yaml:"agentId,omitempty"`
	Permissions []string `yaml:"permissions,flow"`
	Rate        *float64 `yaml:"rate,omitempty"`
	Burst       int      `yaml:"burst,omitempty"`
	SHA256      string   `yaml:"sha256"`
}
