package caller

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"go.yaml.in/yaml/v3"
)

// APIKey is one entry of a keys file.
type APIKey struct {
	// Name tells the key apart in logs.
	Name string
	// UserID is the caller behind the key: the creator of the sessions that it creates.
	UserID string
	// AgentID is the fingerprint of the caller's user agent; "" has none.
	AgentID string
	// Permissions are session.read, session.write, session.delete, each for
	// the instance, or with @ORG for one organization.
	Permissions []string
	// Rate limits the key's requests; nil takes the limit that all keys have, one
	// of 0 has none.
	Rate *KeyRate
	// SHA256 is the hash of the secret, in hex. The secret itself is kept nowhere. (I6)
	SHA256 string
}

// APIKeys are the keys that an Authenticator accepts. It is immutable; nil has none.
type APIKeys struct {
	byHash map[[sha256.Size]byte]*Caller
}

// Len is the number of keys.
func (k *APIKeys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.byHash)
}

// find returns the caller whose key is secret, or nil. It compares hashes of
// 256 random bits, so its time tells nothing about another key.
func (k *APIKeys) find(secret []byte) *Caller {
	if k == nil {
		return nil
	}
	return k.byHash[sha256.Sum256(secret)]
}

// ParseAPIKeys reads a keys file: a list `keys` of entries with name, userId,
// agentId (optional), permissions and sha256. A file without a key is refused:
// it may have been cut short. The error lists all faults, each with the entry
// and its field, and repeats no value of the file, where a secret may stand. (I6)
func ParseAPIKeys(text []byte) (*APIKeys, error) {
	k, err := parseAPIKeys(text)
	if err == nil && k.Len() == 0 {
		return nil, errors.New("the keys file has no keys: the list keys must have at least one entry")
	}
	return k, err
}

// parseAPIKeys reads a keys file, which may be empty.
func parseAPIKeys(text []byte) (*APIKeys, error) {
	list, err := readAPIKeys(text)
	faults := []error{err}
	if err != nil && list == nil {
		return nil, err
	}
	k := &APIKeys{byHash: make(map[[sha256.Size]byte]*Caller, len(list))}
	names := make(map[string]int, len(list))
	for i, key := range list {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("keys: entry %d: %s", i+1, fmt.Sprintf(format, args...)))
		}
		c, problems := key.caller()
		for _, p := range problems {
			fault("%s", p)
		}
		if first, taken := names[key.Name]; taken && key.Name != "" {
			fault("name: also that of entry %d", first+1)
		} else {
			names[key.Name] = i
		}
		hash, err := hex.DecodeString(key.SHA256)
		switch {
		case key.SHA256 == "":
			fault("sha256: is missing")
		case err != nil || len(hash) != sha256.Size:
			fault("sha256: must be the SHA-256 of a key, 64 hexadecimal digits")
		case k.byHash[[sha256.Size]byte(hash)] != nil:
			fault("sha256: also that of another entry")
		default:
			k.byHash[[sha256.Size]byte(hash)] = c
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return k, nil
}

// caller returns the caller behind k, and what is wrong with k.
func (k *APIKey) caller() (*Caller, []string) {
	var problems []string
	for _, f := range []struct {
		name, value string
		required    bool
	}{{"name", k.Name, true}, {"userId", k.UserID, true}, {"agentId", k.AgentID, false}} {
		if f.required && f.value == "" {
			problems = append(problems, f.name+": is missing")
		}
		if utf8.RuneCountInString(f.value) > session.MaxNameLen {
			problems = append(problems, fmt.Sprintf("%s: must have at most %d characters", f.name, session.MaxNameLen))
		}
	}
	if k.Rate != nil {
		if r := k.Rate.PerSecond; !(r == 0 || r >= 0.001 && r <= MaxKeyRate) {
			problems = append(problems, fmt.Sprintf("rate: must be a number of requests a second from 0.001 to %d, or 0 for no limit", MaxKeyRate))
		}
		if k.Rate.Burst < 0 || k.Rate.Burst > MaxKeyRate {
			problems = append(problems, fmt.Sprintf("burst: must be a whole number from 1 to %d", MaxKeyRate))
		}
	}
	c := &Caller{Name: k.Name, UserID: k.UserID, AgentID: k.AgentID, rate: k.Rate}
	for i, p := range k.Permissions {
		if err := c.permit(p); err != nil {
			problems = append(problems, fmt.Sprintf("permissions[%d]: %s", i, err))
		}
	}
	return c, problems
}

// readAPIKeys reads the entries as they are written. A nil list means that the
// text is no keys file at all.
func readAPIKeys(text []byte) ([]APIKey, error) {
	root, err := parseYAML(text)
	if err != nil || root == nil {
		return nil, err
	}
	list := []APIKey{}
	var faults []error
	err = eachField(root, "the keys file", func(name string, value *yaml.Node) error {
		if name != "keys" {
			return fmt.Errorf("line %d: a field is not known here: a keys file has only the list keys", value.Line)
		}
		if value.Tag == "!!null" {
			return nil
		}
		if value.Kind != yaml.SequenceNode {
			return fmt.Errorf("line %d: keys must be a list", value.Line)
		}
		for i, entry := range value.Content {
			key, err := readAPIKey(entry, i)
			if err != nil {
				faults = append(faults, err)
			}
			list = append(list, key)
		}
		return nil
	})
	return list, errors.Join(append(faults, err)...)
}

func readAPIKey(entry *yaml.Node, i int) (key APIKey, err error) {
	var rate *float64
	var burst *int
	err = eachField(entry, fmt.Sprintf("keys: entry %d", i+1), func(name string, value *yaml.Node) error {
		var into any
		switch name {
		case "name":
			into = &key.Name
		case "userId":
			into = &key.UserID
		case "agentId":
			into = &key.AgentID
		case "sha256":
			into = &key.SHA256
		case "permissions":
			into = &key.Permissions
		case "rate":
			into = &rate
		case "burst":
			into = &burst
		default:
			return fmt.Errorf("keys: entry %d: line %d: must be a field of a key: name, userId, agentId, permissions, rate, burst or sha256", i+1, value.Line)
		}
		if value.Decode(into) != nil || name == "burst" && value.Tag != "!!int" || name == "rate" && value.Tag == "!!null" {
			want := "a text"
			switch name {
			case "permissions":
				want = "a list of texts"
			case "rate":
				want = "a number"
			case "burst":
				want = "a whole number"
			}
			return fmt.Errorf("keys: entry %d: %s: line %d: must be %s", i+1, name, value.Line, want)
		}
		return nil
	})
	switch {
	case rate != nil:
		key.Rate = &KeyRate{PerSecond: *rate}
		if burst != nil {
			key.Rate.Burst = *burst
			if *burst == 0 {
				key.Rate.Burst = -1 // it would mean that none is given
			}
		}
	case burst != nil && err == nil:
		err = fmt.Errorf("keys: entry %d: burst: needs a rate", i+1)
	}
	return key, err
}

// lineOf finds the line in an error of the YAML library.
var lineOf = regexp.MustCompile(`: line \d+`)

// parseYAML returns the one document in text, nil if it is empty.
func parseYAML(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	var doc, more yaml.Node
	if err := d.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		// What the library says may repeat what stands there.
		return nil, errors.New("not YAML" + lineOf.FindString(err.Error()))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("a keys file has only one YAML document")
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil, nil
	}
	return doc.Content[0], nil
}

// eachField calls f for each field of a mapping and joins the errors.
func eachField(n *yaml.Node, what string, f func(name string, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: line %d: must have fields", what, n.Line)
	}
	var faults []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		if seen[name] {
			faults = append(faults, fmt.Errorf("%s: line %d: a field is given twice", what, value.Line))
			continue
		}
		seen[name] = true
		faults = append(faults, f(name, value))
	}
	return errors.Join(faults...)
}

// apiKeyPrefix begins every API key.
const apiKeyPrefix = "ck_"

// NewAPIKeySecret makes the secret of an API key, "ck_" and 43 characters that
// hold 256 random bits, and the hash that a keys file has of it.
func NewAPIKeySecret() (secret, sha256Hex string) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	secret = apiKeyPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	hash := sha256.Sum256([]byte(secret))
	return secret, hex.EncodeToString(hash[:])
}
