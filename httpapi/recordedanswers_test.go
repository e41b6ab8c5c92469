package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/protocol"
)

// differentAnswersFile has our answer to each exchange that differs, one a line:
// name, status, content type and the body as mask writes it. go test -update
// writes it.
const differentAnswersFile = "testdata/zitadel-differences.txt"

// differentAnswers compares our answers with those of the file.
type differentAnswers struct {
	want map[string]string // by the exchange's name
	now  bytes.Buffer      // the file as it would be
}

func readDifferentAnswers(t *testing.T) *differentAnswers {
	t.Helper()
	text, err := os.ReadFile(differentAnswersFile)
	if err != nil && !*update {
		t.Fatal(err)
	}
	a := &differentAnswers{want: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		name, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		a.want[name] = answer
	}
	return a
}

// compare checks the answer to an exchange that is known to differ.
func (a *differentAnswers) compare(r *replay, e *recorded, got reply, known *difference) {
	r.t.Helper()
	want := a.want[e.Name]
	delete(a.want, e.Name)
	if known.timed && got.status == http.StatusGatewayTimeout && strings.Contains(got.body, protocol.ErrTooLate.Text) {
		fmt.Fprintf(&a.now, "%s: %s\n", e.Name, want)
		return
	}
	status := known.status
	if status == 0 {
		status = e.Status
	}
	if got.status != status {
		r.t.Errorf("%s: the status is %d, want %d: %s", e.Name, got.status, status, got.body)
	}
	answer := fmt.Sprintf("%d %s %s", got.status, got.header.Get("Content-Type"), r.masked(e, got))
	fmt.Fprintf(&a.now, "%s: %s\n", e.Name, answer)
	if answer != want && !*update {
		r.t.Errorf("%s: the answer is\n\t%s\n\twant, by %s,\n\t%s", e.Name, answer, differentAnswersFile, want)
	}
}

// end checks that the file has nothing else, or writes it.
func (a *differentAnswers) end(t *testing.T) {
	t.Helper()
	if *update {
		if err := os.WriteFile(differentAnswersFile, a.now.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for name := range a.want {
		t.Errorf("%s has %q, which is no difference", differentAnswersFile, name)
	}
}
