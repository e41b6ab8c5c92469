package caller

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/strictyaml"
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
	entry, err := yaml.Marshal([]APIKey{k})
	if err != nil {
		return nil, err
	}
	root, err := strictyaml.Read(text)
	if err != nil {
		return nil, err
	}
	after, margin := bytes.Clone(text), "  "
	if len(text) > 0 && text[len(text)-1] != '\n' {
		after = append(after, '\n')
	}
	switch {
	case !root.Given():
		after = append(after, "keys:\n"...)
	case root.Field("keys").IsList():
		margin = strings.Repeat(" ", root.Field("keys").Node.Column-1) // where its first dash is
	}
	for line := range bytes.Lines(entry) {
		after = append(append(after, margin...), line...)
	}
	// Whether an entry may stand there, the YAML library says.
	root, err = strictyaml.Read(after)
	if list := root.Field("keys"); err != nil || !list.IsList() || len(list.List()) != before.Len()+1 {
		return nil, errNotAppendable
	}
	if _, err := parseAPIKeys(after); err != nil {
		return nil, fmt.Errorf("with the new entry: %w", err)
	}
	return after, nil
}
