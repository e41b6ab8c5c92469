package httpapi

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
)

const (
	apiDoc     = "../docs/api.md"
	clientsDoc = "../docs/clients.md"
	explainDoc = "../docs/explain.md"
)

func readDoc(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// inDoc is how docs/api.md names a route: those of Connect all at once.
func inDoc(r *route) string {
	if r.connect() {
		return r.method + " " + strings.TrimSuffix(r.path, r.call) + "CALL"
	}
	return r.method + " " + r.path
}

// docs/api.md names every route, every error with an ID, every permission and
// every query.
func TestDocsNameEverything(t *testing.T) {
	doc := readDoc(t, apiDoc)
	var names []string
	for _, r := range routes {
		names = append(names, "`"+inDoc(&r)+"`", "| "+r.call+" |")
	}
	for _, e := range []*refusal.Error{
		caller.ErrNoCredentials, caller.ErrBadCredentials, errDenied, errGetToken, errDeleteToken, errUnknownSession, errLimit,
		refusal.NoRoute, refusal.NoMethod, errConflict,
	} {
		names = append(names, "`"+e.Error()+"`")
	}
	names = append(names, "session.read", "session.write", "session.delete", "idsQuery", "userIdQuery", "creationDateQuery",
		"creatorQuery", "userAgentQuery", "expirationDateQuery", "`List.Query.Invalid (GRPC-x8n24uh)`", "`List.Query.Invalid (GRPC-x8n23uh)`", "`cursor`", "`details.nextCursor`", "issueToken", "tokenSha256", "If-Match", "If-None-Match", headerConsistency+": fresh", "## Differences from ZITADEL")
	for _, name := range names {
		if !strings.Contains(doc, name) {
			t.Errorf("%s does not have %s", apiDoc, name)
		}
	}
	// And no route that does not exist.
	for _, m := range regexp.MustCompile("`((?:GET|POST|PUT|PATCH|DELETE) /[^` ?]*)`").FindAllStringSubmatch(doc, -1) {
		known := false
		for _, r := range routes {
			known = known || m[1] == inDoc(&r)
		}
		if !known {
			t.Errorf("%s has the route %s", apiDoc, m[1])
		}
	}
	if n := strings.Count(doc, "\n"); n > 260 {
		t.Errorf("%s has %d lines, want 260 at most", apiDoc, n)
	}
}

// sample is a place in docs/api.md that shows a body of a golden file: a
// comment with the file, the title and which half, and a block of code.
var sample = regexp.MustCompile("(?s)(<!-- golden: ([^\\n:]+): ([^\\n]+): (request|answer) -->\n```json\n)(.*?)(```)")

// The samples of docs/api.md, docs/clients.md and docs/explain.md are bodies of the golden files,
// so they are what a server takes and answers.
func TestDocsSamplesAreGolden(t *testing.T) {
	samplesAreGolden(t, apiDoc)
	samplesAreGolden(t, clientsDoc)
	samplesAreGolden(t, explainDoc)
}

func samplesAreGolden(t *testing.T, file string) {
	t.Helper()
	doc := readDoc(t, file)
	found := sample.FindAllStringSubmatch(doc, -1)
	if len(found) == 0 || len(found) != strings.Count(doc, "<!-- golden:") || len(found) != strings.Count(doc, "```json") {
		t.Fatalf("%s has %d samples, %d comments, %d blocks", file, len(found), strings.Count(doc, "<!-- golden:"), strings.Count(doc, "```json"))
	}
	for _, m := range found {
		want := goldenBody(t, m[2], m[3], m[4]) + "\n"
		if *update {
			doc = strings.Replace(doc, m[0], m[1]+want+m[6], 1)
		} else if m[5] != want {
			t.Errorf("%s: %s (%s) differs from the golden file:\n%s\nwant:\n%s", m[2], m[3], m[4], m[5], want)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func goldenBody(t *testing.T, file, title, half string) string {
	t.Helper()
	for _, e := range readGolden(t, "testdata/"+file) {
		if e.title != title {
			continue
		}
		if half == "request" {
			return e.body
		}
		_, body, _ := strings.Cut(e.answer, "\n\n")
		return body
	}
	t.Fatalf("%s has no %q", file, title)
	return ""
}
