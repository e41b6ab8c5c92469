package scenario

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// asking is a kind of request about sessions that CreateSession has made.
type asking int

const (
	verifies asking = iota // whether a token is that of its session
	gets
	searches // a user's sessions
	creates
	deletes
	refusals // a verify of what was deleted, which must not be good
)

func (k asking) String() string {
	return []string{"verify", "get", "search", "create", "delete", "verify after a delete"}[k]
}

// The mix of upstream-mix: of a hundred requests so many are verifies, gets and searches; all others are writes.
const (
	mixVerifies = 80
	mixGets     = 15
	mixSearches = 4
)

// aboutCreated are the scenarios that ask for sessions of CreateSession, at any server that speaks ZITADEL's API.
var aboutCreated = map[string]func(r *rand.Rand) asking{
	"get":    func(*rand.Rand) asking { return gets },
	"verify": func(*rand.Rand) asking { return verifies },
	"search": func(*rand.Rand) asking { return searches },
	"upstream-mix": func(r *rand.Rand) asking {
		switch n := r.IntN(100); {
		case n < mixVerifies:
			return verifies
		case n < mixVerifies+mixGets:
			return gets
		case n < mixVerifies+mixGets+mixSearches:
			return searches
		}
		return creates // or deletes
	},
}

// IsAboutCreated says whether a scenario asks for sessions of CreateSession.
func IsAboutCreated(name string) bool { return aboutCreated[name] != nil }

type created struct {
	Config
	next func(r *rand.Rand) asking
}

// newAboutCreated makes the scenario with that name. The mix asks again and again for the first Hot sessions, and now and then for one of the others, each
// of them once; the others ask for all, some much more often.
func newAboutCreated(name string) func(Config) load.Scenario {
	return func(c Config) load.Scenario {
		if name != "upstream-mix" {
			c.Hot, c.ColdShare = len(c.Created.Sessions), 0
		}
		return created{c, aboutCreated[name]}
	}
}

func (s created) Client(_ int, r *rand.Rand) load.Client {
	k := newKnown(s.Config)
	k.r, k.next, k.hot = r, s.next, newZipf(s.Hot, s.Zipf, r)
	return k
}

// Invalid says whether sessions were asked for twice that should have been asked for once.
func (s created) Invalid() string {
	if n, most := s.Created.cold.Load(), int64(len(s.Created.Sessions)-s.Hot); s.ColdShare > 0 && n > most {
		return fmt.Sprintf("%d cold sessions were asked for, and there are %d", n, most)
	}
	return ""
}

// known asks for sessions of which ID, token and user are known.
type known struct {
	Config
	r    *rand.Rand
	next func(*rand.Rand) asking
	hot  *zipf

	kind    asking
	session Session // of the request that is under way
	own     Session // that it has created, and not yet deleted
	deleted Session // and then deleted: the next verify is of this one

	text         []byte
	idAt, userAt place
}

func newKnown(c Config) *known { return &known{Config: c} }

func (k *known) Next(b []byte) ([]byte, int) {
	k.kind = k.next(k.r)
	switch {
	case k.kind == creates && k.own.ID != "":
		k.kind, k.session, k.own = deletes, k.own, Session{}
	case k.kind == creates:
		k.session = Session{UserID: k.pick().UserID}
	case k.kind == verifies && k.deleted.ID != "":
		k.kind, k.session, k.deleted = refusals, k.deleted, Session{}
	case k.kind != searches && k.ColdShare > 0 && k.r.Float64() < k.ColdShare:
		k.session = k.takeCold()
	default:
		k.session = k.pick()
	}
	return k.request(b)
}

// pick returns a hot session.
func (k *known) pick() Session { return k.Created.Sessions[spread(k.hot.next(), k.hot.n)] }

// takeCold returns a session that nobody has asked for; if there is none left, the run is invalid.
func (k *known) takeCold() Session {
	if i := k.Hot + int(k.Created.cold.Add(1)) - 1; i < len(k.Created.Sessions) {
		return k.Created.Sessions[i]
	}
	return k.pick()
}

// request appends the request, and returns the status that its answer must have.
func (k *known) request(b []byte) ([]byte, int) {
	switch k.kind {
	case gets:
		return k.plain(b, "GET", k.session.ID, ""), 200
	case searches:
		body := `{"query":{"offset":"0","limit":` + fmt.Sprint(searchLimit) + `,"asc":false},` + byCreation + `,"queries":[{"userIdQuery":{"id":"` + k.session.UserID + `"}}]}`
		return append(b, k.withBody("POST", SearchPath, body)...), 200
	case creates:
		body, err := createBody(k.session.UserID, k.Password)
		if err != nil {
			panic(err) // of texts
		}
		return append(b, k.withBody("POST", strings.TrimSuffix(SessionPath, "/"), string(body))...), 201
	case deletes:
		return k.plain(b, "DELETE", k.session.ID, ""), 200
	}
	good, refused := 200, 404 // ZITADEL has no verify: there GetSession tells whether a token is good
	if k.HasVerify {
		refused = 401
		b = append(append(append(b, "GET /verify HTTP/1.1\r\nHost: "...), k.Host...), "\r\nAuthorization: Bearer "...)
		b = append(append(append(append(b, k.session.ID...), ':'), k.session.Token...), "\r\n\r\n"...)
	} else {
		b = k.plain(b, "GET", k.session.ID, k.session.Token)
	}
	if k.kind == refusals {
		return b, refused
	}
	return b, good
}

// plain appends a request without a body for a session, with its token unless that is "".
func (k *known) plain(b []byte, method, id, token string) []byte {
	b = append(append(append(append(b, method...), ' '), SessionPath...), id...)
	if token != "" {
		b = append(append(b, "?sessionToken="...), token...)
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), k.Host...), "\r\nAuthorization: Bearer "...)
	return append(append(b, k.Key...), "\r\n\r\n"...)
}

// Check looks for the IDs of session and user.
func (k *known) Check(a *load.Answer) error {
	switch k.kind {
	case refusals:
		return nil // its status says all
	case creates:
		id, token, err := createdText(a.Body)
		if err == nil {
			k.own = Session{ID: id, Token: token, UserID: k.session.UserID}
		}
		return err
	case deletes:
		k.deleted = k.session
		if !bytes.Contains(a.Body, []byte(`"details"`)) {
			return fmt.Errorf("the delete of session %s: no details in %.200s", k.session.ID, a.Body)
		}
		return nil
	case searches:
		return k.checkSearch(a.Body)
	case verifies:
		if k.HasVerify {
			return k.checkVerify(a)
		}
	}
	if k.has(a.Body, k.session.ID, &k.idAt) && k.has(a.Body, k.session.UserID, &k.userAt) {
		return nil
	}
	return k.isSession(k.session)(a.Body) // its JSON may have spaces
}

// has says whether a body has an ID, as a member of that name.
func (k *known) has(body []byte, id string, at *place) bool {
	k.text = append(append(append(k.text[:0], `"id":"`...), id...), '"')
	return at.find(body, k.text) >= 0
}

func (k *known) checkVerify(a *load.Answer) error {
	if !bytes.HasPrefix(a.Body, active) || !k.has(a.Body, k.session.ID, &k.idAt) {
		return fmt.Errorf("session %s is not what is good: %.200s", k.session.ID, a.Body)
	}
	k.text = append(append(append(k.text[:0], "\r\nX-Session-User: "...), k.session.UserID...), "\r\n"...)
	if k.userAt.find(a.Head, k.text) < 0 {
		return fmt.Errorf("session %s: no X-Session-User %s", k.session.ID, k.session.UserID)
	}
	return nil
}

const (
	// searchLimit is how long the page of a search may be.
	searchLimit = 100
	// mostListed is of how many known sessions of a user all must be on the page: those that the run creates are before them.
	mostListed = searchLimit / 2
)

// checkSearch looks for the oldest and the newest of the user's known sessions. A list may not show the latest writes, but these were before the run.
func (k *known) checkSearch(body []byte) error {
	ids := k.Created.ofUser[k.session.UserID]
	if len(ids) > mostListed {
		ids = nil
	}
	for _, at := range []int{0, len(ids) - 1} {
		if len(ids) > 0 && !bytes.Contains(body, []byte(`"`+ids[at]+`"`)) {
			return fmt.Errorf("session %s of user %s is not found", ids[at], k.session.UserID)
		}
	}
	return nil
}

// Deep returns a check of all that is known.
func (k *known) Deep() func([]byte) error {
	session := k.session
	switch {
	case k.kind == verifies && k.HasVerify:
		return func(body []byte) error {
			var got verifiedJSON
			if err := json.Unmarshal(body, &got); err != nil {
				return err
			}
			if !got.Active || got.ID != session.ID || got.Subject != session.UserID {
				return fmt.Errorf("session %s of user %s (active: %t) instead of %s of %s", got.ID, got.Subject, got.Active, session.ID, session.UserID)
			}
			return nil
		}
	case k.kind == gets || k.kind == verifies:
		return k.isSession(session)
	case k.kind == searches:
		return k.areOf(session.UserID)
	}
	return nil
}

// isSession returns a check that a body is an answer about a session.
func (k *known) isSession(want Session) func([]byte) error {
	return func(body []byte) error {
		var got struct{ Session SessionJSON }
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		if s := &got.Session; s.ID != want.ID || s.Factors.User.ID != want.UserID {
			return fmt.Errorf("session %q of user %q instead of %s of %s", s.ID, s.Factors.User.ID, want.ID, want.UserID)
		}
		return nil
	}
}

// areOf returns a check that a page is of a user alone, and has its known sessions.
func (k *known) areOf(user string) func([]byte) error {
	ids := k.Created.ofUser[user]
	return func(body []byte) error {
		var got struct{ Sessions []SessionJSON }
		if err := json.Unmarshal(body, &got); err != nil {
			return err
		}
		var found []string
		for i := range got.Sessions {
			if of := got.Sessions[i].Factors.User.ID; of != user {
				return fmt.Errorf("a search for user %s finds session %s of %q", user, got.Sessions[i].ID, of)
			}
			found = append(found, got.Sessions[i].ID)
		}
		if len(ids) > mostListed {
			if len(found) < searchLimit {
				return fmt.Errorf("the page has %d sessions of user %s, and the dataset has %d", len(found), user, len(ids))
			}
			return nil
		}
		for _, id := range ids {
			if !slices.Contains(found, id) {
				return fmt.Errorf("session %s of user %s is not found", id, user)
			}
		}
		return nil
	}
}

// Lost forgets what may or may not have been written.
func (k *known) Lost() {}

// askOnce asks for session i over a connection, and checks the answer.
func (k *known) askOnce(c *Caller, kind asking, i int) error {
	k.kind, k.session = kind, k.Created.Sessions[i]
	request, want := k.request(nil)
	a, err := load.Exchange(c.conn, request)
	switch {
	case err != nil:
		return err
	case a.Status != want:
		return fmt.Errorf("%s of session %s: status %d, not %d: %.200s", kind, k.session.ID, a.Status, want, a.Body)
	}
	return errors.Join(k.Check(a), k.Deep()(a.Body))
}
