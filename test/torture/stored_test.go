package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// stored are sessions that do not change, so that it is known what each answer must be. Each was created a second after the
// one before, five of each user.
type stored struct{ n int }

// storedSince is when the first of them was created.
var storedSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (stored) id(i int) string   { return fmt.Sprintf("stored-%06d", i) }
func (stored) user(i int) string { return fmt.Sprintf("user-%d", i/5) }
func (stored) created(i int) string {
	return storedSince.Add(time.Duration(i) * time.Second).Format(time.RFC3339)
}

// expires is when all of them do.
func (stored) expires() string { return storedSince.AddDate(100, 0, 0).Format(time.RFC3339) }

// store imports n sessions through a process.
func store(t *testing.T, c *sidecar, n int) stored {
	t.Helper()
	s := stored{n}
	importAll(t, c, n, func(i int) map[string]any {
		return map[string]any{
			"id": s.id(i), "creationDate": s.created(i), "expirationDate": s.expires(), "metadata": metadata(s.id(i), 1),
			"userAgent": map[string]any{"fingerprintId": agentOf(s.user(i))},
			"factors": map[string]any{
				"user":     map[string]any{"id": s.user(i), "verifiedAt": s.created(i)},
				"password": map[string]any{"verifiedAt": s.created(i)},
			},
		}
	})
	return s
}

// storeLater imports n sessions that were created before the stored ones and end later: a search for what ends before them
// would otherwise count the few that it leaves out, and examine none.
func storeLater(t *testing.T, c *sidecar, n int) {
	t.Helper()
	importAll(t, c, n, func(i int) map[string]any {
		return map[string]any{
			"id": fmt.Sprintf("later-%06d", i), "creationDate": storedSince.Add(-time.Duration(i+1) * time.Second).Format(time.RFC3339),
			"expirationDate": storedSince.AddDate(102, 0, 0).Format(time.RFC3339),
		}
	})
}

// importAll imports n sessions through a process.
func importAll(t *testing.T, c *sidecar, n int, session func(i int) map[string]any) {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		line, err := json.Marshal(session(i))
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	response, err := newGenerator(t, c, nil).send(&question{method: http.MethodPost, path: "/v2/sessions/import", body: lines.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer fasthttp.ReleaseResponse(response)
	var counts struct{ Stored int }
	if err := json.Unmarshal(response.Body(), &counts); err != nil || counts.Stored != n {
		t.Fatalf("import of %d sessions: %v: status %d: %.500s", n, err, response.StatusCode(), response.Body())
	}
}

// get asks for one session after the other.
func (s stored) get(n int) question {
	i := n % s.n
	return question{http.MethodGet, "/v2/sessions/" + s.id(i), "", func(body string) error {
		var a details
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			return err
		}
		if a.Session == nil || !s.is(i, a.Session) {
			return errors.New("another session")
		}
		return nil
	}}
}

// is says whether a document is that of the i-th session.
func (s stored) is(i int, d *document) bool {
	return d.ID == s.id(i) && string(d.Metadata.Label) == s.id(i) && d.Factors.User.ID == s.user(i) && d.UserAgent.FingerprintID == agentOf(s.user(i))
}

// mostShown is the most sessions that an answer has.
const mostShown = 1000

// costly asks for the newest n sessions such that each of them has to be examined, after storeLater.
func (s stored) costly(n int) question {
	between := func(date, method string) string {
		return `{"creationDateQuery":{"creationDate":"` + date + `","method":"TIMESTAMP_QUERY_METHOD_` + method + `"}}`
	}
	body := `{"queries":[` + between(s.created(s.n-n), "GREATER_OR_EQUALS") + `,` + between(s.created(s.n-1), "LESS_OR_EQUALS") +
		`,{"expirationDateQuery":{"expirationDate":"` + storedSince.AddDate(101, 0, 0).Format(time.RFC3339) + `","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]}`
	return question{http.MethodPost, "/v2/sessions/search", body, func(body string) error {
		var a details
		if err := json.Unmarshal([]byte(body), &a); err != nil {
			return err
		}
		if a.Details.Total != fmt.Sprint(n) || len(a.Sessions) != min(n, mostShown) {
			return fmt.Errorf("it found %s, and shows %d", a.Details.Total, len(a.Sessions))
		}
		for i, d := range a.Sessions {
			if !s.is(s.n-1-i, d) {
				return fmt.Errorf("%s is at place %d", d.ID, i)
			}
		}
		return nil
	}}
}
