package zitadeltest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// ask sends a request, and returns the answer's status, header and body.
func ask(t *testing.T, s *Server, method, path, token, body string) (int, http.Header, string) {
	t.Helper()
	status, header, answer, err := try(t.Context(), s, method, path, token, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, header, answer
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func try(ctx context.Context, s *Server, method, path, token, body string) (int, http.Header, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(data), err
}

// listed are the IDs that a caller's list of these IDs has.
func listed(t *testing.T, s *Server, token string, ids ...string) []string {
	t.Helper()
	query, err := protojson.Marshal(&sessionv2.ListSessionsRequest{Queries: []*sessionv2.SearchQuery{{Query: &sessionv2.SearchQuery_IdsQuery{IdsQuery: &sessionv2.IDsQuery{Ids: ids}}}}})
	if err != nil {
		t.Fatal(err)
	}
	_, _, body := ask(t, s, http.MethodPost, "/v2/sessions/search", token, string(query))
	list := &sessionv2.ListSessionsResponse{}
	if err := protojson.Unmarshal([]byte(body), list); err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, session := range list.GetSessions() {
		found = append(found, session.GetId())
	}
	return found
}

func TestUsers_AStateTakesSessionsAwayForGood(t *testing.T) {
	for name, take := range map[string]struct{ away, back func(*Server, string) bool }{
		"locked": {(*Server).Lock, (*Server).Unlock}, "deactivated": {(*Server).Deactivate, (*Server).Reactivate}, "removed": {(*Server).Remove, nil},
	} {
		s := Start(t)
		user := s.AddUser(User{Password: "p"})
		id, token := s.CreateSession(Session{UserID: user, Password: true})
		before := len(s.Events())
		if !take.away(s, user) || take.away(s, user) {
			t.Fatalf("%s: the state does not change, or twice", name)
		}
		if events := s.Events()[before:]; len(events) != 1 || events[0].Type != "user."+name {
			t.Errorf("%s: events %v", name, events)
		}
		gone := func(when string) {
			t.Helper()
			if a, b := s.See(s.Admin.Token, id, ""), s.See(s.Admin.Token, id, token); a.ErrorID != "QUERY-SFeaa" || b.ErrorID != "QUERY-SFeaa" {
				t.Errorf("%s: %s: %+v, with token %+v", name, when, a, b)
			}
			if c := s.See(token, id, ""); c.Status != http.StatusNotFound {
				t.Errorf("%s: %s: its token is a bearer: %+v", name, when, c)
			}
			if ids := listed(t, s, s.Admin.Token, id); len(ids) != 0 {
				t.Errorf("%s: %s: it is listed", name, when)
			}
		}
		gone("at first")
		if next, err := s.SetMetadata(id, "a", "b"); err != nil || next == "" {
			t.Errorf("%s: Set: %v", name, err)
		}
		if take.back == nil {
			continue
		}
		if !take.back(s, user) {
			t.Errorf("%s: it cannot be undone", name)
		}
		gone("after that was undone")
		if _, token := s.CreateSession(Session{UserID: user}); token == "" {
			t.Errorf("%s: no new session", name)
		}
	}
}

func TestUsers_WhoIsNotActiveGetsNoSession(t *testing.T) {
	s := Start(t)
	user := s.AddUser(User{LoginName: "someone"})
	s.Lock(user)
	status, _, body := ask(t, s, http.MethodPost, "/v2/sessions", s.Login.Token, `{"checks":{"user":{"loginName":"someone"}}}`)
	if status != http.StatusBadRequest || !strings.Contains(body, "SESSION-Gj4ko") {
		t.Errorf("%d %s", status, body)
	}
	s.Remove(user)
	status, _, body = ask(t, s, http.MethodPost, "/v2/sessions", s.Login.Token, `{"checks":{"user":{"loginName":"someone"}}}`)
	if status != http.StatusNotFound || !strings.Contains(body, "QUERY-Dfbg2") {
		t.Errorf("%d %s", status, body)
	}
}

func TestUsers_APasswordChangeTakesTheFactorAndKeepsSequenceAndDate(t *testing.T) {
	s := Start(t)
	user := s.AddUser(User{Password: "old"})
	id, token := s.CreateSession(Session{UserID: user, Password: true})
	before := s.See(s.Admin.Token, id, token).Session
	if before.GetFactors().GetPassword() == nil {
		t.Fatal("no password factor")
	}
	s.ChangePassword(user, "new")
	after := s.See(s.Admin.Token, id, token).Session
	want := proto.Clone(before).(*sessionv2.Session)
	want.Factors.Password = nil
	if !proto.Equal(after, want) {
		t.Errorf("%v, want %v", after, want)
	}
	if seen := s.See(token, id, ""); seen.ErrorID != "AUTHZ-Kl3p0" {
		t.Errorf("the token is still a bearer: %+v", seen)
	}
	if hash := s.PasswordHash(user); !slices.ContainsFunc(s.Events(), func(e Event) bool { return strings.Contains(string(e.Payload), hash) }) {
		t.Error("no event has the hash")
	}
}

func TestTokens_EachSetThatChangesSomethingMakesAnother(t *testing.T) {
	s := Start(t)
	id, first := s.CreateSession(Session{UserID: s.AddUser(User{Password: "p"}), Password: true})
	same, err := s.SetMetadata(id, "a", "")
	if err != nil || same != "" {
		t.Errorf("a Set that changes nothing: %q, %v", same, err)
	}
	second, err := s.SetMetadata(id, "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	for token, status := range map[string]int{first: http.StatusForbidden, second: http.StatusOK, first[:len(first)-3] + "AAA": http.StatusForbidden} {
		if seen := s.See(s.Nobody.Token, id, token); seen.Status != status {
			t.Errorf("Get with a token is %d, want %d", seen.Status, status)
		}
	}
	// As a bearer, an old one is refused as well.
	if a, b := s.See(first, id, ""), s.See(second, id, ""); a.Status != http.StatusForbidden || b.Status != http.StatusOK {
		t.Errorf("bearers: %+v, %+v", a, b)
	}
	for _, token := range []string{first, second} {
		if len(token) != 283 || strings.Count(token, ".") != 4 || strings.Contains(token, id) {
			t.Errorf("a token of %d characters", len(token))
		}
	}
}

func TestPermissions_EachCallerSeesItsOwn(t *testing.T) {
	s := Start(t)
	org := s.AddOrganization()
	alice, bob := s.AddUser(User{Password: "p"}), s.AddUser(User{OrganizationID: org, Password: "p"})
	boss := s.AddUser(User{OrganizationID: org})
	s.Grant(boss, OrganizationOwner)
	agent := &sessionv2.UserAgent{FingerprintId: proto.String("browser")}
	ofAlice, aliceToken := s.CreateSession(Session{UserID: alice, Password: true, Agent: agent})
	ofBob, _ := s.CreateSession(Session{UserID: bob})
	ofNobody, _ := s.CreateSession(Session{Creator: s.Login.UserID})
	all := []string{ofAlice, ofBob, ofNobody}
	for name, c := range map[string]struct {
		token string
		sees  []string
		other string // the error for those that it does not see
	}{
		"admin": {s.Admin.Token, all, ""}, "login client": {s.Login.Token, all, ""}, "nobody": {s.Nobody.Token, nil, "AUTHZ-cdgFk"},
		"a session token": {aliceToken, []string{ofAlice}, "AUTHZ-cdgFk"}, "an access token of the same browser": {s.AddAccessToken(bob, "browser"), []string{ofAlice, ofBob}, "AUTHZ-cdgFk"},
		"an organization's owner": {s.AddAccessToken(boss, ""), []string{ofBob}, "AUTH-5mWD2"},
	} {
		sees := []string{}
		for _, id := range all {
			if seen := s.See(c.token, id, ""); seen.Status == http.StatusOK {
				sees = append(sees, id)
			} else if seen.ErrorID != c.other {
				t.Errorf("%s: %+v, want %s", name, seen, c.other)
			}
		}
		if !slices.Equal(sees, slices.Concat([]string{}, c.sees)) {
			t.Errorf("%s sees %v, want %v", name, sees, c.sees)
		}
		if ids := listed(t, s, c.token, all...); !slices.Equal(ids, sees) {
			t.Errorf("%s lists %v, want %v", name, ids, sees)
		}
		list, err := s.SeeList(c.token, &sessionv2.ListSessionsRequest{Query: &objectv2.ListQuery{}})
		if err != nil || list.GetDetails().GetTotalResult() != 3 || len(list.GetSessions()) != len(sees) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

func TestLists_AreLateAndGetIsNot(t *testing.T) {
	s := Start(t)
	s.Change(func(settings *Settings) { settings.ListLag = time.Hour })
	id, _ := s.CreateSession(Session{})
	if ids := listed(t, s, s.Admin.Token, id); len(ids) != 0 || s.See(s.Admin.Token, id, "").Status != http.StatusOK {
		t.Errorf("listed at once: %v", ids)
	}
	s.Advance(time.Hour)
	if ids := listed(t, s, s.Admin.Token, id); len(ids) != 1 {
		t.Error("never listed")
	}
	s.Change(func(settings *Settings) { settings.ListLag, settings.HoldLists = 0, true })
	s.Terminate(id)
	if ids := listed(t, s, s.Admin.Token, id); len(ids) != 1 || s.See(s.Admin.Token, id, "").Status != http.StatusNotFound {
		t.Error("a deletion is in a list that is held")
	}
	s.Change(func(settings *Settings) { settings.HoldLists = false })
	if ids := listed(t, s, s.Admin.Token, id); len(ids) != 0 {
		t.Error("a deletion is never in lists")
	}
}

func TestLists_OfRelationalTablesAreOthers(t *testing.T) {
	s := Start(t)
	s.Change(func(settings *Settings) { settings.RelationalTables = true })
	id, _ := s.CreateSession(Session{})
	s.CreateSession(Session{})
	_, _, body := ask(t, s, http.MethodPost, "/v2/sessions/search", s.Nobody.Token, `{"query":{"limit":1}}`)
	list := &sessionv2.ListSessionsResponse{}
	if err := protojson.Unmarshal([]byte(body), list); err != nil {
		t.Fatal(err)
	}
	if len(list.GetSessions()) != 1 || list.GetSessions()[0].GetSequence() != 0 || list.GetDetails().GetTotalResult() != 1 {
		t.Error(body)
	}
	if status, _, _ := ask(t, s, http.MethodPost, "/v2/sessions/search", s.Admin.Token, `{"queries":[{"idsQuery":{}}]}`); status != http.StatusInternalServerError {
		t.Errorf("an empty list of IDs: %d", status)
	}
	if s.See(s.Admin.Token, id, "").Session.GetSequence() != 2 || s.See(s.Nobody.Token, id, "").Status != http.StatusNotFound {
		t.Error("Get is another, too")
	}
}

func TestLists_MayHaveLimits(t *testing.T) {
	s := Start(t)
	s.Change(func(settings *Settings) { settings.DefaultListLimit, settings.MaxListLimit = 1, 2 })
	for range 3 {
		s.CreateSession(Session{})
	}
	for limit, want := range map[string]int{`{}`: 1, `{"query":{"limit":2}}`: 2} {
		_, _, body := ask(t, s, http.MethodPost, "/v2/sessions/search", s.Admin.Token, limit)
		if n := strings.Count(body, "creationDate"); n != want {
			t.Errorf("%s: %d sessions, want %d", limit, n, want)
		}
	}
	if status, _, body := ask(t, s, http.MethodPost, "/v2/sessions/search", s.Admin.Token, `{"query":{"limit":3}}`); status != http.StatusBadRequest || !strings.Contains(body, "Limit exceeded (QUERY-4M0fs)") {
		t.Errorf("%d %s", status, body)
	}
}

func TestStop_WhatItHoldsStays(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	id, _ := s.CreateSession(Session{})
	s.AddTarget(got.URL, "session")
	s.Stop()
	if _, _, _, err := try(t.Context(), s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, ""); err == nil {
		t.Error("it answers")
	}
	s.Terminate(id)
	if n := len(got.types(t)); n != 0 {
		t.Errorf("%d events were sent", n)
	}
	s.Restart()
	s.WaitForFeed()
	if types := got.types(t); !slices.Equal(types, []string{"session.terminated"}) {
		t.Errorf("events %v", types)
	}
	if status, _, _ := ask(t, s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, ""); status != http.StatusNotFound {
		t.Error(status)
	}
}

// The service is there by gRPC as well, over HTTP/2 without TLS.
func TestGRPC_CallsAndErrorDetails(t *testing.T) {
	s := Start(t)
	id, _ := s.CreateSession(Session{})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	c := connect.NewClient[sessionv2.GetSessionRequest, sessionv2.GetSessionResponse](&http.Client{Transport: transport}, s.URL+"/zitadel.session.v2.SessionService/GetSession", connect.WithGRPC())
	get := func(id string) (*connect.Response[sessionv2.GetSessionResponse], error) {
		r := connect.NewRequest(&sessionv2.GetSessionRequest{SessionId: id})
		r.Header().Set("Authorization", "Bearer "+s.Admin.Token)
		return c.CallUnary(t.Context(), r)
	}
	if answer, err := get(id); err != nil || answer.Msg.GetSession().GetId() != id {
		t.Errorf("%v, %v", answer, err)
	}
	_, err := get("1")
	var wrong *connect.Error
	if !errors.As(err, &wrong) || wrong.Code() != connect.CodeNotFound || len(wrong.Details()) != 1 {
		t.Errorf("%v", err)
	}
}

func TestServer_ConcurrentCallsKeepItsRules(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	s.AddTarget(got.URL, "session", "user")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				user := s.AddUser(User{Password: "p"})
				id, token := s.CreateSession(Session{UserID: user, Password: true})
				if seen := s.See(token, id, token); seen.Status != http.StatusOK {
					t.Errorf("%+v", seen)
				}
				if ids := listed(t, s, s.Admin.Token, id); len(ids) != 1 {
					t.Errorf("listed: %v", ids)
				}
				s.Change(func(settings *Settings) { settings.HoldLists = false })
				s.Lock(user)
			}
		})
	}
	all.Wait()
	sequences := map[string]uint64{}
	last := time.Time{}
	for _, e := range s.Events() {
		if sequences[e.AggregateID]++; sequences[e.AggregateID] != e.Sequence {
			t.Errorf("%s of %s has sequence %d, want %d", e.Type, e.AggregateID, e.Sequence, sequences[e.AggregateID])
		}
		if e.CreationDate.Before(last) {
			t.Error("dates go back")
		}
		last = e.CreationDate
	}
	s.WaitForFeed()
}

func TestStart_WithTLS(t *testing.T) {
	authority := tlstest.NewAuthority(t)
	cert, err := tls.X509KeyPair(authority.Issue(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	s := Start(t, WithTLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
	c := authority.Client(nil, nil)
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/sessions/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Error(answer.StatusCode)
	}
}

func TestCreateSession_HasTheFactorsThatItIsGiven(t *testing.T) {
	s := Start(t)
	id, token := s.CreateSession(Session{UserID: s.AddUser(User{}), TOTP: true, WebAuthN: true, Lifetime: time.Minute})
	seen := s.See(token, id, "") // a bearer, since a factor besides the user was verified
	f := seen.Session.GetFactors()
	if f.GetTotp() == nil || !f.GetWebAuthN().GetUserVerified() || f.GetPassword() != nil || seen.Session.GetSequence() != 6 {
		t.Errorf("%+v", seen)
	}
	if ids := s.SessionIDs(); !slices.Equal(ids, []string{id}) {
		t.Errorf("sessions %v", ids)
	}
}
