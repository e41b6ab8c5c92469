package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// elsewhere makes n sessions of a user at ZITADEL itself, and returns their IDs.
func (f *upstreamFixture) elsewhere(n int, want zitadeltest.Session) (ids []string) {
	f.t.Helper()
	for range n {
		id, _ := f.zitadel.CreateSession(want)
		ids = append(ids, id)
	}
	return ids
}

// anotherUser adds a user, and returns its ID.
func (f *upstreamFixture) anotherUser(organization string) string {
	u := zitadeltest.User{ID: f.zitadel.NewID(), Password: "Password1!", OrganizationID: organization}
	f.zitadel.AddUser(u)
	return u.ID
}

// left fails the test unless ZITADEL has exactly these sessions.
func (f *upstreamFixture) left(want ...string) {
	f.t.Helper()
	got := f.zitadel.SessionIDs()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.t.Errorf("ZITADEL has %d sessions %v, want %d: %v", len(got), got, len(want), want)
	}
}

func ofUser(id string) string { return `{"queries":[{"userIdQuery":{"id":"` + id + `"}}]}` }

// refused is the answer to a revocation that has not done all that it was asked for.
type refusedRevocation struct {
	Code                     int
	Message, Revoked, Failed string
}

func (f *upstreamFixture) revokeFails(status int, body, revoked, failed string) refusedRevocation {
	f.t.Helper()
	var got refusedRevocation
	r := f.want(status, "admin", "POST", "/v2/sessions/revoke", body)
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Revoked != revoked || got.Failed != failed ||
		!strings.Contains(got.Message, "; "+revoked+" sessions were revoked") || !strings.Contains(got.Message, "to send the request again is to go on") {
		f.t.Errorf("got %s, want %s revoked and %s failed", r.body, revoked, failed)
	}
	return got
}

// All sessions of a user end there and here, those that were never seen here, too; and no other.
func TestUpstreamRevoke_EndsSessionsAtZITADEL(t *testing.T) {
	for name, change := range map[string]func(*zitadeltest.Settings){
		"recorded":          func(*zitadeltest.Settings) {},
		"relational tables": func(s *zitadeltest.Settings) { s.RelationalTables = true },
		"newer limits":      func(s *zitadeltest.Settings) { s.DefaultListLimit, s.MaxListLimit = 100, 1000 },
		"late lists":        func(s *zitadeltest.Settings) { s.ListLag = 300 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			f := newUpstreamFixture(t)
			other := f.anotherUser("")
			f.elsewhere(230, zitadeltest.Session{UserID: f.user.ID, Password: true})
			stay := f.elsewhere(3, zitadeltest.Session{UserID: other})
			id, token := f.create()
			kept, keptToken := f.create()
			f.zitadel.Change(change)
			body := strings.Replace(ofUser(f.user.ID), "}]", `}],"exceptIds":["`+kept+`"]`, 1)
			dry := strings.Replace(body, "}]", `}],"dryRun":true`, 1)
			if n := f.revoke("admin", dry); name != "late lists" && n != 231 {
				t.Errorf("%d would be revoked", n)
			}
			if f.zitadel.Count("DeleteSession") > 0 {
				t.Error("a dry run deletes")
			}
			f.verifies(id, token, http.StatusOK, "")
			f.zitadel.Advance(time.Second)
			f.advance(time.Second)
			if n := f.revoke("admin", body); n != 231 {
				t.Errorf("%d were revoked", n)
			}
			f.left(append(stay, kept)...)
			f.verifies(id, token, http.StatusUnauthorized, "revoked")
			f.verifies(kept, keptToken, http.StatusOK, "")
			if n := f.revoke("admin", body); name != "late lists" && n != 0 {
				t.Errorf("%d were revoked again", n)
			}
		})
	}
}

// Each query finds at ZITADEL what it says, and nothing else.
func TestUpstreamRevoke_Queries(t *testing.T) {
	f := newUpstreamFixture(t)
	agent := &sessionv2.UserAgent{FingerprintId: proto.String("fp-1")}
	type made struct{ plain, agents, created, ending, longer string }
	var m made
	var creation [2]session.Time
	for query, c := range map[string]struct {
		body func() string
		want func() []string
	}{
		"ids": {func() string { return `{"idsQuery":{"ids":["` + m.plain + `","` + m.agents + `","123","a/b"]}}` }, func() []string { return []string{m.plain, m.agents} }},
		"ids and creator": {func() string {
			return `{"idsQuery":{"ids":["` + m.plain + `","` + m.created + `"]}},{"creatorQuery":{"id":"` + f.zitadel.Admin.UserID + `"}}`
		}, func() []string { return []string{m.created} }},
		"agent":   {func() string { return `{"userAgentQuery":{"fingerprintId":"fp-1"}}` }, func() []string { return []string{m.agents} }},
		"creator": {func() string { return `{"creatorQuery":{"id":"` + f.zitadel.Admin.UserID + `"}}` }, func() []string { return []string{m.created} }},
		"creation": {func() string {
			return `{"creationDateQuery":{"creationDate":"` + creation[0].Std().Format(time.RFC3339Nano) + `","method":"TIMESTAMP_QUERY_METHOD_GREATER"}},` +
				`{"creationDateQuery":{"creationDate":"` + creation[1].Std().Format(time.RFC3339Nano) + `","method":"TIMESTAMP_QUERY_METHOD_LESS_OR_EQUALS"}}`
		}, func() []string { return []string{m.agents, m.created} }},
		"expiration": {func() string {
			return `{"expirationDateQuery":{"expirationDate":"` + f.zitadel.Now().Add(90*time.Minute).Format(time.RFC3339Nano) + `","method":"TIMESTAMP_QUERY_METHOD_GREATER"}}`
		}, func() []string { return []string{m.plain, m.agents, m.created, m.longer} }},
		"ends before": {func() string {
			return `{"expirationDateQuery":{"expirationDate":"` + f.zitadel.Now().Add(90*time.Minute).Format(time.RFC3339Nano) + `","method":"TIMESTAMP_QUERY_METHOD_LESS"}}`
		}, func() []string { return []string{m.ending} }},
		"nothing": {func() string { return `{"userIdQuery":{"id":""}}` }, func() []string { return nil }},
		"no dates": {func() string {
			return `{"creationDateQuery":{"creationDate":"9999-12-31T23:59:59.999999Z","method":"TIMESTAMP_QUERY_METHOD_GREATER"}}`
		}, func() []string { return nil }},
	} {
		f.revoke("admin", `{"all":true}`)
		f.left()
		one := func(want zitadeltest.Session) string {
			want.UserID = f.user.ID
			return f.elsewhere(1, want)[0]
		}
		m.plain = one(zitadeltest.Session{})
		creation[0] = f.creationOf(m.plain)
		m.agents = one(zitadeltest.Session{Agent: agent})
		m.created = one(zitadeltest.Session{Creator: f.zitadel.Admin.UserID})
		creation[1] = f.creationOf(m.created)
		m.ending, m.longer = one(zitadeltest.Session{Lifetime: time.Hour}), one(zitadeltest.Session{Lifetime: 2 * time.Hour})
		all := []string{m.plain, m.agents, m.created, m.ending, m.longer}
		want := c.want()
		if n := f.revoke("admin", `{"queries":[`+c.body()+`]}`); n != len(want) {
			t.Errorf("%s: %d were revoked, want %d", query, n, len(want))
		}
		f.left(slices.DeleteFunc(all, func(id string) bool { return slices.Contains(want, id) })...)
	}
	r := f.want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/revoke", `{"queries":[{"userIdQuery":{"id":"a\u0000b"}}]}`)
	if !strings.Contains(r.body, "userIdQuery must have no NUL") {
		t.Error(r.body)
	}
}

// use has Cloakroom use another account of ZITADEL.
func (f *upstreamFixture) use(token string) {
	f.t.Helper()
	credentials, err := upstream.ParseCredentials([]byte(token))
	if err != nil {
		f.t.Fatal(err)
	}
	f.server.config.Upstream.SetCredentials(credentials)
}

func (f *upstreamFixture) creationOf(id string) session.Time {
	return session.TimeOf(f.zitadel.See(f.zitadel.Login.Token, id, "").Session.GetCreationDate().AsTime())
}

// Who may delete is decided here, session by session; ZITADEL's own callers revoke nothing with our account.
func TestUpstreamRevoke_Permissions(t *testing.T) {
	f := newUpstreamFixture(t)
	one, two := f.elsewhere(1, zitadeltest.Session{UserID: f.anotherUser("org-1")})[0], f.elsewhere(1, zitadeltest.Session{UserID: f.user.ID})[0]
	own := zitadeltest.User{ID: "alice", Password: "Password1!"}
	f.zitadel.AddUser(own)
	mine := f.elsewhere(1, zitadeltest.Session{UserID: "alice"})[0]
	before := f.zitadel.Count(zitadeltest.Any)
	for _, token := range []string{f.zitadel.Admin.Token, f.zitadel.Nobody.Token, "unknown"} {
		r := f.want(http.StatusForbidden, token, "POST", "/v2/sessions/revoke", `{"all":true}`)
		if !strings.Contains(r.body, "--upstream-token-file") {
			t.Error(r.body)
		}
	}
	if asked := f.zitadel.Count(zitadeltest.Any); asked != before {
		t.Errorf("ZITADEL was asked %d times for who may not", asked-before)
	}
	for _, c := range []struct {
		as   string
		n    int
		left []string
	}{{"nobody", 0, []string{one, two, mine}}, {"reader", 0, []string{one, two, mine}}, {"alice", 1, []string{one, two}}, {"org", 1, []string{two}}, {"deleter", 1, nil}} {
		if n := f.revoke(c.as, `{"all":true}`); n != c.n {
			t.Errorf("as %s: %d were revoked, want %d", c.as, n, c.n)
		}
		f.left(c.left...)
	}
}

// What ZITADEL does not show to our account, or does not let it delete, neither hides the rest nor counts as done.
func TestUpstreamRevoke_WhatZITADELRefuses(t *testing.T) {
	f := newUpstreamFixture(t)
	org := f.zitadel.AddOrganization()
	inside, outside := f.anotherUser(org), f.user.ID
	var stay []string
	for range 130 { // pages of which much, or all, is not shown
		stay = append(stay, f.elsewhere(1, zitadeltest.Session{UserID: outside, Creator: f.zitadel.Admin.UserID})...)
	}
	f.elsewhere(3, zitadeltest.Session{UserID: inside})
	stay = append(stay, f.elsewhere(130, zitadeltest.Session{UserID: outside, Creator: f.zitadel.Admin.UserID})...)
	f.elsewhere(2, zitadeltest.Session{UserID: inside})
	owner := f.anotherUser(org)
	f.zitadel.Grant(owner, zitadeltest.OrganizationOwner)
	f.use(f.zitadel.AddAccessToken(owner, ""))
	if n := f.revoke("admin", `{"all":true}`); n != 5 {
		t.Errorf("%d were revoked", n)
	}
	f.left(stay...)
	got := f.revokeFails(http.StatusBadGateway, `{"queries":[{"idsQuery":{"ids":["`+stay[0]+`"]}}]}`, "0", "1")
	if !strings.Contains(got.Message, "zitadel does not show sessions to our account") {
		t.Errorf("%+v", got)
	}

	f.use(f.zitadel.Login.Token)
	id, token := f.create()
	more := f.elsewhere(4, zitadeltest.Session{UserID: f.user.ID})
	f.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{Status: http.StatusForbidden})
	got = f.revokeFails(http.StatusBadGateway, `{"queries":[{"idsQuery":{"ids":["`+strings.Join(append(more, id), `","`)+`"]}}]}`, "4", "1")
	if got.Code != 9 || !strings.Contains(got.Message, "1 sessions are left: zitadel refuses it: it answered 403") {
		t.Errorf("%+v", got)
	}
	if n := f.revoke("admin", `{"queries":[{"idsQuery":{"ids":["`+strings.Join(append(more, id), `","`)+`"]}}]}`); n != 1 {
		t.Errorf("%d were revoked", n)
	}
	f.verifies(id, token, http.StatusUnauthorized, "revoked")
}

// Where ZITADEL is away it is 503, and what is not known to be gone answers nobody until it was asked. (I2, I4)
func TestI4_UpstreamRevokeOfUnknownOutcome(t *testing.T) {
	for name, failure := range map[string]zitadeltest.Failure{"500": {Late: true}, "cut": {Late: true, Cut: true}, "not done": {}} {
		t.Run(name, func(t *testing.T) {
			f := newUpstreamFixture(t, func(s *setup) { s.limits.patience = 0 })
			id, token := f.create()
			f.zitadel.Fail("DeleteSession", 10, failure)
			f.revokeFails(http.StatusServiceUnavailable, ofUser(f.user.ID), "0", "1")
			f.zitadel.Recover()
			if name == "not done" {
				f.verifies(id, token, http.StatusOK, "")
				f.revoke("admin", ofUser(f.user.ID))
			} else {
				f.verifies(id, token, http.StatusUnauthorized, "not_found")
			}
			f.left()
		})
	}
	// While there is patience it is tried again, and counts.
	f := newUpstreamFixture(t, func(s *setup) { s.limits.patience = time.Minute })
	id, token := f.create()
	f.elsewhere(2, zitadeltest.Session{UserID: f.user.ID})
	f.zitadel.Fail("ListSessions", 1, zitadeltest.Failure{Status: http.StatusServiceUnavailable})
	f.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{Late: true, Cut: true})
	f.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{})
	f.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{Status: http.StatusBadGateway})
	if n := f.revoke("admin", ofUser(f.user.ID)); n != 3 {
		t.Errorf("%d were revoked", n)
	}
	f.left()
	f.verifies(id, token, http.StatusUnauthorized, "revoked")
}

func TestI2_UpstreamRevokeAway(t *testing.T) {
	f := newUpstreamFixture(t, func(s *setup) { s.limits.patience = 0 })
	id, token := f.create()
	f.zitadel.Fail("ListSessions", 1, zitadeltest.Failure{Status: http.StatusTooManyRequests, RetryAfter: "7"})
	if r := f.do("admin", "POST", "/v2/sessions/revoke", ofUser(f.user.ID)); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") != "7" {
		t.Errorf("%d %s %v", r.status, r.body, r.header)
	}
	f.zitadel.Stop()
	for _, body := range []string{ofUser(f.user.ID), `{"queries":[{"idsQuery":{"ids":["` + id + `"]}}]}`} {
		f.revokeFails(http.StatusServiceUnavailable, body, "0", "0")
	}
	r := f.want(http.StatusServiceUnavailable, "admin", "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true}`)
	if !strings.Contains(r.body, "zitadel is unavailable") || !strings.Contains(r.body, "nothing was revoked") {
		t.Error(r.body)
	}
	f.verifies(id, token, http.StatusOK, "")
	f.zitadel.Restart()
}

// A store that goes away between the two deletions loses nothing: whoever sends the request again ends the copy.
func TestUpstreamRevoke_StoreAwayInBetween(t *testing.T) {
	f := newUpstreamFixture(t, func(s *setup) { s.limits.patience = 0 })
	id, token := f.create()
	f.zitadel.Change(func(s *zitadeltest.Settings) {
		s.Decided = func(c zitadeltest.Call) {
			if c.Name == "DeleteSession" {
				f.proxy.Refuse(true)
				f.proxy.CutAll()
			}
		}
	})
	f.revokeFails(http.StatusServiceUnavailable, ofUser(f.user.ID), "0", "1")
	f.left()
	f.zitadel.Change(func(s *zitadeltest.Settings) { s.Decided = nil })
	f.proxy.Refuse(false)
	f.verifies(id, token, http.StatusOK, "") // nobody has told yet
	if n := f.revoke("admin", ofUser(f.user.ID)); n != 1 {
		t.Errorf("%d were revoked", n)
	}
	f.verifies(id, token, http.StatusUnauthorized, "revoked")
}

// What ZITADEL does not list, because it lists late or the user is locked, ends by its copy.
func TestUpstreamRevoke_Copies(t *testing.T) {
	f := newUpstreamFixture(t)
	f.zitadel.Change(func(s *zitadeltest.Settings) { s.HoldLists = true })
	id, token := f.create()
	stale, staleToken := f.create() // it has another user agent by now, as far as the copy knows none
	f.zitadel.Terminate(stale)
	if n := f.revoke("admin", `{"queries":[{"userIdQuery":{"id":"`+f.user.ID+`"}}],"dryRun":true}`); n != 2 {
		t.Errorf("%d would be revoked", n)
	}
	if n := f.revoke("admin", ofUser(f.user.ID)); n != 2 {
		t.Errorf("%d were revoked", n)
	}
	f.left()
	f.verifies(id, token, http.StatusUnauthorized, "revoked")
	f.verifies(stale, staleToken, http.StatusUnauthorized, "revoked")

	f.zitadel.Change(func(s *zitadeltest.Settings) { s.HoldLists = false })
	id, token = f.create()
	f.zitadel.Lock(f.user.ID)
	f.revoke("admin", ofUser(f.user.ID))
	f.zitadel.Unlock(f.user.ID)
	f.verifies(id, token, http.StatusUnauthorized, "revoked")
	if got := f.zitadel.See(f.zitadel.Login.Token, id, "").Status; got != http.StatusNotFound {
		t.Errorf("a session that was revoked while its user was locked is %d", got)
	}
}

// A copy that matches no more stays, and is asked for again.
func TestUpstreamRevoke_OldCopy(t *testing.T) {
	f := newUpstreamFixture(t)
	id, _ := f.create() // for an hour
	if _, err := f.zitadel.SetSession(&sessionv2.SetSessionRequest{SessionId: id, Lifetime: durationpb.New(5 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if n := f.revoke("admin", `{"queries":[{"expirationDateQuery":{"expirationDate":"`+f.zitadel.Now().Add(2*time.Hour).Format(time.RFC3339Nano)+`","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]}`); n != 0 {
		t.Errorf("%d were revoked", n)
	}
	f.left(id)
	asked := f.zitadel.Count("GetSession")
	f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "")
	if f.zitadel.Count("GetSession") == asked {
		t.Error("the old copy answers")
	}
}

// Deletions move what is behind them to earlier pages; no page is passed over for that.
func TestUpstreamRevoke_ManyPages(t *testing.T) {
	f := newUpstreamFixture(t)
	f.elsewhere(1700, zitadeltest.Session{UserID: f.user.ID})
	if n := f.revoke("admin", `{"all":true}`); n != 1700 {
		t.Errorf("%d were revoked", n)
	}
	f.left()
}

// A dry run that is cut off in the middle begins anew, and counts each session once.
func TestUpstreamRevoke_DryRunBeginsAnew(t *testing.T) {
	f := newUpstreamFixture(t, func(s *setup) { s.limits.patience = time.Minute })
	f.elsewhere(150, zitadeltest.Session{UserID: f.user.ID})
	var once sync.Once
	f.zitadel.Change(func(s *zitadeltest.Settings) {
		s.Decided = func(c zitadeltest.Call) {
			if c.Name == "ListSessions" {
				once.Do(func() { f.zitadel.Fail("ListSessions", 1, zitadeltest.Failure{}) })
			}
		}
	})
	if n := f.revoke("admin", `{"all":true,"dryRun":true}`); n != 150 {
		t.Errorf("%d would be revoked", n)
	}
	if n := len(f.zitadel.SessionIDs()); n != 150 {
		t.Errorf("%d are left", n)
	}
}

// Sessions that are created meanwhile end if they are listed in time, and never keep it from ending; it
// then says that some may be left.
func TestUpstreamRevoke_EndsWhileOthersLogIn(t *testing.T) {
	f := newUpstreamFixture(t)
	f.elsewhere(5, zitadeltest.Session{UserID: f.user.ID})
	var made atomic.Int64
	f.zitadel.Change(func(s *zitadeltest.Settings) {
		s.Decided = func(c zitadeltest.Call) {
			if c.Name == "DeleteSession" {
				f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID})
				made.Add(1)
			}
		}
	})
	r := f.want(http.StatusServiceUnavailable, "admin", "POST", "/v2/sessions/revoke", ofUser(f.user.ID))
	n := int(made.Load())
	if left := len(f.zitadel.SessionIDs()); left != 5 || n < 10 || !strings.Contains(r.body, "some may be left") || !strings.Contains(r.body, fmt.Sprintf(`"revoked":"%d"`, n)) {
		t.Errorf("%d were created meanwhile, %d are left: %s", n, left, r.body)
	}
}

// It takes only some of ZITADEL's time.
func TestUpstreamRevoke_IsBounded(t *testing.T) {
	f := newUpstreamFixture(t)
	f.elsewhere(40, zitadeltest.Session{UserID: f.user.ID})
	hold := f.zitadel.Hold("DeleteSession")
	done := make(chan int)
	go func() { done <- f.revoke("admin", ofUser(f.user.ID)) }()
	hold.Wait(8)
	f.want(http.StatusOK, f.zitadel.Login.Token, "POST", "/v2/sessions/search", `{"query":{"limit":1}}`)
	if n := f.zitadel.Count("DeleteSession"); n != 8 {
		t.Errorf("%d deletions at a time", n)
	}
	hold.Release()
	if n := <-done; n != 40 {
		t.Errorf("%d were revoked", n)
	}
}
