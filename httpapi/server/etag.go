package server

import "strings"

// HasETag says whether a list of entity tags, as in If-None-Match (RFC 9110, 13.1.2), has one.
func HasETag(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == etag {
			return true
		}
	}
	return false
}
