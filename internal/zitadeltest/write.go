package zitadeltest

import (
	"net"
	"time"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// changes are the events of one write to a session, while it is worked out.
type changes struct {
	s         *Server
	sessionID string
	editor    string
	events    []Event
	userID    string // who the session is of, by now
}

// write is a request to create or set a session.
type write interface {
	GetChecks() *sessionv2.Checks
	GetChallenges() *sessionv2.RequestChallenges
	GetMetadata() map[string][]byte
	GetLifetime() *durationpb.Duration
}

// add adds an event of the session.
func (c *changes) add(kind string, content any, change func(*row)) {
	c.events = append(c.events, Event{
		AggregateType: "session", AggregateID: c.sessionID, ResourceOwner: c.s.InstanceID, Version: "v1", Type: "session." + kind, Payload: payload(content), change: change,
	})
}

// agentPayload is a user agent in an event.
type agentPayload struct {
	FingerprintID *string             `json:"fingerprint_id,omitempty"`
	IP            *string             `json:"ip,omitempty"`
	Description   *string             `json:"description,omitempty"`
	Header        map[string][]string `json:"header,omitempty"`
}

func (s *Server) createSession(as *caller, request *sessionv2.CreateSessionRequest, _ bool) (*sessionv2.CreateSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.create(as, request, func(*changes) {})
}

// create is createSession with more events, for a caller that holds mu.
func (s *Server) create(as *caller, request *sessionv2.CreateSessionRequest, more func(*changes)) (*sessionv2.CreateSessionResponse, error) {
	u, err := s.userToCheck(request.GetChecks())
	if err != nil {
		return nil, err
	}
	if err := s.permit(as, sessionWrite, ""); err != nil {
		return nil, err
	}
	c := &changes{s: s, sessionID: s.id(), editor: as.userID}
	agent, content := userAgent(request.GetUserAgent())
	c.add("added", content, func(r *row) { r.agent = agent })
	token, err := c.apply(u, request, more)
	if err != nil {
		return nil, err
	}
	reply := &sessionv2.CreateSessionResponse{Details: s.details(c.sessionID), SessionId: c.sessionID, SessionToken: token}
	if request.GetChallenges() != nil {
		reply.Challenges = &sessionv2.Challenges{}
	}
	return reply, nil
}

func (s *Server) setSession(as *caller, request *sessionv2.SetSessionRequest, _ bool) (*sessionv2.SetSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := s.userToCheck(request.GetChecks())
	if err != nil {
		return nil, err
	}
	m := s.models[request.GetSessionId()]
	if m == nil {
		m = &writeModel{} // nobody asks whether there is such a session
	}
	if err := s.permit(as, sessionWrite, m.organizationID); err != nil {
		return nil, err
	}
	switch {
	case m.state == terminated:
		return nil, newFault(connect.CodeFailedPrecondition, "COMMAND-Hewfq", "Session already terminated")
	case !m.expiration.IsZero() && m.expiration.Before(s.now()):
		return nil, newFault(connect.CodeFailedPrecondition, "COMMAND-Hkl3d", "Session has expired")
	}
	c := &changes{s: s, sessionID: request.GetSessionId(), editor: as.userID, userID: m.userID}
	token, err := c.apply(u, request, func(*changes) {})
	if err != nil {
		return nil, err
	}
	reply := &sessionv2.SetSessionResponse{Details: s.details(c.sessionID), SessionToken: token}
	if request.GetChallenges() != nil {
		reply.Challenges = &sessionv2.Challenges{}
	}
	return reply, nil
}

// apply works out what a write changes, and stores it with a new token, which it returns; "" if nothing changes. The caller
// holds mu.
func (c *changes) apply(u *user, request write, more func(*changes)) (string, error) {
	s := c.s
	if err := c.check(u, request.GetChecks()); err != nil {
		return "", err
	}
	if err := challenge(request.GetChallenges()); err != nil {
		return "", err
	}
	more(c)
	// The map is replaced by the values that are not empty; if there are none, nothing changes.
	kept := map[string][]byte{}
	for key, value := range request.GetMetadata() {
		if len(value) > 0 {
			kept[key] = value
		}
	}
	if len(kept) > 0 {
		c.add("metadata.set", map[string]any{"metadata": kept}, func(r *row) { r.metadata = kept })
	}
	if lifetime := request.GetLifetime(); lifetime != nil {
		d := lifetime.AsDuration()
		c.add("lifetime.set", map[string]time.Duration{"lifetime": d}, func(r *row) { r.expiration = r.changeDate.Add(d) })
	}
	if len(c.events) == 0 {
		return "", nil
	}
	tokenID := s.id()
	c.add("token.set", map[string]string{"tokenID": tokenID}, func(r *row) { r.tokenID = tokenID })
	s.push(c.editor, c.events...)
	return s.sealer.seal(sealedText(c.sessionID, tokenID)), nil
}

// userToCheck finds the user that a request wants checked; nil if none. The caller holds mu.
func (s *Server) userToCheck(checks *sessionv2.Checks) (*user, error) {
	check := checks.GetUser()
	if check == nil {
		return nil, nil
	}
	var u *user
	switch search := check.GetSearch().(type) {
	case *sessionv2.CheckUser_UserId:
		u = s.users[search.UserId]
	case *sessionv2.CheckUser_LoginName:
		u = s.byLogin[search.LoginName]
	default: // v2 does not come so far
		return nil, newFault(connect.CodeUnimplemented, "SESSION-d3b4g0", "user search <nil> not implemented")
	}
	switch {
	case u == nil || u.state == terminated:
		return nil, errNoUser
	case u.state != active:
		return nil, newFault(connect.CodeFailedPrecondition, "SESSION-Gj4ko", "Errors.User.NotActive")
	}
	return u, nil
}

// check checks what a request wants checked.
func (c *changes) check(u *user, checks *sessionv2.Checks) error {
	s := c.s
	if u != nil {
		if c.userID != "" && c.userID != u.ID {
			return newFault(connect.CodeInvalidArgument, "", "user change not possible")
		}
		c.userID = u.ID
		at := s.now()
		c.add("user.checked", checkedPayload{UserID: u.ID, UserResourceOwner: u.OrganizationID, CheckedAt: at}, func(r *row) {
			r.userID, r.organizationID, r.user = u.ID, u.OrganizationID, at
		})
	}
	if password := checks.GetPassword(); password != nil {
		if err := c.checkPassword(password.GetPassword()); err != nil {
			return err
		}
	}
	if checks.GetTotp() != nil {
		// None of its users has one.
		return newFault(connect.CodeFailedPrecondition, "COMMAND-3Mif9s", "Multifactor OTP (OneTimePassword) isn't ready")
	}
	if checks.GetWebAuthN() != nil || checks.GetIdpIntent() != nil || checks.GetOtpSms() != nil || checks.GetOtpEmail() != nil || checks.GetRecoveryCode() != nil {
		return errNotInDouble
	}
	return nil
}

type checkedPayload struct {
	UserID            string    `json:"userID,omitempty"`
	UserResourceOwner string    `json:"userResourceOwner,omitempty"`
	CheckedAt         time.Time `json:"checkedAt"`
}

// checkPassword checks the password of the session's user. A wrong one is an event of the user, though the call fails.
func (c *changes) checkPassword(password string) error {
	s := c.s
	u := s.users[c.userID]
	switch {
	case c.userID == "":
		return newFault(connect.CodeFailedPrecondition, "COMMAND-Sfw3f", "User ID missing")
	case u == nil || u.state == terminated: // from ZITADEL's code
		return newFault(connect.CodeFailedPrecondition, "COMMAND-Df4b3", "User could not be found")
	case u.state == locked: // from ZITADEL's code
		return newFault(connect.CodeFailedPrecondition, "COMMAND-JLK35", "User is locked")
	case u.Password != password || password == "":
		u.failedAttempts++
		s.push(c.editor, u.event("human.password.check.failed", struct{}{}))
		return &fault{code: connect.CodeInvalidArgument, id: "COMMAND-3M0fs", text: "Password is invalid", attempts: u.failedAttempts}
	}
	u.failedAttempts = 0
	at := s.now()
	c.events = append(c.events, u.event("human.password.check.succeeded", struct{}{}))
	c.add("password.checked", checkedPayload{CheckedAt: at}, func(r *row) { r.password = at })
	return nil
}

// challenge refuses challenges, of which the double can make none.
func challenge(asked *sessionv2.RequestChallenges) error {
	if asked.GetWebAuthN() != nil {
		return newFault(connect.CodeInternal, "WEBAU-4G8sw", "WebAuthN begin login failed") // for users without a passkey
	}
	if asked.GetOtpSms() != nil || asked.GetOtpEmail() != nil {
		return errNotInDouble
	}
	return nil
}

// userAgent returns a user agent as it is stored and as it is in events: with a normal form of the IP address, or without if it
// is none.
func userAgent(given *sessionv2.UserAgent) (*sessionv2.UserAgent, any) {
	if given == nil {
		return nil, struct{}{}
	}
	stored := proto.Clone(given).(*sessionv2.UserAgent)
	stored.Ip = nil
	if ip := net.ParseIP(given.GetIp()); ip != nil {
		stored.Ip = proto.String(ip.String())
	}
	if stored.FingerprintId == nil && stored.Ip == nil && stored.Description == nil && len(stored.Header) == 0 {
		return nil, struct{}{}
	}
	content := agentPayload{FingerprintID: stored.FingerprintId, IP: stored.Ip, Description: stored.Description}
	for name, values := range stored.Header {
		if content.Header == nil {
			content.Header = map[string][]string{}
		}
		content.Header[name] = values.GetValues()
	}
	return stored, map[string]any{"user_agent": content}
}

// details are those of a session's last event; empty if it never had one. The caller holds mu.
func (s *Server) details(id string) *objectv2.Details {
	m := s.models[id]
	if m == nil {
		return &objectv2.Details{}
	}
	return &objectv2.Details{Sequence: m.sequence, ChangeDate: date(m.changeDate), ResourceOwner: s.InstanceID}
}

func (s *Server) deleteSession(as *caller, request *sessionv2.DeleteSessionRequest, _ bool) (*sessionv2.DeleteSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := request.GetSessionId()
	m := s.models[id]
	if m == nil {
		m = &writeModel{}
	}
	// That is looked at even if there is nothing to delete.
	if token := request.GetSessionToken(); token != "" {
		if text, ok := s.sealer.open(token); !ok || text != sealedText(id, m.tokenID) {
			return nil, newFault(connect.CodePermissionDenied, "COMMAND-sGr42", "Session Token is invalid")
		}
	} else if m.userID == "" || m.userID != as.userID {
		if err := s.permit(as, sessionDelete, m.organizationID); err != nil {
			return nil, err
		}
	}
	if m.state == active {
		s.terminate(as.userID, id)
	}
	return &sessionv2.DeleteSessionResponse{Details: s.details(id)}, nil
}

// terminate ends a session. The caller holds mu.
func (s *Server) terminate(editor, id string) {
	c := &changes{s: s, sessionID: id}
	c.add("terminated", map[string]string{"triggerOrigin": s.URL}, func(*row) {})
	s.push(editor, c.events...)
}
