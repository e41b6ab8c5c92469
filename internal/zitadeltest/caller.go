package zitadeltest

import (
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// Role is what a user may do.
type Role string

// The roles. NoRole is what end users have: no membership at all. An OrganizationOwner may do all with the sessions of the
// users of its organization.
const (
	NoRole            Role = ""
	Owner             Role = "IAM_OWNER"
	LoginClient       Role = "IAM_LOGIN_CLIENT"
	OrganizationOwner Role = "ORG_OWNER"
)

// permission is a right that a role may have.
type permission string

const (
	sessionRead   permission = "session.read"
	sessionWrite  permission = "session.write"
	sessionDelete permission = "session.delete"
	eventsRead    permission = "events.read"
	userWrite     permission = "user.write"
	actionsWrite  permission = "action.target.write"
)

// bearer is what an access token stands for.
type bearer struct {
	userID, agentID string
	expires         time.Time // zero: never
}

// caller is who sent a request.
type caller struct{ userID, agentID string }

// AddAccessToken makes an access token of a user, as an application with a login of this user agent has it ("": none). It never
// expires.
func (s *Server) AddAccessToken(userID, agentID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := s.sealer.seal("at_" + s.id() + ":" + userID)
	s.bearers[token] = bearer{userID: userID, agentID: agentID}
	return token
}

// RevokeToken makes an access token worth nothing.
func (s *Server) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bearers, token)
}

// authenticate returns who sent a request.
func (s *Server) authenticate(header http.Header) (*caller, error) {
	authorization := header.Get("Authorization")
	if authorization == "" {
		return nil, errNoAuth
	}
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok || token == "" {
		return nil, errAuthHeader
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	as, err := s.callerOf(token)
	if err != nil {
		return nil, err
	}
	// Only what a late Connect-Timeout-Ms did to this lookup was recorded; the message is the same.
	if org := header.Get("X-Zitadel-Orgid"); org != "" && !s.orgs[org] {
		return nil, newFault(connect.CodePermissionDenied, "AUTH-Bs7Ds", "Organisation doesn't exist")
	}
	return as, nil
}

// callerOf returns who a token is of. Its texts are not translated, as those of a call are. The caller holds mu.
func (s *Server) callerOf(token string) (*caller, error) {
	if b, ok := s.bearers[token]; ok {
		if u := s.users[b.userID]; u == nil || u.state != active || !b.expires.IsZero() && !s.now().Before(b.expires) {
			return nil, errToken
		}
		return &caller{b.userID, b.agentID}, nil
	}
	text, _ := s.sealer.open(token)
	id, _, ok := strings.Cut(strings.TrimPrefix(text, "sess_"), ":")
	if !ok || !strings.HasPrefix(text, "sess_") {
		return nil, errToken
	}
	r := s.rows[id]
	switch {
	case r == nil:
		return nil, newFault(connect.CodeNotFound, errNoSession.id, "Errors.Session.NotExisting")
	case text != sealedText(r.id, r.tokenID):
		return nil, newFault(connect.CodePermissionDenied, errSessionToken.id, "Errors.PermissionDenied")
	case !r.expiration.IsZero() && r.expiration.Before(s.now()):
		return nil, newFault(connect.CodePermissionDenied, "AUTHZ-EGDo3", "session expired")
	case r.userID == "" || !r.proven():
		return nil, newFault(connect.CodePermissionDenied, "AUTHZ-Kl3p0", "authentication required")
	}
	// A session token brings no user agent (ZITADEL's verifySessionToken).
	return &caller{userID: r.userID}, nil
}

func sealedText(sessionID, tokenID string) string { return "sess_" + sessionID + ":" + tokenID }

// permit returns nil if a caller has a permission for an organization, or for the instance. The caller holds mu.
func (s *Server) permit(as *caller, right permission, organizationID string) error {
	u := s.users[as.userID]
	switch {
	case u == nil || u.role == NoRole:
		return errNoMembership
	case u.role == Owner:
		return nil
	case right != sessionRead && right != sessionWrite && right != sessionDelete:
		return errNoPermission
	case u.role == LoginClient || u.role == OrganizationOwner && u.OrganizationID == organizationID:
		return nil
	}
	return errNoPermission
}

// may authenticates a request to another service than that of sessions, and looks for a permission.
func (s *Server) may(header http.Header, right permission) (*caller, error) {
	as, err := s.authenticate(header)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return as, s.permit(as, right, "")
}

// mayRead returns nil if a caller may see a session without its token. The caller holds mu.
func (s *Server) mayRead(as *caller, r *row) error {
	if as.userID == r.creator || r.userID != "" && as.userID == r.userID {
		return nil
	}
	if agent := r.agent.GetFingerprintId(); agent != "" && as.agentID == agent {
		return nil
	}
	return s.permit(as, sessionRead, r.organizationID)
}
