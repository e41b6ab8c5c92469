package scenario

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// found is the truth about a search: how many sessions match, and which of them
// the page has, in order.
type found struct {
	total int
	page  []int
	first pattern // "id":"…" of a session, to look for

	totalAt place
	at      []place // of the page's sessions, each behind the one before
}

func newFound() found {
	return found{first: newPattern([]byte(`"id":"` + sessionPrefix + places(sessionDigits) + `"`))}
}

// check looks for the total, and for the page's sessions in their order, of a
// long page for the first and the last.
func (f *found) check(body []byte) error {
	var total [32]byte
	want := append(strconv.AppendInt(append(total[:0], `"totalResult":"`...), int64(f.total), 10), '"')
	if f.totalAt.find(body, want) < 0 {
		return fmt.Errorf("no %s in %.120s", want, body)
	}
	rest, step := body, 1
	if len(f.page) > 10 {
		step = len(f.page) - 1
	}
	for k, n := 0, 0; k < len(f.page); k, n = k+step, n+1 {
		if n == len(f.at) {
			f.at = append(f.at, 0)
		}
		f.first.put(f.page[k])
		i := f.at[n].find(rest, f.first.bytes)
		if i < 0 {
			return fmt.Errorf("session %s is not in its place", SessionID(f.page[k]))
		}
		rest = rest[i+len(f.first.bytes):]
	}
	return nil
}

// deep returns a check of all sessions on the page.
func (f *found) deep(d Dataset) func(body []byte) error {
	page := slices.Clone(f.page)
	return func(body []byte) error {
		var got struct{ Sessions []SessionJSON }
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		if len(got.Sessions) != len(page) {
			return fmt.Errorf("%d sessions on the page, not %d", len(got.Sessions), len(page))
		}
		for k := range got.Sessions {
			if err := got.Sessions[k].isSession(d, page[k]); err != nil {
				return err
			}
		}
		return nil
	}
}

func sameDate(id, field, got string, want time.Time) error {
	if t, err := time.Parse(time.RFC3339Nano, got); err != nil || !t.Equal(want) {
		return fmt.Errorf("session %s: %s %q instead of %s", id, field, got, Date(want))
	}
	return nil
}

const (
	// SessionPath is where a session is; its ID follows.
	SessionPath = "/v2/sessions/"
	// SearchPath is where searches are sent.
	SearchPath = "/v2/sessions/search"
	byCreation = `"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE"`
)

func creationQuery(t time.Time, method string) string {
	return `{"creationDateQuery":{"creationDate":"` + Date(t) + `","method":"TIMESTAMP_QUERY_METHOD_` + method + `"}}`
}

type searchUser struct{ Config }

// newSearchUser asks for a user's sessions since a date: all five of them.
func newSearchUser(c Config) load.Scenario { return searchUser{c} }

func (s searchUser) Client(_ int, r *rand.Rand) load.Client {
	body := `{"query":{"offset":"0","limit":100,"asc":false},` + byCreation + `,"queries":[{"userIdQuery":{"id":"` + userPrefix + places(userDigits) + `"}},` +
		creationQuery(s.Data.Created(0).Add(-time.Hour), "GREATER_OR_EQUALS") + `]}`
	return &userSearcher{
		data:    s.Data,
		users:   newZipf(s.Data.Users(), s.Zipf, r),
		request: newPattern(s.withBody("POST", SearchPath, body)),
		found:   newFound(),
	}
}

type userSearcher struct {
	data    Dataset
	users   *zipf
	request pattern
	user    int
	found   found
}

func (u *userSearcher) Next(b []byte) ([]byte, int) {
	u.user = spread(u.users.next(), u.users.n)
	u.request.put(u.user)
	u.found.total, u.found.page = PerUser, u.found.page[:0]
	for k := PerUser - 1; k >= 0; k-- {
		u.found.page = append(u.found.page, u.data.OfUser(u.user, k))
	}
	return append(b, u.request.bytes...), 200
}

func (u *userSearcher) Check(a *load.Answer) error    { return u.found.check(a.Body) }
func (u *userSearcher) Deep() func(body []byte) error { return u.found.deep(u.data) }

func (u *userSearcher) Lost() {}

type searchAdmin struct{ Config }

// newSearchAdmin asks for pages of everything that was created between two dates.
func newSearchAdmin(c Config) load.Scenario { return searchAdmin{c} }

func (s searchAdmin) Client(_ int, r *rand.Rand) load.Client {
	return &adminSearcher{Config: s.Config, r: r, found: newFound()}
}

type adminSearcher struct {
	Config
	r      *rand.Rand
	at     int
	bodies []byte
	found  found
}

func (s *adminSearcher) Next(b []byte) ([]byte, int) {
	if s.at = s.Offset; s.at < 0 {
		s.at = s.r.IntN(max(1, s.Data.Sessions-s.Limit))
	}
	d := s.Data
	s.bodies = fmt.Appendf(s.bodies[:0], `{"query":{"offset":"%d","limit":%d,"asc":false},%s,"queries":[%s,%s]}`, s.at, s.Limit, byCreation,
		creationQuery(d.Created(0), "GREATER_OR_EQUALS"), creationQuery(d.Newest, "LESS_OR_EQUALS"))
	s.found.total, s.found.page = d.Sessions, s.found.page[:0]
	for i := d.Sessions - 1 - s.at; i >= 0 && len(s.found.page) < s.Limit; i-- {
		s.found.page = append(s.found.page, i)
	}
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", s.head("POST", SearchPath), len(s.bodies), s.bodies), 200
}

func (s *adminSearcher) Check(a *load.Answer) error    { return s.found.check(a.Body) }
func (s *adminSearcher) Deep() func(body []byte) error { return s.found.deep(s.Data) }

func (s *adminSearcher) Lost() {}
