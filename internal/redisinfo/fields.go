package redisinfo

import (
	"iter"
	"strings"
)

// Fields takes apart what INFO or CLUSTER INFO says: its values by name, as the
// server calls them. There are none in "".
func Fields(info string) map[string]string {
	fields := map[string]string{}
	for name, value := range all(info) {
		if _, has := fields[name]; !has {
			fields[name] = value
		}
	}
	return fields
}

// Field finds one of the Fields, "" if it is not there.
func Field(info, name string) string {
	for n, value := range all(info) {
		if n == name {
			return value
		}
	}
	return ""
}

func all(info string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for line := range strings.Lines(info) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !yield(name, value) {
				return
			}
		}
	}
}
