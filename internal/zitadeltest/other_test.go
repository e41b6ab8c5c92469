package zitadeltest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

type keyFile struct{ KeyID, Key, UserID string }

// assert makes an assertion with a service account's key; change changes its claims.
func assert(t *testing.T, file []byte, change func(jwt.MapClaims), audience string, method jwt.SigningMethod) string {
	t.Helper()
	var key keyFile
	if err := json.Unmarshal(file, &key); err != nil {
		t.Fatal(err)
	}
	private, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(key.Key))
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{"iss": key.UserID, "sub": key.UserID, "aud": audience, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	change(claims)
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = key.KeyID
	text, err := token.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func exchangeAssertion(t *testing.T, s *Server, assertion, scope string) (int, map[string]any) {
	t.Helper()
	form := url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}, "scope": {scope}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/oauth/v2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

func TestToken_AnAssertionOfAKeyIsExchanged(t *testing.T) {
	s := Start(t)
	account := s.AddAccount("cloakroom", Owner)
	file := s.AddKey(account)
	status, body := exchangeAssertion(t, s, assert(t, file, func(jwt.MapClaims) {}, s.URL, jwt.SigningMethodRS256), "openid "+APIScope)
	token, _ := body["access_token"].(string)
	if status != http.StatusOK || body["token_type"] != "Bearer" || body["expires_in"] != float64(43199) || strings.Count(token, ".") != 4 {
		t.Fatalf("%d %v", status, body)
	}
	id, _ := s.CreateSession(Session{})
	if seen := s.See(token, id, ""); seen.Status != http.StatusOK {
		t.Errorf("%+v", seen)
	}
	s.Advance(13 * time.Hour)
	if seen := s.See(token, id, ""); seen.ErrorID != "AUTH-7fs1e" {
		t.Errorf("after it ended: %+v", seen)
	}
	_, body = exchangeAssertion(t, Start(t), "x", APIScope)
	if body["error"] != "invalid_grant" {
		t.Errorf("%v", body)
	}
	_, body = exchangeAssertion(t, s, "", APIScope)
	if body["error"] != "invalid_request" {
		t.Errorf("%v", body)
	}
}

func TestToken_WrongAssertionsAreRefused(t *testing.T) {
	s := Start(t)
	file, other := s.AddKey(s.Admin), s.AddKey(s.Login)
	same := func(jwt.MapClaims) {}
	var key keyFile
	if err := json.Unmarshal(other, &key); err != nil {
		t.Fatal(err)
	}
	for name, assertion := range map[string]string{
		"audience":  assert(t, file, same, "https://elsewhere.example", jwt.SigningMethodRS256),
		"issuer":    assert(t, file, func(c jwt.MapClaims) { c["iss"] = key.UserID }, s.URL, jwt.SigningMethodRS256),
		"user":      assert(t, file, func(c jwt.MapClaims) { c["iss"], c["sub"] = key.UserID, key.UserID }, s.URL, jwt.SigningMethodRS256),
		"expired":   assert(t, file, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }, s.URL, jwt.SigningMethodRS256),
		"no end":    assert(t, file, func(c jwt.MapClaims) { delete(c, "exp") }, s.URL, jwt.SigningMethodRS256),
		"too old":   assert(t, file, func(c jwt.MapClaims) { c["iat"] = time.Now().Add(-2 * time.Hour).Unix() }, s.URL, jwt.SigningMethodRS256),
		"algorithm": assert(t, file, same, s.URL, jwt.SigningMethodPS256),
		"signature": assert(t, file, same, s.URL, jwt.SigningMethodRS256) + "x",
	} {
		if status, body := exchangeAssertion(t, s, assertion, APIScope); status != http.StatusBadRequest || body["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	good := assert(t, file, same, s.URL, jwt.SigningMethodRS256)
	if _, body := exchangeAssertion(t, s, good, "openid"); s.See(body["access_token"].(string), "1", "").ErrorID != "AUTH-7fs1e" {
		t.Error("a token without the API's scope is good")
	}
	if err := json.Unmarshal(file, &key); err != nil {
		t.Fatal(err)
	}
	s.RemoveKey(key.KeyID)
	if status, _ := exchangeAssertion(t, s, good, APIScope); status != http.StatusBadRequest {
		t.Error("a key that was removed is good")
	}
}

func TestActions_TargetsAndExecutions(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	create := `{"name":"cloakroom","restAsync":{},"timeout":"5s","endpoint":"` + got.URL + `"}`
	for token, want := range map[string]int{s.Login.Token: http.StatusForbidden, s.Nobody.Token: http.StatusNotFound, "": http.StatusUnauthorized} {
		if status, _, body := ask(t, s, http.MethodPost, "/v2/actions/targets", token, create); status != want {
			t.Errorf("%d, want %d: %s", status, want, body)
		}
	}
	s.Change(func(settings *Settings) { settings.DenyPrivateTargets = true })
	if status, _, _ := ask(t, s, http.MethodPost, "/v2/actions/targets", s.Admin.Token, create); status != http.StatusBadRequest {
		t.Errorf("a private target: %d", status)
	}
	s.Change(func(settings *Settings) { settings.DenyPrivateTargets = false })
	status, _, body := ask(t, s, http.MethodPost, "/v2/actions/targets", s.Admin.Token, create)
	var made struct{ ID, CreationDate, SigningKey string }
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated || made.SigningKey == "" {
		t.Fatalf("%d %s %v", status, body, err)
	}
	if status, _, body := ask(t, s, http.MethodPut, "/v2/actions/executions", s.Admin.Token, `{"condition":{"event":{"group":"session"}},"targets":["1"]}`); status != http.StatusBadRequest {
		t.Errorf("an unknown target: %d %s", status, body)
	}
	if status, _, body := ask(t, s, http.MethodPut, "/v2/actions/executions", s.Admin.Token, `{"condition":{"event":{"group":"session"}},"targets":["`+made.ID+`"]}`); status != http.StatusOK || !strings.Contains(body, "setDate") {
		t.Errorf("%d %s", status, body)
	}
	_, _, body = ask(t, s, http.MethodPost, "/v2/actions/targets/search", s.Admin.Token, `{"filters":[{"targetNameFilter":{"targetName":"cloakroom"}}]}`)
	if !strings.Contains(body, made.ID) || strings.Contains(body, made.SigningKey) {
		t.Error(body)
	}
	if _, _, body = ask(t, s, http.MethodPost, "/v2/actions/executions/search", s.Admin.Token, `{}`); !strings.Contains(body, `"group":"session"`) {
		t.Error(body)
	}
	s.AddUser(User{})
	s.CreateSession(Session{})
	s.WaitForFeed()
	types := got.types(t)
	if strings.Join(types, " ") != "session.added session.token.set" {
		t.Errorf("events %v", types)
	}
	checkSignature(t, got.headers[0].Get("ZITADEL-Signature"), got.bodies[0], made.SigningKey)
	if status, _, _ := ask(t, s, http.MethodDelete, "/v2/actions/targets/"+made.ID, s.Admin.Token, ""); status != http.StatusOK {
		t.Error(status)
	}
	s.CreateSession(Session{})
	s.WaitForFeed()
	if n := len(got.types(t)); n != 2 {
		t.Errorf("%d events, though the target is gone", n)
	}
}

func TestEvents_ALoginOfAnApplicationLeadsToItsSession(t *testing.T) {
	s := Start(t)
	session, _ := s.CreateSession(Session{UserID: s.AddUser(User{})})
	id := s.StartOIDCSession(session, "app")
	_, _, body := ask(t, s, http.MethodPost, "/admin/v1/events/_search", s.Admin.Token, `{"asc":true,"aggregateTypes":["oidc_session"]}`)
	var found struct {
		Events []struct {
			Aggregate struct{ ID string }
			Payload   struct{ SessionID, ClientID string }
			Type      struct{ Type string }
		}
	}
	if err := json.Unmarshal([]byte(body), &found); err != nil || len(found.Events) != 2 {
		t.Fatalf("%s %v", body, err)
	}
	if e := found.Events[0]; e.Aggregate.ID != id || !strings.HasPrefix(id, "V2_") || e.Payload.SessionID != session || e.Payload.ClientID != "app" || e.Type.Type != "oidc_session.added" {
		t.Error(body)
	}
	if s.StartOIDCSession("1", "app") != "" {
		t.Error("a login without a session")
	}
}

// All events of one request share one date, so that a page that begins after a date loses those that another page cut.
func TestEvents_APageByDateLosesWhatAPageCut(t *testing.T) {
	s := Start(t)
	s.CreateSession(Session{Metadata: map[string][]byte{"a": {1}}})
	type found struct {
		Events []struct{ CreationDate, Sequence string }
	}
	search := func(body string) (f found) {
		_, _, answer := ask(t, s, http.MethodPost, "/admin/v1/events/_search", s.Admin.Token, body)
		if err := json.Unmarshal([]byte(answer), &f); err != nil {
			t.Fatal(err)
		}
		return f
	}
	page := search(`{"asc":true,"limit":"2","aggregateTypes":["session"]}`)
	if len(page.Events) != 2 || page.Events[0].CreationDate != page.Events[1].CreationDate {
		t.Fatalf("%+v", page)
	}
	for _, body := range []string{`"from":"%"`, `"range":{"since":"%"}`} {
		body = `{"asc":true,"aggregateTypes":["session"],` + strings.ReplaceAll(body, "%", page.Events[1].CreationDate) + `}`
		if next := search(body); len(next.Events) != 0 {
			t.Errorf("%s: %+v", body, next)
		}
	}
}

func TestEvents_TransactionsMayCommitOutOfOrder(t *testing.T) {
	s := Start(t)
	s.Change(func(settings *Settings) {
		settings.SearchDelay = func(e Event) time.Duration {
			if e.Type == "session.added" {
				return time.Minute
			}
			return 0
		}
	})
	s.CreateSession(Session{})
	search := func() string {
		_, _, body := ask(t, s, http.MethodPost, "/admin/v1/events/_search", s.Admin.Token, `{"asc":true,"aggregateTypes":["session"]}`)
		return body
	}
	if body := search(); strings.Contains(body, "session.added") || !strings.Contains(body, "session.token.set") {
		t.Error(body)
	}
	s.Advance(time.Minute)
	if body := search(); !strings.Contains(body, "session.added") {
		t.Error(body)
	}
}

// GetMyUser answers whoever a token is of, without a membership, and refuses tokens as the other calls do.
func TestMyUser_IsWhoTheTokenIsOf(t *testing.T) {
	s := Start(t)
	u := s.AddUser(User{Password: "p"})
	_, good := s.CreateSession(Session{UserID: u, Password: true})
	_, unproven := s.CreateSession(Session{UserID: u})
	_, nobodys := s.CreateSession(Session{})
	_, ended := s.CreateSession(Session{UserID: u, Password: true, Lifetime: time.Minute})
	gone, deleted := s.CreateSession(Session{UserID: u, Password: true})
	s.Terminate(gone)
	id, before := s.CreateSession(Session{UserID: u, Password: true})
	if _, err := s.SetMetadata(id, "k", "v"); err != nil {
		t.Fatal(err)
	}
	s.Advance(2 * time.Minute)
	for _, c := range []struct {
		token, want string
		status      int
	}{
		{good, `"id":"` + u + `"`, http.StatusOK},
		{s.Nobody.Token, `"id":"` + s.Nobody.UserID + `"`, http.StatusOK},
		{unproven, "(AUTHZ-Kl3p0)", http.StatusForbidden},
		{nobodys, "(AUTHZ-Kl3p0)", http.StatusForbidden},
		{ended, "(AUTHZ-EGDo3)", http.StatusForbidden},
		{deleted, "(QUERY-SFeaa)", http.StatusNotFound},
		{before, "(QUERY-dsfr3)", http.StatusForbidden},
		{"made.up.by.some.body", "(AUTH-7fs1e)", http.StatusUnauthorized},
		{"", "auth header missing", http.StatusUnauthorized},
	} {
		status, _, body := ask(t, s, http.MethodGet, "/auth/v1/users/me", c.token, "")
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("got %d %s, want %d %s", status, body, c.status, c.want)
		}
	}
	if got := s.Count(GetMyUser); got != 9 {
		t.Errorf("%d calls were counted", got)
	}
	s.Lock(u)
	if status, _, body := ask(t, s, http.MethodGet, "/auth/v1/users/me", good, ""); status != http.StatusNotFound || !strings.Contains(body, "(QUERY-SFeaa)") {
		t.Errorf("locked: %d %s", status, body)
	}
}
