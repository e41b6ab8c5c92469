package httpapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func compareStatus(e *recorded, got reply) (faults []string) {
	if got.status != e.Status {
		faults = append(faults, fmt.Sprintf("the status is %d, want %d: %.300s", got.status, e.Status, got.body))
	}
	if e.Cut == "" && e.Answer != "" && got.header.Get("Content-Type") != e.Type {
		faults = append(faults, fmt.Sprintf("the content type is %q, want %q", got.header.Get("Content-Type"), e.Type))
	}
	if got.header.Get("Allow") != e.Allow && e.Allow != "" {
		faults = append(faults, fmt.Sprintf("Allow is %q, want %q", got.header.Get("Allow"), e.Allow))
	}
	return faults
}

// masked is our answer as mask writes it, with ZITADEL's IDs.
func (r *replay) masked(e *recorded, got reply) string {
	answer := got.body
	for theirs, ours := range r.ours {
		if recordedIDs.MatchString(theirs) {
			answer = strings.ReplaceAll(answer, ours, theirs)
		}
	}
	return mask(r.t, e, answer)
}

func (r *replay) compareBody(e *recorded, got reply) []string {
	ours, theirs := r.masked(e, got), mask(r.t, e, e.Answer)
	if ours == theirs {
		return nil
	}
	return []string{fmt.Sprintf("the answer is\n\t%s\n\twant\n\t%s", ours, theirs)}
}

// mask writes an answer so that it can be compared. Each mask is for something
// that is random or the time of a step within a request, or for a difference
// that docs/api.md has.
func mask(t testing.TB, e *recorded, body string) string {
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var tree map[string]any
	if d.Decode(&tree) != nil {
		return body
	}
	maskObject(tree)
	if list, ok := tree["sessions"].([]any); ok && !strings.Contains(e.Body, "sortingColumn") && !strings.Contains(e.Body, "sorting_column") {
		// differs: the order without a sorting column
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(idOf(a), idOf(b)) })
		if strings.Contains(e.Body, "limit") {
			tree["sessions"] = len(list)
		}
	}
	if message, ok := tree["message"].(string); ok && syntaxError.MatchString(message) {
		tree["message"] = "(malformed)" // differs: the words about malformed JSON
	}
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// syntaxError are the texts about malformed JSON, ZITADEL's of three libraries and ours.
var syntaxError = regexp.MustCompile(`^(proto:|unmarshal message:|invalid character |unexpected EOF)`)

func idOf(v any) string {
	id, _ := v.(map[string]any)["id"].(string)
	return id
}

func maskObject(o map[string]any) {
	for name, v := range o {
		switch name {
		case "sessionId", "sessionToken":
			if v != "" {
				o[name] = "(random)"
			}
		case "verifiedAt":
			o[name] = "(a step)" // of the request, a little before the changeDate
		case "timestamp":
			o[name] = "(now)" // ZITADEL: when its last event was projected
		case "sequence":
			o[name] = "(counted)" // differs: it counts events
		case "debug":
			delete(o, name) // differs: details of errors have it by Connect
		case "processedSequence":
			delete(o, name) // differs: zeros are there
		case "totalResult":
			if v == "0" {
				delete(o, name) // differs: zeros are there
			}
		case "sessions":
			if list, ok := v.([]any); ok && len(list) == 0 {
				delete(o, name) // differs: zeros are there
			}
		case "user":
			if u, ok := v.(map[string]any); ok { // differs: ZITADEL fills names in
				delete(u, "loginName")
				delete(u, "displayName")
				delete(u, "organizationId")
			}
		}
		switch v := v.(type) {
		case map[string]any:
			maskObject(v)
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					maskObject(e)
				}
			}
		}
	}
}
