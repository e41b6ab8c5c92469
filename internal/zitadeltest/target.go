package zitadeltest

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// target is where events are sent to.
type target struct {
	id, name, endpoint, kind, signingKey string
	interrupt                            bool
	timeout                              time.Duration
	created                              time.Time
}

// targetBody is a target in requests and answers.
type targetBody struct {
	ID           string      `json:"id,omitempty"`
	CreationDate string      `json:"creationDate,omitempty"`
	ChangeDate   string      `json:"changeDate,omitempty"`
	Name         string      `json:"name,omitempty"`
	RestWebhook  *targetKind `json:"restWebhook,omitempty"`
	RestCall     *targetKind `json:"restCall,omitempty"`
	RestAsync    *struct{}   `json:"restAsync,omitempty"`
	Timeout      string      `json:"timeout,omitempty"`
	Endpoint     string      `json:"endpoint,omitempty"`
	SigningKey   string      `json:"signingKey,omitempty"`
}

type targetKind struct {
	InterruptOnError bool `json:"interruptOnError,omitempty"`
}

// condition says which events an execution is for, the first that is set: one type, a group of types, or all.
type condition struct {
	Event *eventCondition `json:"event,omitempty"`
}

type eventCondition struct {
	Event string `json:"event,omitempty"`
	Group string `json:"group,omitempty"`
	All   bool   `json:"all,omitempty"`
}

func (c condition) key() string {
	switch e := c.Event; {
	case e == nil:
	case e.Event != "":
		return "event/" + e.Event
	case e.Group != "":
		return "event/" + strings.TrimSuffix(e.Group, ".*") + ".*"
	case e.All:
		return "event"
	}
	return ""
}

// createTarget answers POST /v2/actions/targets, with the key that signs what is sent there. The calls of Actions are by
// ZITADEL's protos: the recordings have none.
func (s *Server) createTarget(r *http.Request) reply {
	if _, err := s.may(r.Header, actionsWrite); err != nil {
		return reply{err: err}
	}
	var body targetBody
	if err := read(r, &body); err != nil {
		return reply{err: err}
	}
	timeout, err := time.ParseDuration(body.Timeout)
	u, wrong := url.Parse(body.Endpoint)
	switch {
	case body.Name == "":
		return reply{err: invalid("invalid CreateTargetRequest.Name: value length must be between 1 and 1000 runes, inclusive")}
	case body.RestWebhook == nil && body.RestCall == nil && body.RestAsync == nil:
		return reply{err: invalid("invalid CreateTargetRequest.TargetType: value is required")}
	case err != nil || timeout <= 0:
		return reply{err: newFault(connect.CodeInvalidArgument, "COMMAND-39f35d8uri", "Errors.Target.NoTimeout")}
	case wrong != nil || u.Host == "":
		return reply{err: newFault(connect.CodeInvalidArgument, "COMMAND-1r2k6qo6wg", "Errors.Target.InvalidURL")}
	case s.control.now().DenyPrivateTargets && private(u.Hostname()):
		return reply{err: newFault(connect.CodeInvalidArgument, "COMMAND-denied", "Errors.Target.DeniedURL")}
	}
	t := &target{name: body.Name, endpoint: body.Endpoint, timeout: timeout, signingKey: encode(random(24)), kind: "async"}
	if body.RestWebhook != nil {
		t.kind, t.interrupt = "webhook", body.RestWebhook.InterruptOnError
	} else if body.RestCall != nil {
		t.kind, t.interrupt = "call", body.RestCall.InterruptOnError
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.id, t.created = s.id(), s.date()
	s.targets[t.id] = t
	return reply{status: http.StatusCreated, body: targetBody{ID: t.id, CreationDate: t.created.Format(searchDate(t.created)), SigningKey: t.signingKey}}
}

// private says whether a host is one that ZITADEL denies by default.
func private(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}

// searchTargets answers POST /v2/actions/targets/search. It shows no signing key.
func (s *Server) searchTargets(r *http.Request) reply {
	if _, err := s.may(r.Header, actionsWrite); err != nil {
		return reply{err: err}
	}
	var asked struct {
		Pagination pageOf
		Filters    []struct {
			TargetNameFilter  *struct{ TargetName, Method string }
			InTargetIDsFilter *struct{ TargetIDs []string }
		}
	}
	if err := read(r, &asked); err != nil {
		return reply{err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []targetBody{}
	for _, t := range s.targets {
		hidden := false
		for _, filter := range asked.Filters {
			hidden = hidden || filter.TargetNameFilter != nil && filter.TargetNameFilter.TargetName != t.name ||
				filter.InTargetIDsFilter != nil && !slices.Contains(filter.InTargetIDsFilter.TargetIDs, t.id)
		}
		if hidden {
			continue
		}
		at := t.created.Format(searchDate(t.created))
		shown := targetBody{ID: t.id, CreationDate: at, ChangeDate: at, Name: t.name, Timeout: itoa(int(t.timeout/time.Second)) + "s", Endpoint: t.endpoint}
		switch t.kind {
		case "webhook":
			shown.RestWebhook = &targetKind{t.interrupt}
		case "call":
			shown.RestCall = &targetKind{t.interrupt}
		default:
			shown.RestAsync = &struct{}{}
		}
		found = append(found, shown)
	}
	slices.SortFunc(found, func(a, b targetBody) int { return strings.Compare(a.ID, b.ID) })
	return reply{body: map[string]any{"pagination": map[string]any{"totalResult": itoa(len(found))}, "targets": cutPage(asked.Pagination, found)}}
}

// pageOf says which part of a list is asked for.
type pageOf struct{ Limit, Offset int }

// cutPage returns a page of a list: of 100 where it says nothing.
func cutPage[T any](page pageOf, all []T) []T {
	if page.Limit == 0 {
		page.Limit = 100
	}
	from := min(page.Offset, len(all))
	return all[from:min(from+page.Limit, len(all))]
}

// updateTarget answers POST /v2/actions/targets/{id}. It only makes a new signing key, at once: other changes are not in the
// double.
func (s *Server) updateTarget(r *http.Request, id string) reply {
	if _, err := s.may(r.Header, actionsWrite); err != nil {
		return reply{err: err}
	}
	var body struct{ ExpirationSigningKey string }
	if err := read(r, &body); err != nil {
		return reply{err: err}
	}
	if body.ExpirationSigningKey != "0s" {
		return reply{err: errNotInDouble}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.targets[id]
	if old == nil {
		return reply{err: newFault(connect.CodeNotFound, "COMMAND-xj14f2cccn", "Errors.Target.NotFound")}
	}
	next := *old
	next.signingKey = encode(random(24))
	s.targets[id] = &next
	at := s.date()
	return reply{body: map[string]any{"changeDate": at.Format(searchDate(at)), "signingKey": next.signingKey}}
}

// deleteTarget answers DELETE /v2/actions/targets/{id}, which does nothing if there is none.
func (s *Server) deleteTarget(r *http.Request, id string) reply {
	if _, err := s.may(r.Header, actionsWrite); err != nil {
		return reply{err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.targets[id] == nil {
		return reply{body: struct{}{}}
	}
	delete(s.targets, id)
	for key, ids := range s.actions {
		s.actions[key] = slices.DeleteFunc(slices.Clone(ids), func(known string) bool { return known == id })
	}
	at := s.date()
	return reply{body: map[string]any{"deletionDate": at.Format(searchDate(at))}}
}

// setExecution answers PUT /v2/actions/executions: which targets the events of a condition are sent to, in place of those before.
func (s *Server) setExecution(r *http.Request) reply {
	if _, err := s.may(r.Header, actionsWrite); err != nil {
		return reply{err: err}
	}
	var body struct {
		Condition condition
		Targets   []string
	}
	if err := read(r, &body); err != nil {
		return reply{err: err}
	}
	key := body.Condition.key()
	if key == "" {
		return reply{err: invalid("invalid SetExecutionRequest.Condition: value is required")}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range body.Targets {
		if s.targets[id] == nil {
			return reply{err: newFault(connect.CodeFailedPrecondition, "COMMAND-17e8fq1ggk", "Errors.Target.NotFound")}
		}
	}
	s.actions[key] = body.Targets
	at := s.date()
	return reply{body: map[string]any{"setDate": at.Format(searchDate(at))}}
}

// searchExecutions answers POST /v2/actions/executions/search with all that have targets; it knows no filters.
func (s *Server) searchExecutions(r *http.Request) reply {
	if _, err := s.may(r.Header, actionsWrite); err != nil {
		return reply{err: err}
	}
	var asked struct {
		Pagination pageOf
		Filters    []any
	}
	if err := read(r, &asked); err != nil {
		return reply{err: err}
	}
	if len(asked.Filters) > 0 {
		return reply{err: errNotInDouble}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []map[string]any{}
	for _, key := range sortedKeys(s.actions) {
		if len(s.actions[key]) == 0 {
			continue
		}
		shown := eventCondition{All: key == "event"}
		if name, ok := strings.CutPrefix(key, "event/"); ok {
			if group, ok := strings.CutSuffix(name, ".*"); ok {
				shown.Group = group
			} else {
				shown.Event = name
			}
		}
		found = append(found, map[string]any{"condition": condition{&shown}, "targets": s.actions[key]})
	}
	return reply{body: map[string]any{"pagination": map[string]any{"totalResult": itoa(len(found))}, "executions": cutPage(asked.Pagination, found)}}
}

// targetsOf returns the targets of a type of events: those of the most special condition. The caller holds mu.
func (s *Server) targetsOf(kind string) []*target {
	keys := []string{"event/" + kind}
	for group := kind; strings.Contains(group, "."); {
		group = group[:strings.LastIndexByte(group, '.')]
		keys = append(keys, "event/"+group+".*")
	}
	for _, key := range append(keys, "event") {
		if ids := s.actions[key]; len(ids) > 0 {
			var found []*target
			for _, id := range ids {
				if t := s.targets[id]; t != nil {
					found = append(found, t)
				}
			}
			return found
		}
	}
	return nil
}
