package upstream

import (
	"log/slog"
)

// Authorization says with whose credentials a call is made. The zero value has none. It is shown
// nowhere. (I6)
type Authorization struct {
	ours  bool
	value string
}

// AsOurs makes a call with the credentials of the client.
func AsOurs() Authorization { return Authorization{ours: true} }

// As makes a call with a caller's own Authorization header, exactly as it was given.
func As(header string) Authorization { return Authorization{value: header} }

// Ours says whether a call is made with our credentials.
func (a Authorization) Ours() bool { return a.ours }

// String says whose credentials they are.
func (a Authorization) String() string {
	switch {
	case a.ours:
		return "ours"
	case a.value == "":
		return "none"
	}
	return "a caller's"
}

// GoString is String, so that no %#v shows the value.
func (a Authorization) GoString() string { return a.String() }

// LogValue is String.
func (a Authorization) LogValue() slog.Value { return slog.StringValue(a.String()) }
