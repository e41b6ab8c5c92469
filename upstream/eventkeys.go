package upstream

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
)

const (
	// MaxEventKeys is how many keys there may be.
	MaxEventKeys = 16
	// leastEventKey and mostEventKey are the lengths of the shortest and of the longest, in bytes. ZITADEL decides how long its keys are.
	leastEventKey, mostEventKey = 8, 512
)

// EventKeys are those that ZITADEL signs events with, the oldest first. They are immutable, and shown nowhere. (I6)
type EventKeys struct{ all [][]byte }

// ParseEventKeys reads keys, each on a line of its own. Its errors repeat nothing of them. (I6)
func ParseEventKeys(text []byte) (*EventKeys, error) {
	k := &EventKeys{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		key := strings.TrimSpace(line)
		switch {
		case key == "":
			continue
		case len(k.all) == MaxEventKeys:
			return nil, fmt.Errorf("has more than %d keys", MaxEventKeys)
		case len(key) < leastEventKey || len(key) > mostEventKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
			return nil, fmt.Errorf("line %d: a signing key must have %d to %d printable characters of ASCII, without spaces", n, leastEventKey, mostEventKey)
		}
		k.all = append(k.all, []byte(key))
	}
	if len(k.all) == 0 {
		return nil, errors.New("has no signing key: `cloakroom zitadel-setup --apply` gets one from ZITADEL")
	}
	return k, nil
}

// Len is how many there are; nil has none.
func (k *EventKeys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.all)
}

// All yields them, the oldest first. They must not be changed.
func (k *EventKeys) All() iter.Seq2[int, []byte] { return slices.All(k.all) }

// String says how many there are.
func (k *EventKeys) String() string {
	if len(k.all) == 1 {
		return "1 signing key"
	}
	return fmt.Sprintf("%d signing keys", len(k.all))
}

// GoString is String, so that no %#v shows more.
func (k *EventKeys) GoString() string { return k.String() }

// LogValue is String.
func (k *EventKeys) LogValue() slog.Value { return slog.StringValue(k.String()) }
