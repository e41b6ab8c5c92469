package zitadeltest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"
)

// routes returns the handler of all requests.
func (s *Server) routes() http.Handler {
	services := s.connectServices()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.control.begin() {
			return
		}
		defer s.control.running.Done()
		// A request whose body is not read does not end when its connection does.
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		name := callName(r)
		s.control.count(name)
		settings := s.control.now()
		failure, fails := s.control.failure(name)
		if fails && !failure.Late {
			s.fail(w, r, failure)
			return
		}
		latency := settings.Latency[name]
		if latency == nil {
			latency = settings.Latency[Any]
		}
		if latency != nil && wait(r.Context(), latency()) != nil {
			return
		}
		if s.control.workers.do(r.Context(), settings, name) != nil {
			return
		}
		answer := &answer{header: http.Header{}, status: http.StatusOK}
		switch {
		case settings.Host != "" && r.Host != settings.Host:
			http.Error(answer, "Instance not found. Make sure you got the domain right. Check out https://zitadel.com/docs/apis/introduction#domains", http.StatusNotFound)
		case isService(r):
			s.serveService(services, answer, r)
		default:
			s.serveREST(answer, r)
		}
		call := Call{Name: name, SessionID: sessionID(r, body), Status: answer.status}
		if settings.Decided != nil {
			settings.Decided(call)
		}
		if !s.control.await(r.Context(), call) {
			return
		}
		if fails {
			s.fail(w, r, failure)
			return
		}
		answer.send(w)
	})
}

// isService says whether a request is of a service of Connect, gRPC or gRPC-Web.
func isService(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/zitadel.") }

// sessionID returns the ID of the session that a request is for, if it says that in its path or in JSON.
func sessionID(r *http.Request, body []byte) string {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if len(parts) == 3 && parts[1] == "sessions" {
		return parts[2]
	}
	var asked struct{ SessionID string }
	if !isService(r) || json.Unmarshal(body, &asked) != nil {
		return ""
	}
	return asked.SessionID
}

// callName returns the name of the call that a request is.
func callName(r *http.Request) string {
	if isService(r) {
		switch name := path.Base(r.URL.Path); name {
		case ListSessions, GetSession, CreateSession, SetSession, DeleteSession:
			return name
		}
		return Other
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	at := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	switch {
	case at(0) == "oauth" && at(2) == "token":
		return Token
	case at(0) == "admin" && at(2) == "events":
		return ListEvents
	case at(0) == "auth" && at(2) == "users" && at(3) == "me":
		return GetMyUser
	case at(0) != "v2" && at(0) != "v2beta":
		return Other
	case at(1) == "users":
		return Users
	case at(1) == "actions" && at(2) == "targets":
		switch {
		case r.Method == http.MethodDelete:
			return DeleteTarget
		case at(3) == "search":
			return SearchTargets
		}
		return CreateTarget
	case at(1) == "actions" && at(2) == "executions":
		if at(3) == "search" {
			return ListExecutions
		}
		return SetExecution
	case at(1) != "sessions":
		return Other
	}
	switch r.Method {
	case http.MethodGet:
		return GetSession
	case http.MethodPatch:
		return SetSession
	case http.MethodDelete:
		return DeleteSession
	case http.MethodPost:
		if at(2) == "search" {
			return ListSessions
		}
		return CreateSession
	}
	return Other
}

// answer is kept until it may be sent.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header                { return a.header }
func (a *answer) WriteHeader(status int)             { a.status = status }
func (a *answer) Write(data []byte) (n int, _ error) { return a.body.Write(data) }

// send sends it. Trailers of gRPC are in the header, with net/http's prefix.
func (a *answer) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// fail answers with a failure, in the form of the protocol that was spoken.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, failure Failure) {
	if failure.Cut {
		panic(http.ErrAbortHandler)
	}
	status := failure.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	number, name, text := 13, "internal", "An internal error occurred"
	switch status {
	case http.StatusTooManyRequests:
		number, name, text = 8, "resource_exhausted", "Quota.Exhausted.AUTHENTICATED"
	case http.StatusServiceUnavailable, http.StatusBadGateway:
		number, name, text = 14, "unavailable", "connection refused"
	case http.StatusGatewayTimeout:
		number, name, text = 4, "deadline_exceeded", "context deadline exceeded"
	case http.StatusUnauthorized:
		number, name, text = 16, "unauthenticated", "Errors.Token.Invalid"
	case http.StatusForbidden:
		number, name, text = 7, "permission_denied", "Errors.PermissionDenied"
	case http.StatusNotFound:
		number, name, text = 5, "not_found", "Errors.NotFound"
	}
	if failure.ErrorID != "" {
		text += " (" + failure.ErrorID + ")"
	}
	if failure.RetryAfter != "" {
		w.Header().Set("Retry-After", failure.RetryAfter)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if isService(r) {
		_, _ = w.Write([]byte(`{"code":"` + name + `","message":"` + text + `"}`))
		return
	}
	_, _ = w.Write([]byte(`{"code":` + itoa(number) + `, "message":"` + text + `"}`))
}
