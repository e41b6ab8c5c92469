// Package issuer is bench issuer: an OpenID Connect issuer whose tokens are all known. Its directory
// has its keys and tokens, so that the processes of a measurement agree on them. Look here when a
// token is refused, or to give tokens another shape.
package issuer

import (
	"crypto"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Names in the file that Cloakroom reads: of the issuer, and whom its tokens are for.
const (
	Name            = "bench"
	audience        = "bench-api"
	gateway         = "bench-gateway" // gets its logout tokens
	introspectsAs   = "bench-introspection"
	secretBytes     = 24
	settingsFile    = "issuer.json"
	cloakroomFile   = "issuers.yaml"
	privateFileMode = 0o600
)

// Algorithms are those that tokens can be signed by.
var Algorithms = []string{"RS256", "ES256"}

// Issuer signs tokens. It is safe for concurrent use.
type Issuer struct {
	settings
	dir  string
	keys map[string]*key // by algorithm
}

// settings are what a process must know of the issuer besides its keys.
type settings struct {
	URL    string
	Secret string // of who introspects
}

// Open opens the issuer that bench issuer keeps in a directory.
func Open(dir string) (*Issuer, error) {
	i := &Issuer{dir: dir, keys: map[string]*key{}}
	text, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if err != nil {
		return nil, fmt.Errorf("--issuer: bench issuer has left nothing there: %w", err)
	}
	if err := json.Unmarshal(text, &i.settings); err != nil {
		return nil, fmt.Errorf("--issuer: %s: %w", settingsFile, err)
	}
	for _, algorithm := range Algorithms {
		if i.keys[algorithm], err = readKey(dir, algorithm); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// create makes an issuer with new keys in a directory.
func create(dir, url string) (*Issuer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	i := &Issuer{settings: settings{URL: url, Secret: randomText(secretBytes)}, dir: dir, keys: map[string]*key{}}
	for _, algorithm := range Algorithms {
		k, err := newKey(algorithm)
		if err != nil {
			return nil, err
		}
		if err := k.write(dir); err != nil {
			return nil, err
		}
		i.keys[algorithm] = k
	}
	text, err := json.Marshal(i.settings)
	if err != nil {
		return nil, err
	}
	return i, os.WriteFile(filepath.Join(dir, settingsFile), text, privateFileMode)
}

// writeCloakroomFile writes the file for --auth-issuers-file.
func (i *Issuer) writeCloakroomFile() error {
	text := fmt.Sprintf("issuers:\n  - name: %s\n    issuer: %s\n    audience: [%s]\n    logout: {audience: [%s]}\n    verify: {}\n", Name, i.URL, audience, gateway)
	return os.WriteFile(filepath.Join(i.dir, cloakroomFile), []byte(text), privateFileMode)
}

// Public returns the public key of an algorithm.
func (i *Issuer) Public(algorithm string) crypto.PublicKey { return i.keys[algorithm].private.Public() }

// CheckAlgorithm fails if there is no such algorithm.
func CheckAlgorithm(name string) error {
	if slices.Contains(Algorithms, name) {
		return nil
	}
	return fmt.Errorf("unknown algorithm %q: %s", name, strings.Join(Algorithms, ", "))
}
