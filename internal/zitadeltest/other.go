package zitadeltest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"connectrpc.com/connect"
)

// reply is what a call of another service than that of sessions answers.
type reply struct {
	status int
	body   any
	err    error
	// plain answers have no headers of grpc-gateway.
	plain bool
}

// serveOthers answers the calls of the other services of which the double has some.
func (s *Server) serveOthers(w *answer, r *http.Request, parts []string) {
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	route := r.Method + " " + r.URL.Path
	var answered reply
	switch {
	case route == "POST /oauth/v2/token":
		answered = s.token(r)
	case route == "POST /admin/v1/events/_search":
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
		w.Header().Set("Grpcgateway-Cache-Control", "no-store")
		w.Header().Set("Grpcgateway-Pragma", "no-cache")
		answered = s.searchEvents(r)
	case route == "GET /auth/v1/users/me":
		answered = s.myUser(r)
	case at(0) == "v2" && at(1) == "users":
		answered = s.changeUser(r, at(2), at(3))
	case route == "POST /v2/actions/targets":
		answered = s.createTarget(r)
	case route == "POST /v2/actions/targets/search":
		answered = s.searchTargets(r)
	case at(0) == "v2" && at(2) == "targets" && r.Method == http.MethodDelete && len(parts) == 4:
		answered = s.deleteTarget(r, parts[3])
	case route == "PUT /v2/actions/executions":
		answered = s.setExecution(r)
	case route == "POST /v2/actions/executions/search":
		answered = s.searchExecutions(r)
	default:
		writeFault(w, http.StatusNotFound, errRoute)
		return
	}
	if !answered.plain {
		w.Header().Set("Grpcgateway-Content-Type", "application/grpc")
	}
	if answered.err != nil {
		f := faultOf(answered.err)
		if f.status() == http.StatusUnauthorized {
			w.Header().Set("Www-Authenticate", f.Error())
		}
		writeFault(w, f.status(), f)
		return
	}
	body, err := json.Marshal(answered.body)
	if err != nil {
		panic(err)
	}
	if !answered.plain {
		w.Header().Set("Grpcgateway-Cache-Control", "no-store")
		w.Header().Set("Grpcgateway-Pragma", "no-cache")
		quotaCookie(w)
	}
	if answered.status == 0 {
		answered.status = http.StatusOK
	}
	writeJSON(w, answered.status, body)
}

// read reads a JSON body, which may be empty. Its texts for wrong bodies are not those of ZITADEL.
func read(r *http.Request, into any) error {
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return invalid(err.Error())
	}
	return nil
}

// changeUser answers POST /v2/users/human, POST /v2/users/{id}/{what} and DELETE /v2/users/{id}.
func (s *Server) changeUser(r *http.Request, id, what string) reply {
	as, err := s.may(r.Header, userWrite)
	if err != nil {
		return reply{err: err}
	}
	var body struct {
		Username string
		Profile  struct{ GivenName, FamilyName string }
		Password struct{ Password string }
		// NewPassword is of a change of the password.
		NewPassword struct{ Password string }
	}
	if err := read(r, &body); err != nil {
		return reply{err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	details := func(u *user) map[string]any {
		last := s.last.Format(searchDate(s.last))
		return map[string]any{"sequence": itoa(int(s.sequence["user/"+u.ID])), "changeDate": last, "resourceOwner": u.OrganizationID}
	}
	if id == "human" && r.Method == http.MethodPost {
		u := s.addUser(as.userID, User{LoginName: body.Username, DisplayName: body.Profile.GivenName + " " + body.Profile.FamilyName, Password: body.Password.Password})
		return reply{body: map[string]any{"userId": u.ID, "details": details(u)}}
	}
	kind, known := map[string]string{
		"POST lock": "locked", "POST unlock": "unlocked", "POST deactivate": "deactivated", "POST reactivate": "reactivated", "POST password": "password", "DELETE ": "removed",
	}[r.Method+" "+what]
	u := s.users[id]
	switch {
	case !known:
		return reply{err: errRoute}
	case u == nil || u.state == terminated: // the ID was not recorded
		return reply{err: newFault(connect.CodeNotFound, "COMMAND-ugjs0upun6", "User could not be found")}
	case kind == "password":
		s.changePassword(as.userID, u, body.NewPassword.Password)
	case !s.setState(as.userID, u, kind): // the ID was not recorded
		return reply{err: newFault(connect.CodeFailedPrecondition, "COMMAND-3NN8v", "User is not in a state for this")}
	}
	return reply{body: map[string]any{"details": details(u)}}
}
