package zitadeltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// maxBody is more than the largest body that was recorded, which was taken.
const maxBody = 64 << 20

func itoa(n int) string { return strconv.Itoa(n) }

// serveREST answers what is not Connect or gRPC, as grpc-gateway and what is around it do.
func (s *Server) serveREST(w *answer, r *http.Request) {
	if clean := path.Clean(r.URL.Path); strings.Contains(r.URL.Path, "//") {
		w.Header().Set("Location", clean)
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	w.Header().Set("X-Robots-Tag", "none")
	if preflight(w, r, true) {
		return
	}
	w.Header().Set("Vary", "Origin")
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc-web") {
		// It is taken for a call of a service that is called as the first part of the path.
		w.Header().Set("Access-Control-Expose-Headers", "Grpc-Status, Grpc-Message, Date, X-Robots-Tag, Vary, Content-Type, grpc-status, grpc-message")
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Set("Grpc-Message", "unknown service "+strings.Split(r.URL.Path, "/")[1])
		w.Header().Set("Grpc-Status", "12")
		return
	}
	allowOrigin(w, r)
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case parts[0] == "oauth" || parts[0] == "admin" || parts[0] == "auth" || len(parts) > 1 && (parts[1] == "users" || parts[1] == "actions"):
		s.serveOthers(w, r, parts)
	case len(parts) < 2 || len(parts) > 3 || parts[1] != "sessions" || parts[0] != "v2" && parts[0] != "v2beta":
		writeFault(w, http.StatusNotFound, errRoute)
	default:
		s.serveSessions(w, r, parts)
	}
}

// serveSessions answers the calls of the session service.
func (s *Server) serveSessions(w *answer, r *http.Request, parts []string) {
	var id string
	if len(parts) == 3 {
		id = parts[2]
	}
	call := ""
	switch {
	case len(parts) == 2 && r.Method == http.MethodPost:
		call = CreateSession
	case len(parts) == 2:
	case r.Method == http.MethodPost && id == "search":
		call, id = ListSessions, ""
	case r.Method == http.MethodGet:
		call = GetSession
	case r.Method == http.MethodPatch:
		call = SetSession
	case r.Method == http.MethodDelete:
		call = DeleteSession
	}
	if call == "" {
		writeFault(w, http.StatusMethodNotAllowed, errMethod)
		return
	}
	m, beta := methods[call], parts[0] == "v2beta"
	request := m.request(beta)
	if err := readRequest(r, request); err != nil {
		writeFault(w, http.StatusBadRequest, invalid(err.Error()))
		return
	}
	if field := request.ProtoReflect().Descriptor().Fields().ByName("session_id"); field != nil {
		request.ProtoReflect().Set(field, stringValue(id))
	}
	if !printable(r.URL.Path) {
		// The path goes along as metadata of gRPC, which takes printable ASCII alone.
		writeFault(w, http.StatusInternalServerError, &fault{code: 13, bare: true, text: `header key "zitadel-activity-path" contains value with non-printable ASCII characters`})
		return
	}
	w.Header().Set("Grpcgateway-Content-Type", "application/grpc")
	reply, err := m.call(s, r.Header, request, beta)
	if err != nil {
		f := faultOf(err)
		if f.status() == http.StatusUnauthorized {
			w.Header().Set("Www-Authenticate", f.Error())
		}
		writeFault(w, f.status(), f)
		return
	}
	w.Header().Set("Grpcgateway-Cache-Control", "no-store")
	w.Header().Set("Grpcgateway-Pragma", "no-cache")
	quotaCookie(w)
	body, err := protojson.Marshal(reply)
	if err != nil {
		panic(err)
	}
	status := http.StatusOK
	if call == CreateSession {
		status = http.StatusCreated
	}
	writeJSON(w, status, body)
}

// readRequest reads a request's body, or its query if it has none by its method, as grpc-gateway does: what follows the first
// value is not read, and unknown fields are ignored.
func readRequest(r *http.Request, into proto.Message) error {
	if r.Method == http.MethodGet {
		return readQuery(r, into)
	}
	var raw json.RawMessage
	if err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&raw); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(raw, into)
}

// readQuery reads what GetSession has in its query. Other parameters are ignored.
func readQuery(r *http.Request, into proto.Message) error {
	field := into.ProtoReflect().Descriptor().Fields().ByName("session_token")
	for name, values := range r.URL.Query() {
		if name != "sessionToken" && name != "session_token" {
			continue
		}
		if len(values) > 1 {
			return fmt.Errorf("too many values for field %q: %s", field.Name(), strings.Join(values, ", "))
		}
		into.ProtoReflect().Set(field, stringValue(values[0]))
	}
	return nil
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' })
}

func writeFault(w *answer, status int, f *fault) { writeJSON(w, status, f.json()) }

func writeJSON(w *answer, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// quotaCookie takes away a cookie that answers to successful calls always take away.
func quotaCookie(w *answer) {
	w.Header().Set("Set-Cookie", "zitadel.quota.exhausted=; Path=/; Max-Age=0; SameSite=Lax")
	w.Header().Add("Vary", "Cookie")
}

// allowOrigin is the CORS of calls.
func allowOrigin(w *answer, r *http.Request) {
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", "Location, Content-Length, Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin")
	}
}

// preflight answers a preflight of CORS; false if the request is none. What asks for headers that are not allowed gets none of
// the headers that allow something, as was recorded for Connect-Protocol-Version.
func preflight(w *answer, r *http.Request, rest bool) bool {
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" || r.Header.Get("Origin") == "" {
		return false
	}
	w.Header().Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	asked := r.Header.Get("Access-Control-Request-Headers")
	allowed := []string{"", "authorization", "content-type", "accept", "origin", "x-requested-with", "x-zitadel-orgid", "x-grpc-web", "x-user-agent"}
	if !slices.ContainsFunc(strings.Split(asked, ","), func(name string) bool { return !slices.Contains(allowed, strings.TrimSpace(name)) }) {
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Access-Control-Allow-Headers", asked)
		w.Header().Set("Access-Control-Allow-Methods", method)
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	}
	if rest {
		quotaCookie(w)
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
