package caller

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/strictyaml"
)

// APIKey is one entry of a keys file, with its fields in the order in which they
// are written. The hash comes last: without all of it, an entry is refused.
type APIKey struct {
	// Name tells the key apart in logs.
	Name string `yaml:"name"`
	// UserID is the caller behind the key: the creator of the sessions that it creates.
	UserID string `yaml:"userId"`
	// AgentID is the fingerprint of the caller's user agent; "" has none.
	AgentID string `yaml:"agentId,omitempty"`
	// Permissions are session.read, session.write, session.delete, each for
	// the instance, or with @ORG for one organization.
	Permissions []string `yaml:"permissions,flow"`
	// Rate limits the key's requests; nil takes the limit that all keys have, one
	// of 0 has none.
	Rate *KeyRate `yaml:",inline"`
	// SHA256 is the hash of the secret, in hex. The secret itself is kept nowhere. (I6)
	SHA256 string `yaml:"sha256"`
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
// it may have been cut short. The error lists all faults, each with its field,
// and repeats no value of the file, where a secret may stand. (I6)
func ParseAPIKeys(text []byte) (*APIKeys, error) {
	k, err := parseAPIKeys(text)
	if err == nil && k.Len() == 0 {
		return nil, errors.New("the keys file has no keys: the list keys must have at least one entry")
	}
	return k, err
}

// parseAPIKeys reads a keys file, which may be empty.
func parseAPIKeys(text []byte) (*APIKeys, error) {
	root, err := strictyaml.Read(text)
	if err != nil {
		return nil, err
	}
	k := &APIKeys{byHash: map[[sha256.Size]byte]*Caller{}}
	if !root.Given() {
		return k, nil
	}
	names := map[string]string{}
	root.Object(strictyaml.Fields{"keys": unlessNull(func(v strictyaml.Value) {
		for _, entry := range v.List() {
			c, hash := readAPIKey(entry)
			if at, taken := names[c.Name]; taken && c.Name != "" {
				entry.Field("name").Fault("is also that of %s", at)
			} else {
				names[c.Name] = entry.At
			}
			switch {
			case hash == nil:
			case k.byHash[[sha256.Size]byte(hash)] != nil:
				entry.Field("sha256").Fault("is also that of another entry")
			default:
				k.byHash[[sha256.Size]byte(hash)] = c
			}
		}
	})})
	if err := root.Err(); err != nil {
		return nil, err
	}
	return k, nil
}

// unlessNull reads what may be null, which is as if it were not there.
func unlessNull(read func(v strictyaml.Value)) func(v strictyaml.Value) {
	return func(v strictyaml.Value) {
		if !v.IsNull() {
			read(v)
		}
	}
}

// readAPIKey reads one entry: the caller behind a key, and the hash of its
// secret, nil if that is at fault.
func readAPIKey(v strictyaml.Value) (c *Caller, hash []byte) {
	c = &Caller{}
	var rate KeyRate
	v.Object(strictyaml.Fields{
		"name":    func(v strictyaml.Value) { v.Name(1, session.MaxNameLen, &c.Name) },
		"userId":  func(v strictyaml.Value) { v.Name(1, session.MaxNameLen, &c.UserID) },
		"agentId": unlessNull(func(v strictyaml.Value) { v.Name(0, session.MaxNameLen, &c.AgentID) }),
		"permissions": unlessNull(func(v strictyaml.Value) {
			for _, p := range v.List() {
				var name string
				if p.Text(&name) {
					if err := c.permit(name); err != nil {
						p.Fault("%v", err)
					}
				}
			}
		}),
		"rate": func(v strictyaml.Value) {
			if r := &rate.PerSecond; v.IsNull() || v.Node.Decode(r) != nil || !(*r == 0 || *r >= 0.001 && *r <= MaxKeyRate) {
				v.Fault("must be a number of requests a second from 0.001 to %d, or 0 for no limit", MaxKeyRate)
			}
			c.rate = &rate
		},
		"burst": func(v strictyaml.Value) {
			if b := &rate.Burst; v.Node.Tag != "!!int" || v.Node.Decode(b) != nil || *b < 1 || *b > MaxKeyRate {
				v.Fault("must be a whole number from 1 to %d", MaxKeyRate)
			}
		},
		"sha256": func(v strictyaml.Value) {
			var err error
			if hash, err = hex.DecodeString(v.Node.Value); err != nil || len(hash) != sha256.Size {
				v.Fault("must be the SHA-256 of a key, 64 hexadecimal digits")
				hash = nil
			}
		},
	}, "name", "userId", "sha256")
	if burst := v.Field("burst"); burst.Given() && c.rate == nil {
		burst.Fault("needs a rate")
	}
	return c, hash
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
