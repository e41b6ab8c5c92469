package zitadeltest

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// User is who a session may be of.
type User struct {
	// ID is made if it is empty.
	ID                               string
	LoginName, DisplayName, Password string
	// OrganizationID is the server's own if it is empty.
	OrganizationID string
}

type user struct {
	User
	role           Role
	machine        bool
	state          state
	failedAttempts int32
	hash           string
}

// event is an event of a user; content nil is no payload.
func (u *user) event(kind string, content any) Event {
	e := Event{AggregateType: "user", AggregateID: u.ID, ResourceOwner: u.OrganizationID, Version: "v2", Type: "user." + kind}
	if content != nil {
		e.Payload = payload(content)
	}
	return e
}

// humanPayload is what is said of a new user: its password's hash, too.
type humanPayload struct {
	UserName          string `json:"userName"`
	FirstName         string `json:"firstName"`
	LastName          string `json:"lastName"`
	DisplayName       string `json:"displayName"`
	PreferredLanguage string `json:"preferredLanguage"`
	Email             string `json:"email"`
	EncodedHash       string `json:"encodedHash,omitempty"`
}

// bcryptHash returns a text that has the form of a password's hash. The double compares passwords as they are.
func bcryptHash() string {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return "$2a$14$" + base64.NewEncoding(alphabet).WithPadding(base64.NoPadding).EncodeToString(random(40))[:53]
}

// AddOrganization adds an organization, and returns its ID.
func (s *Server) AddOrganization() string {
	id := s.NewID()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orgs[id] = true
	return id
}

// AddUser adds a user who is active, and returns its ID. Empty fields of u get values.
func (s *Server) AddUser(u User) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addUser(s.Admin.UserID, u).ID
}

// addUser is AddUser for a caller that holds mu.
func (s *Server) addUser(editor string, u User) *user {
	if u.ID == "" {
		u.ID = s.id()
	}
	if u.LoginName == "" {
		u.LoginName = "user" + u.ID
	}
	if u.DisplayName == "" {
		u.DisplayName = "User " + u.ID
	}
	if u.OrganizationID == "" {
		u.OrganizationID = s.OrganizationID
	}
	added := &user{User: u, state: active}
	if u.Password != "" {
		added.hash = bcryptHash()
	}
	s.users[u.ID], s.byLogin[u.LoginName] = added, added
	first, last, _ := strings.Cut(u.DisplayName, " ")
	s.push(editor, added.event("human.added", humanPayload{
		UserName: u.LoginName, FirstName: first, LastName: last, DisplayName: u.DisplayName, PreferredLanguage: "und", Email: u.LoginName + "@example.com", EncodedHash: added.hash,
	}), added.event("human.email.verified", nil))
	return added
}

// AddAccount adds a service account with a role, and a personal access token of it that never expires.
func (s *Server) AddAccount(name string, role Role) Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{User: User{ID: s.id(), LoginName: name, DisplayName: name, OrganizationID: s.OrganizationID}, role: role, machine: true, state: active}
	s.users[u.ID] = u
	s.push(u.ID, u.event("machine.added", map[string]string{"userName": name, "name": name}))
	token := base64.RawURLEncoding.EncodeToString(random(54)) // PATs have no parts
	s.bearers[token] = bearer{userID: u.ID}
	return Account{u.ID, token}
}

// Grant gives a user a role.
func (s *Server) Grant(userID string, role Role) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[userID]; u != nil {
		u.role = role
	}
}

// PasswordHash is the hash of a user's password, which events carry: a secret that must be found nowhere else.
func (s *Server) PasswordHash(userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[userID]; u != nil {
		return u.hash
	}
	return ""
}

// The changes of a user's state. All but Unlock and Reactivate take away its sessions, for good. They say whether the user was in
// a state that can be changed so.

// Lock locks an active user.
func (s *Server) Lock(userID string) bool { return s.changeState(userID, "locked") }

// Unlock makes a locked user active.
func (s *Server) Unlock(userID string) bool { return s.changeState(userID, "unlocked") }

// Deactivate deactivates an active user.
func (s *Server) Deactivate(userID string) bool { return s.changeState(userID, "deactivated") }

// Reactivate makes a deactivated user active.
func (s *Server) Reactivate(userID string) bool { return s.changeState(userID, "reactivated") }

// Remove removes a user.
func (s *Server) Remove(userID string) bool { return s.changeState(userID, "removed") }

// ChangePassword changes a user's password: its sessions lose factors.password, and keep sequence and change date.
func (s *Server) ChangePassword(userID, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[userID]
	if u == nil || u.state == terminated {
		return false
	}
	s.changePassword(s.Admin.UserID, u, password)
	return true
}

// myUser answers GET /auth/v1/users/me (AuthService.GetMyUser), which needs no membership. It was not recorded: the answer follows
// ZITADEL's API reference, without dates, and who is refused, and how, is as with the calls that were recorded.
func (s *Server) myUser(r *http.Request) reply {
	as, err := s.authenticate(r.Header)
	if err != nil {
		return reply{err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[as.userID]
	if u == nil || u.state == terminated {
		return reply{err: errNoUser}
	}
	shown := map[string]any{
		"id": u.ID, "state": "USER_STATE_ACTIVE", "userName": u.LoginName, "loginNames": []string{u.LoginName}, "preferredLoginName": u.LoginName,
		"details": map[string]any{"sequence": itoa(int(s.sequence["user/"+u.ID])), "resourceOwner": u.OrganizationID},
	}
	if u.machine {
		shown["machine"] = map[string]any{"name": u.DisplayName}
	} else {
		first, last, _ := strings.Cut(u.DisplayName, " ")
		shown["human"] = map[string]any{
			"profile": map[string]any{"firstName": first, "lastName": last, "displayName": u.DisplayName, "preferredLanguage": "und"},
			"email":   map[string]any{"email": u.LoginName + "@example.com", "isEmailVerified": true},
		}
	}
	return reply{body: map[string]any{"user": shown}}
}

// changePassword is ChangePassword for a caller that holds mu.
func (s *Server) changePassword(editor string, u *user, password string) {
	u.Password, u.hash, u.failedAttempts = password, bcryptHash(), 0
	s.push(editor, u.event("human.password.changed", struct {
		EncodedHash    string `json:"encodedHash"`
		ChangeRequired bool   `json:"changeRequired"`
		TriggerOrigin  string `json:"triggerOrigin"`
	}{u.hash, false, s.URL}))
}

func (s *Server) changeState(userID, kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[userID]
	return u != nil && s.setState(s.Admin.UserID, u, kind)
}

// setState changes a user's state, by an event of this kind, if it can. The caller holds mu.
func (s *Server) setState(editor string, u *user, kind string) bool {
	next := map[string]map[state]state{
		"locked": {active: locked}, "unlocked": {locked: active}, "deactivated": {active: inactive}, "reactivated": {inactive: active},
		"removed": {active: terminated, locked: terminated, inactive: terminated},
	}[kind][u.state]
	if next == never {
		return false
	}
	u.state = next
	if next == terminated {
		delete(s.byLogin, u.LoginName)
	}
	s.push(editor, u.event(kind, nil))
	return true
}
