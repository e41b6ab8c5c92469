package zitadeltest

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Session is what a session that a test creates has.
type Session struct {
	// UserID is of a user that is active; empty: none is checked.
	UserID string
	// Password says that the user's password was checked, TOTP and WebAuthN (with the user verified) the others, which the
	// double cannot check itself.
	Password, TOTP, WebAuthN bool
	Metadata                 map[string][]byte
	Agent                    *sessionv2.UserAgent
	// Lifetime 0 never ends.
	Lifetime time.Duration
	// Creator is the ID of who creates it; empty: Login's.
	Creator string
}

// CreateSession creates a session, and returns its ID and token.
func (s *Server) CreateSession(want Session) (id, token string) {
	s.test().Helper()
	as := &caller{userID: want.Creator}
	if as.userID == "" {
		as.userID = s.Login.UserID
	}
	request := &sessionv2.CreateSessionRequest{Metadata: want.Metadata, UserAgent: want.Agent, Checks: &sessionv2.Checks{}}
	if want.UserID != "" {
		request.Checks.User = &sessionv2.CheckUser{Search: &sessionv2.CheckUser_UserId{UserId: want.UserID}}
	}
	if want.Lifetime > 0 {
		request.Lifetime = durationpb.New(want.Lifetime)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if want.Password && s.users[want.UserID] != nil {
		request.Checks.Password = &sessionv2.CheckPassword{Password: s.users[want.UserID].Password}
	}
	reply, err := s.create(as, request, func(c *changes) {
		at := s.now()
		if want.WebAuthN {
			c.add("webAuthN.checked", map[string]any{"checkedAt": at, "userVerified": true}, func(r *row) { r.webAuthN, r.userVerified = at, true })
		}
		if want.TOTP {
			c.add("totp.checked", checkedPayload{CheckedAt: at}, func(r *row) { r.totp = at })
		}
	})
	if err != nil {
		s.test().Errorf("CreateSession: %v", err)
		return "", ""
	}
	return reply.GetSessionId(), reply.GetSessionToken()
}

// SetMetadata changes a session, as Login does by SetSession, and returns the new token.
func (s *Server) SetMetadata(id, key, value string) (token string, err error) {
	return s.SetSession(&sessionv2.SetSessionRequest{SessionId: id, Metadata: map[string][]byte{key: []byte(value)}})
}

// SetSession changes a session, as Login does, and returns the new token; "" if nothing changes.
func (s *Server) SetSession(request *sessionv2.SetSessionRequest) (token string, err error) {
	reply, err := s.setSession(&caller{userID: s.Login.UserID}, request, false)
	return reply.GetSessionToken(), err
}

// SessionIDs returns the IDs of all sessions that GetSession finds, in the order of their creation.
func (s *Server) SessionIDs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := slices.SortedFunc(maps.Values(s.rows), func(a, b *row) int { return cmp.Compare(a.number, b.number) })
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.id
	}
	return ids
}

// Terminate ends a session, as DeleteSession does. It says whether there was one.
func (s *Server) Terminate(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.models[id]
	if m == nil || m.state != active {
		return false
	}
	s.terminate(s.Login.UserID, id)
	return true
}

// StartOIDCSession starts a login of an application with a session, and returns the ID of the OIDC session: the part of a JWT
// access token's jti before "-at_". Its event's members are from ZITADEL's code and oidc.md; it was not recorded.
func (s *Server) StartOIDCSession(sessionID, clientID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[sessionID]
	if r == nil {
		return ""
	}
	id := "V2_" + s.id()
	e := Event{AggregateType: "oidc_session", AggregateID: id, ResourceOwner: r.organizationID, Version: "v1", Type: "oidc_session.added"}
	e.Payload = payload(struct {
		UserID            string    `json:"userID"`
		UserResourceOwner string    `json:"userResourceOwner"`
		SessionID         string    `json:"sessionID"`
		ClientID          string    `json:"clientID"`
		Audience          []string  `json:"audience"`
		Scope             []string  `json:"scope"`
		AuthMethods       []int     `json:"authMethods"`
		AuthTime          time.Time `json:"authTime"`
	}{r.userID, r.organizationID, sessionID, clientID, []string{clientID}, []string{"openid"}, []int{1}, r.changeDate})
	access := e
	access.Type, access.Payload = "oidc_session.access_token.added", payload(map[string]any{"id": "at_" + s.id(), "scope": []string{"openid"}, "lifetime": tokenLife})
	s.push(r.userID, e, access)
	return id
}

// Seen is what a caller sees of a session, and would be answered.
type Seen struct {
	// Status is REST's; 200: it is seen.
	Status int
	// ErrorID is such as QUERY-SFeaa, and Message all of the error's text.
	ErrorID, Message string
	Session          *sessionv2.Session
}

// See says what GetSession (v2) answers now to a caller with this bearer token: without a request, so that nothing is counted, late
// or failing. Token is the session token that is sent along, "" for none.
func (s *Server) See(bearerToken, id, token string) Seen {
	request := &sessionv2.GetSessionRequest{SessionId: id}
	if token != "" {
		request.SessionToken = &token
	}
	reply, err := methods[GetSession].call(s, http.Header{"Authorization": {"Bearer " + bearerToken}}, request, false)
	if err != nil {
		var f *fault
		if !errors.As(err, &f) {
			f = faultOf(err)
		}
		return Seen{Status: f.status(), ErrorID: f.id, Message: f.Error()}
	}
	return Seen{Status: http.StatusOK, Session: proto.Clone(reply).(*sessionv2.GetSessionResponse).GetSession()}
}

// SeeList says what ListSessions (v2) would answer to a caller if lists were never late.
func (s *Server) SeeList(bearerToken string, request *sessionv2.ListSessionsRequest) (*sessionv2.ListSessionsResponse, error) {
	as, err := s.authenticate(http.Header{"Authorization": {"Bearer " + bearerToken}})
	if err == nil {
		err = validate(request, false)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply, err := s.list(as, request, s.rows, Settings{})
	if err != nil {
		return nil, err
	}
	return proto.Clone(reply).(*sessionv2.ListSessionsResponse), nil
}
