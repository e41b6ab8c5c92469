package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

const (
	// MaxKeys is how many keys there may be.
	MaxKeys = 16
	// leastKey and mostKey are the lengths of the shortest and of the longest, in bytes. ZITADEL decides how long its keys are.
	leastKey, mostKey = 8, 512
)

// Keys are those that ZITADEL signs events with, the oldest first. They are immutable, and shown nowhere. (I6)
type Keys struct{ all [][]byte }

// ParseKeys reads keys, each on a line of its own. Its errors repeat nothing of them. (I6)
func ParseKeys(text []byte) (*Keys, error) {
	k := &Keys{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		key := strings.TrimSpace(line)
		switch {
		case key == "":
			continue
		case len(k.all) == MaxKeys:
			return nil, fmt.Errorf("has more than %d keys", MaxKeys)
		case len(key) < leastKey || len(key) > mostKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("line %d: a signing key must have %d to %d printable characters of ASCII, without spaces", n, leastKey, mostKey)
		}
		k.all = append(k.all, []byte(key))
	}
	if len(k.all) == 0 {
		return nil, errors.New("has no signing key: `cloakroom zitadel-setup --apply` gets one from ZITADEL")
	}
	return k, nil
}

// Len is how many there are.
func (k *Keys) Len() int { return len(k.all) }

// String says how many there are.
func (k *Keys) String() string { return fmt.Sprintf("%d signing keys", len(k.all)) }

// GoString is String, so that no %#v shows more.
func (k *Keys) GoString() string { return k.String() }

// LogValue is String.
func (k *Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }
