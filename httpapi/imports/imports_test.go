package imports

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
)

var (
	errAway   = &refusal.Error{Code: refusal.Unavailable, Text: "away"}
	errBroken = &refusal.Error{Code: refusal.Invalid, Text: "broken"}
)

// newImport is an import of lines "SESSION VALUE" that are stored by store.
func newImport(body string, store func(session, value string) (bool, error)) *Import[[2]string] {
	return &Import[[2]string]{
		Body: func(context.Context) (io.Reader, func() bool) {
			return strings.NewReader(body), func() bool { return true }
		},
		MaxLine: 100,
		Decode: func(text []byte) ([2]string, string, error) {
			session, value, ok := strings.Cut(string(text), " ")
			if !ok {
				return [2]string{}, "", errBroken
			}
			return [2]string{session, value}, session, nil
		},
		Store: func(_ context.Context, _ uint64, line [2]string) (bool, error) { return store(line[0], line[1]) },
		Refusal: func(err error) *refusal.Error {
			e, _ := errors.AsType[*refusal.Error](err)
			return e
		},
		Away: errAway,
		Log:  slog.New(slog.DiscardHandler),
	}
}

// The lines of one session are stored in their order, and each line counts once.
func TestRun_KeepsTheOrderOfASession(t *testing.T) {
	var body strings.Builder
	for i := range 3000 {
		body.WriteString("s" + strconv.Itoa(i%50) + " " + strconv.Itoa(i) + "\n\n")
	}
	body.WriteString("broken\ns1 " + strings.Repeat("x", 200) + "\n")
	var mu sync.Mutex
	stored := map[string][]int{}
	counts, err := newImport(body.String(), func(session, value string) (bool, error) {
		n, err := strconv.Atoi(value)
		mu.Lock()
		defer mu.Unlock()
		stored[session] = append(stored[session], n)
		return n%2 == 1, err
	}).Run(t.Context())
	if err != nil || counts.Stored != 1500 || counts.Expired != 1500 || counts.Failed != 2 || counts.Lines() != 3002 {
		t.Errorf("got %+v, %v", counts, err)
	}
	for session, values := range stored {
		if len(values) != 60 || !slices.IsSorted(values) {
			t.Errorf("%s: %v", session, values)
		}
	}
	if got, want := string(counts.Append(nil)), `,"errors":[{"line":6001,"message":"broken"},{"line":6002,"message":"the line is too long: at most 100 bytes"}]`; !strings.HasSuffix(got, want) {
		t.Errorf("got %s", got)
	}
}

// A store that stays away ends the import, and the error says where.
func TestRun_GivesUp(t *testing.T) {
	_, err := newImport("a 1\na 2\na 3\n", func(_, value string) (bool, error) {
		if value == "1" {
			return false, nil
		}
		return false, errAway
	}).Run(t.Context())
	const want = "away; line 2 is the first that was not taken, 1 were stored, 0 were expired, 0 failed; the whole import can be sent again"
	if e, ok := errors.AsType[*refusal.Error](err); !ok || e.Error() != want || e.Code != refusal.Unavailable || !e.Close {
		t.Errorf("got %v", err)
	}
}
