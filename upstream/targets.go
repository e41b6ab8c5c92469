package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Target is where a ZITADEL sends what happens there (its Actions v2).
type Target struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
}

// EventCondition says of which events an execution is: of one type, of a group of types, or of all. A ZITADEL follows the most
// special execution that there is for an event, and no other.
type EventCondition struct {
	Event string `json:"event,omitempty"`
	Group string `json:"group,omitempty"`
	All   bool   `json:"all,omitempty"`
}

// String names the events.
func (c EventCondition) String() string {
	switch {
	case c.Event != "":
		return "events " + c.Event
	case c.Group != "":
		return "events of group " + c.Group
	}
	return "all events"
}

// Within says whether c is about a part of the events of a group.
func (c EventCondition) Within(group string) bool {
	return strings.HasPrefix(c.Event, group+".") || strings.HasPrefix(c.Group, group+".")
}

// Execution says to which targets, by ID, events go.
type Execution struct {
	Condition EventCondition
	Targets   []string
}

const (
	targetsPath    = "/v2/actions/targets"
	executionsPath = "/v2/actions/executions"
	// actionsPage is how many targets or executions are asked for at a time: ZITADEL's default. mostActions is how many there
	// may be.
	actionsPage, mostActions = 100, 10_000
	// targetTimeout is how long ZITADEL waits for our answer, which is at once.
	targetTimeout = "5s"
)

// Operation is what a call about targets or executions does.
type Operation string

// The operations.
const (
	ShowTargets     Operation = "show targets"
	ShowExecutions  Operation = "show executions"
	CreateTarget    Operation = "create the target"
	ChangeTargetKey Operation = "change the key of the target"
	SetExecution    Operation = "set the execution"
)

// ActionError is a refusal of a call about targets or executions. Nothing was changed by that call.
type ActionError struct {
	// Operation is what was refused.
	Operation Operation
	// What was to be done, in words, and the permission at ZITADEL that it needs.
	What, Permission string
	Status           int
	// ID is ZITADEL's ID of the error, "" if it has none.
	ID string
	// Lacks says that our account lacks the permission.
	Lacks bool
}

// Error says what is refused, and what the account lacks.
func (e *ActionError) Error() string {
	id := ""
	if e.ID != "" {
		id = " (" + e.ID + ")"
	}
	switch {
	case e.Lacks:
		return fmt.Sprintf("ZITADEL does not let our account %s%s: it lacks the permission %s; an IAM_OWNER has it", e.What, id, e.Permission)
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("ZITADEL refuses our credentials%s", id)
	case e.Status == http.StatusNotFound && e.ID == "":
		return fmt.Sprintf("ZITADEL cannot %s: it answers 404, as one without Actions v2 does", e.What)
	}
	return fmt.Sprintf("ZITADEL does not %s: it answers %d%s", e.What, e.Status, id)
}

// action is a call about targets or executions.
type action struct {
	operation                Operation
	of                       string // in place of the operation's words, if it says more
	permission, method, path string
	read                     bool
	body                     any
}

// act makes a call with our credentials, and reads its answer. Its error is an *ActionError, or wraps ErrUnavailable.
func (c *Client) act(ctx context.Context, call action, answer any) error {
	body, err := json.Marshal(call.body)
	if err != nil {
		return &UnavailableError{Reason: "the question cannot be written"}
	}
	a, err := c.Call(ctx, Request{
		Name: "actions", Method: call.method, Path: call.path, Body: body, As: AsOurs(), Read: call.read,
		Header: http.Header{"Content-Type": {"application/json"}},
	})
	switch {
	case err != nil:
		return err
	case a.Status >= http.StatusOK && a.Status < http.StatusMultipleChoices:
		if !a.isJSON() || json.Unmarshal(a.Body, answer) != nil {
			return &UnavailableError{Reason: "its answer has another form than that of Actions v2", Sent: !call.read}
		}
		return nil
	case a.Status >= http.StatusInternalServerError:
		return &UnavailableError{Reason: statusReason(a.Status), Sent: !call.read}
	}
	if after := a.pause(time.Now()); after > 0 {
		return &RetryLaterError{After: after}
	}
	p, _ := a.problem()
	return &ActionError{
		Operation: call.operation, What: cmp.Or(call.of, string(call.operation)), Permission: call.permission, Status: a.Status, ID: p.id,
		Lacks: a.Status == http.StatusForbidden || a.Status == http.StatusNotFound && strings.HasPrefix(p.id, idNoMember),
	}
}

// each asks for all of a list, page by page.
func (c *Client) each(ctx context.Context, call action, page func() (found int, total string), answer any) error {
	for offset := 0; ; {
		call.method, call.read = http.MethodPost, true
		call.body = map[string]any{"pagination": map[string]int{"limit": actionsPage, "offset": offset}}
		if err := c.act(ctx, call, answer); err != nil {
			return err
		}
		found, text := page()
		total := 0
		if text != "" { // 0 is omitted
			var err error
			if total, err = strconv.Atoi(text); err != nil {
				return &UnavailableError{Reason: "its answer has another form than that of Actions v2"}
			}
		}
		if offset += found; offset >= total {
			return nil
		}
		if found == 0 || offset > mostActions { // some would be missing, and they must not be forgotten
			return &UnavailableError{Reason: "it does not show all of its targets or executions"}
		}
	}
}

// pagination is a part of what is answered to searches.
type pagination struct {
	Total string `json:"totalResult"`
}

// Targets returns all targets.
func (c *Client) Targets(ctx context.Context) (all []Target, err error) {
	var answer struct {
		Pagination pagination `json:"pagination"`
		Targets    []Target   `json:"targets"`
	}
	err = c.each(ctx, action{operation: ShowTargets, permission: "action.target.read", path: targetsPath + "/search"}, func() (int, string) {
		n, total := len(answer.Targets), answer.Pagination.Total
		all = append(all, answer.Targets...)
		answer.Targets, answer.Pagination = nil, pagination{}
		return n, total
	}, &answer)
	return all, err
}

// EventExecutions returns all executions that are about events.
func (c *Client) EventExecutions(ctx context.Context) (all []Execution, err error) {
	var answer struct {
		Pagination pagination `json:"pagination"`
		Executions []struct {
			Condition struct {
				Event *EventCondition `json:"event"`
			} `json:"condition"`
			Targets []string `json:"targets"`
		} `json:"executions"`
	}
	err = c.each(ctx, action{operation: ShowExecutions, permission: "action.execution.read", path: executionsPath + "/search"}, func() (int, string) {
		n, total := len(answer.Executions), answer.Pagination.Total
		for _, e := range answer.Executions {
			if on := e.Condition.Event; on != nil {
				on.Group = strings.TrimSuffix(on.Group, ".*") // as it is stored
				all = append(all, Execution{*on, e.Targets})
			}
		}
		answer.Executions, answer.Pagination = nil, pagination{}
		return n, total
	}, &answer)
	return all, err
}

// newTarget is what is answered about a target that was made or changed. Its key is shown this once.
type newTarget struct {
	ID  string `json:"id"`
	Key string `json:"signingKey"`
}

// CreateTarget makes a target, for which nobody at ZITADEL waits, and returns its ID and the key that signs what is sent there: a
// secret, which is shown this once. (I6)
func (c *Client) CreateTarget(ctx context.Context, name, endpoint string) (id, key string, err error) {
	var made newTarget
	err = c.act(ctx, action{
		operation: CreateTarget, permission: "action.target.write", method: http.MethodPost, path: targetsPath,
		body: map[string]any{"name": name, "restAsync": struct{}{}, "timeout": targetTimeout, "endpoint": endpoint},
	}, &made)
	if err == nil && (made.ID == "" || made.Key == "") {
		err = &UnavailableError{Reason: "its answer has no ID or no signing key", Sent: true}
	}
	return made.ID, made.Key, err
}

// NewTargetKey has a target sign with a new key from now on, which is returned: a secret. (I6) The old one is used no more.
func (c *Client) NewTargetKey(ctx context.Context, id string) (key string, err error) {
	var changed newTarget
	err = c.act(ctx, action{
		operation: ChangeTargetKey, permission: "action.target.write", method: http.MethodPost, path: targetsPath + "/" + url.PathEscape(id),
		body: map[string]string{"expirationSigningKey": "0s"},
	}, &changed)
	if err == nil && changed.Key == "" {
		err = &UnavailableError{Reason: "its answer has no signing key", Sent: true}
	}
	return changed.Key, err
}

// SetExecution makes these the targets of an execution, in place of those before.
func (c *Client) SetExecution(ctx context.Context, e Execution) error {
	return c.act(ctx, action{
		operation: SetExecution, of: "send " + e.Condition.String() + " to the target", permission: "action.execution.write", method: http.MethodPut, path: executionsPath,
		body: map[string]any{"condition": map[string]any{"event": e.Condition}, "targets": e.Targets},
	}, &struct{}{})
}
