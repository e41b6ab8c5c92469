package upstream_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

func asAccount(t *testing.T, z *zitadeltest.Server, token string) *upstream.Client {
	t.Helper()
	credentials, err := upstream.ParseCredentials([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	c, err := upstream.New(upstream.Config{URL: z.URL, Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTargets_AreMadeAndFound_PageByPage(t *testing.T) {
	z := zitadeltest.Start(t)
	for i := range 205 {
		z.AddTarget(fmt.Sprintf("https://%d.example.com", i), fmt.Sprintf("session.type%d", i))
	}
	c := asAccount(t, z, z.Admin.Token)
	id, key, err := c.CreateTarget(t.Context(), "cloakroom", "https://cloakroom.example.com/events/zitadel")
	if err != nil || key == "" {
		t.Fatalf("%q %v", id, err)
	}
	targets, err := c.Targets(t.Context())
	if err != nil || len(targets) != 206 || !slices.Contains(targets, upstream.Target{ID: id, Name: "cloakroom", Endpoint: "https://cloakroom.example.com/events/zitadel"}) {
		t.Errorf("%d targets, %v", len(targets), err)
	}
	if err := c.SetExecution(t.Context(), upstream.Execution{Condition: upstream.EventCondition{Group: "session"}, Targets: []string{id, targets[0].ID}}); err != nil {
		t.Error(err)
	}
	executions, err := c.EventExecutions(t.Context())
	if err != nil || len(executions) != 206 || !slices.ContainsFunc(executions, func(e upstream.Execution) bool {
		return e.Condition.Group == "session" && slices.Equal(e.Targets, []string{id, targets[0].ID})
	}) {
		t.Errorf("%d executions, %v", len(executions), err)
	}
	next, err := c.NewTargetKey(t.Context(), id)
	if err != nil || next == "" || next == key {
		t.Errorf("the new key: %v", err)
	}
}

func TestTargets_RefusalsSayWhatIsMissing(t *testing.T) {
	z := zitadeltest.Start(t)
	for _, token := range []string{z.Login.Token, z.Nobody.Token} {
		c := asAccount(t, z, token)
		_, targets := c.Targets(t.Context())
		_, executions := c.EventExecutions(t.Context())
		_, _, create := c.CreateTarget(t.Context(), "n", "https://a.example.com")
		_, key := c.NewTargetKey(t.Context(), "1")
		set := c.SetExecution(t.Context(), upstream.Execution{Condition: upstream.EventCondition{All: true}})
		for permission, errs := range map[string][]error{
			"action.target.read;": {targets}, "action.execution.read;": {executions}, "action.target.write;": {create, key}, "action.execution.write;": {set},
		} {
			for _, err := range errs {
				refused, ok := errors.AsType[*upstream.ActionError](err)
				if !ok || !refused.Lacks || !strings.Contains(err.Error(), "it lacks the permission "+permission+" an IAM_OWNER has it") {
					t.Errorf("%s: %v", permission, err)
				}
			}
		}
	}
	c := asAccount(t, z, "no-token")
	if _, err := c.Targets(t.Context()); err == nil || !strings.Contains(err.Error(), "refuses our credentials") {
		t.Error(err)
	}
	c = asAccount(t, z, z.Admin.Token)
	err := c.SetExecution(t.Context(), upstream.Execution{Condition: upstream.EventCondition{Group: "user"}, Targets: []string{"1"}})
	if err == nil || err.Error() != "ZITADEL does not send events of group user to the target: it answers 400 (COMMAND-17e8fq1ggk)" {
		t.Error(err)
	}
}

// A list of which a part is missing is none: what is not known of would be replaced. (I2)
func TestTargets_AListIsWhole(t *testing.T) {
	for text, want := range map[string]bool{
		`{"pagination":{},"targets":[]}`: true, `{}`: true,
		`{"pagination":{"totalResult":"2"},"targets":[{"id":"1"}]}`: true, // a second page has the other
		`{"pagination":{"totalResult":"2"},"targets":[]}`:           false,
		`{"pagination":{"totalResult":"x"},"targets":[{"id":"1"}]}`: false,
		`{"targets":"x"}`: false, `[]`: false, `nothing`: false,
	} {
		s := serve(t, answered(text))
		c := ask(t, s.URL)
		if _, err := c.Targets(t.Context()); (err == nil) != want || err != nil && !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("%s: %v", text, err)
		}
	}
	s := serve(t, answered(`{"executions":[{"condition":{"event":{"group":"session"}},"targets":[{"target":"1"}]}]}`))
	if _, err := ask(t, s.URL).EventExecutions(t.Context()); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("the form of older versions: %v", err)
	}
}

// A call that may have been carried out says so; no error has a key.
func TestTargets_Unavailable(t *testing.T) {
	for _, c := range []struct {
		status   int
		body     string
		happened bool
	}{{500, `{}`, true}, {429, `{}`, false}, {201, `{"id":"1"}`, true}, {201, `{"signingKey":"a-key-that-nobody-sees"}`, true}, {201, `{"signingKey":"a-key-that-nobody-sees"`, true}} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		})
		_, _, err := ask(t, s.URL).CreateTarget(t.Context(), "n", "https://a.example.com")
		if !errors.Is(err, upstream.ErrUnavailable) || upstream.MayHaveHappened(err) != c.happened || strings.Contains(err.Error(), "nobody-sees") {
			t.Errorf("%d %s: %v", c.status, c.body, err)
		}
	}
}
