package zitadeltest

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/objectv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/zitadel"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// listView is what lists show: the rows, as they were some time ago.
type listView struct {
	rows    map[string]*row
	pending []rowChange // in order
	at      time.Time   // of the last change that is shown
}

type rowChange struct {
	at  time.Time
	id  string // empty: no row, only the date
	row *row   // nil: it is gone
}

func (v *listView) changed(at time.Time, id string, r *row) {
	v.pending = append(v.pending, rowChange{at, id, r})
}

// catchUp shows what happened up to a date.
func (v *listView) catchUp(until time.Time) {
	n := 0
	for ; n < len(v.pending) && !v.pending[n].at.After(until); n++ {
		c := v.pending[n]
		v.at = c.at
		switch {
		case c.id == "":
		case c.row == nil:
			delete(v.rows, c.id)
		default:
			v.rows[c.id] = c.row
		}
	}
	v.pending = slices.Delete(v.pending, 0, n)
}

func (s *Server) listSessions(as *caller, request *sessionv2.ListSessionsRequest, _ bool) (*sessionv2.ListSessionsResponse, error) {
	settings := s.control.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !settings.HoldLists {
		// The date of a write may be ahead of the clock, which gives no two requests the same.
		until := s.now()
		if s.last.After(until) {
			until = s.last
		}
		s.lists.catchUp(until.Add(-settings.ListLag))
	}
	reply, err := s.list(as, request, s.lists.rows, settings)
	if err != nil {
		return nil, err
	}
	reply.Details.Timestamp = date(s.lists.at)
	return reply, nil
}

// list finds sessions among rows. Permissions are applied to the page, whose total counts all that match. The caller holds mu.
func (s *Server) list(as *caller, request *sessionv2.ListSessionsRequest, rows map[string]*row, settings Settings) (*sessionv2.ListSessionsResponse, error) {
	var matches []func(*row) bool
	for _, query := range request.GetQueries() {
		match, err := matcher(query, as)
		if err != nil {
			return nil, err
		}
		if ids := query.GetIdsQuery(); ids != nil && len(ids.GetIds()) == 0 && settings.RelationalTables {
			return nil, errInternal
		}
		matches = append(matches, match)
	}
	page := request.GetQuery()
	limit := page.GetLimit()
	if settings.MaxListLimit > 0 && limit > settings.MaxListLimit {
		return nil, newFault(connect.CodeInvalidArgument, "QUERY-4M0fs", "Limit exceeded")
	}
	if limit == 0 {
		limit = settings.DefaultListLimit
	}
	if page.GetOffset() > math.MaxInt64 {
		return nil, errInternal
	}
	var found []*row
	for _, r := range rows {
		if !slices.ContainsFunc(matches, func(match func(*row) bool) bool { return !match(r) }) {
			found = append(found, r)
		}
	}
	// Without a column there is no order; the oldest came first.
	descending := request.GetSortingColumn() == sessionv2.SessionFieldName_SESSION_FIELD_NAME_CREATION_DATE && !page.GetAsc()
	slices.SortFunc(found, func(a, b *row) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(a.number, b.number)
	})
	details := &objectv2.ListDetails{}
	reply := &sessionv2.ListSessionsResponse{Details: details}
	if page.GetOffset() >= uint64(len(found)) {
		return reply, nil
	}
	details.TotalResult = uint64(len(found))
	found = found[page.GetOffset():]
	if limit > 0 && uint64(limit) < uint64(len(found)) {
		found = found[:limit]
	}
	for _, r := range found {
		if settings.RelationalTables || s.mayRead(as, r) == nil {
			reply.Sessions = append(reply.Sessions, s.session(r))
		}
	}
	if settings.RelationalTables {
		details.TotalResult = uint64(len(reply.Sessions))
		for _, session := range reply.Sessions {
			session.Sequence = 0
		}
	}
	return reply, nil
}

// matcher returns what a query finds.
func matcher(query *sessionv2.SearchQuery, as *caller) (func(*row) bool, error) {
	// PostgreSQL takes no NUL.
	text := func(values ...string) error {
		if slices.ContainsFunc(values, func(value string) bool { return strings.ContainsRune(value, 0) }) {
			return errInternal
		}
		return nil
	}
	switch q := query.GetQuery().(type) {
	case *sessionv2.SearchQuery_IdsQuery:
		ids := map[string]bool{}
		for _, id := range q.IdsQuery.GetIds() {
			ids[id] = true
		}
		return func(r *row) bool { return ids[r.id] }, text(q.IdsQuery.GetIds()...)
	case *sessionv2.SearchQuery_UserIdQuery:
		id := q.UserIdQuery.GetId()
		return func(r *row) bool { return id != "" && r.userID == id }, text(id)
	case *sessionv2.SearchQuery_CreatorQuery:
		id := as.userID
		if q.CreatorQuery.Id != nil {
			if id = q.CreatorQuery.GetId(); id == "" {
				return nil, newFault(connect.CodeInvalidArgument, "GRPC-x8n24uh", "List.Query.Invalid")
			}
		}
		return func(r *row) bool { return r.creator == id }, text(id)
	case *sessionv2.SearchQuery_UserAgentQuery:
		id := as.agentID
		if q.UserAgentQuery.FingerprintId != nil {
			id = q.UserAgentQuery.GetFingerprintId()
		}
		if id == "" {
			return nil, newFault(connect.CodeInvalidArgument, "GRPC-x8n23uh", "List.Query.Invalid")
		}
		return func(r *row) bool {
			return r.agent != nil && r.agent.FingerprintId != nil && r.agent.GetFingerprintId() == id
		}, text(id)
	case *sessionv2.SearchQuery_CreationDateQuery:
		compare := comparer(q.CreationDateQuery.GetCreationDate(), q.CreationDateQuery.GetMethod())
		return func(r *row) bool { return compare(r.creationDate) }, nil
	case *sessionv2.SearchQuery_ExpirationDateQuery:
		method := q.ExpirationDateQuery.GetMethod()
		compare := comparer(q.ExpirationDateQuery.GetExpirationDate(), method)
		// What never expires expires after every date.
		noEnd := method == zitadel.TimestampQueryMethod_TIMESTAMP_QUERY_METHOD_GREATER || method == zitadel.TimestampQueryMethod_TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS
		return func(r *row) bool {
			if r.expiration.IsZero() {
				return noEnd
			}
			return compare(r.expiration)
		}, nil
	}
	return nil, errInternal
}

// comparer returns a comparison with a date, which is the epoch if it is absent.
func comparer(with *timestamppb.Timestamp, method zitadel.TimestampQueryMethod) func(time.Time) bool {
	limit := with.AsTime().Truncate(time.Microsecond)
	return func(t time.Time) bool {
		c := t.Truncate(time.Microsecond).Compare(limit)
		switch method {
		case zitadel.TimestampQueryMethod_TIMESTAMP_QUERY_METHOD_GREATER:
			return c > 0
		case zitadel.TimestampQueryMethod_TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS:
			return c >= 0
		case zitadel.TimestampQueryMethod_TIMESTAMP_QUERY_METHOD_LESS:
			return c < 0
		case zitadel.TimestampQueryMethod_TIMESTAMP_QUERY_METHOD_LESS_OR_EQUALS:
			return c <= 0
		}
		return c == 0
	}
}

func (s *Server) getSession(as *caller, request *sessionv2.GetSessionRequest, _ bool) (*sessionv2.GetSessionResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rows[request.GetSessionId()]
	if r == nil {
		return nil, errNoSession
	}
	if token := request.GetSessionToken(); token != "" {
		if text, ok := s.sealer.open(token); !ok || text != sealedText(r.id, r.tokenID) {
			return nil, errSessionToken
		}
	} else if err := s.mayRead(as, r); err != nil {
		return nil, err
	}
	return &sessionv2.GetSessionResponse{Session: s.session(r)}, nil
}
