// Package setup lets a ZITADEL send its events: it looks what is missing there, and does that. Look here for which targets and
// executions that takes (setup.go), and for how the signing key comes into its file (keyfile.go).
package setup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

// Wanted is what is to be set up.
type Wanted struct {
	// Endpoint is the URL of our webhook, Name the name of the target that has it.
	Endpoint, Name string
	// Groups are the groups of events that go there.
	Groups []string
	// KeyFile is the file with the signing keys; "": they are not looked at.
	KeyFile string
	// NewKey has a target that is there sign with a new key.
	NewKey bool
}

// Plan is what there is at a ZITADEL, and what is missing there.
type Plan struct {
	Wanted
	// keys are those of the file, nil if it has none.
	keys *upstream.EventKeys
	// target is ours, nil if it is missing.
	target *upstream.Target
	// set are executions that lack our target, with the targets that they have; fine are those that have it.
	set  []upstream.Execution
	fine []upstream.EventCondition
}

// Look looks what there is, and changes nothing.
func Look(ctx context.Context, client *upstream.Client, w Wanted) (*Plan, error) {
	plan := &Plan{Wanted: w}
	var err error
	if plan.keys, err = keysIn(w.KeyFile); err != nil {
		return nil, err
	}
	targets, err := client.Targets(ctx)
	if err != nil {
		return nil, err
	}
	if plan.target, err = ours(targets, &w); err != nil {
		return nil, err
	}
	executions, err := client.EventExecutions(ctx)
	if err != nil {
		return nil, err
	}
	id := ""
	if plan.target != nil {
		id = plan.target.ID
	}
	plan.set, plan.fine = missing(executions, w.Groups, id)
	switch {
	case plan.target != nil && plan.keys == nil && !w.NewKey && w.KeyFile != "":
		return nil, fmt.Errorf("the target %q is there, and --upstream-event-key-file has no key: ZITADEL shows that once only; --new-key gets a new one", plan.target.Name)
	case plan.wantsKey() && plan.keys.Len() == upstream.MaxEventKeys:
		return nil, fmt.Errorf("%s has %d keys, which is the most: remove those that ZITADEL uses no more", w.KeyFile, upstream.MaxEventKeys)
	}
	return plan, nil
}

// ours returns our target: that with the endpoint, with our name if there are several; nil if there is none.
func ours(targets []upstream.Target, w *Wanted) (found *upstream.Target, err error) {
	for i, t := range targets {
		switch {
		case t.Endpoint == w.Endpoint && (found == nil || t.Name == w.Name):
			found = &targets[i]
		case t.Endpoint != w.Endpoint && t.Name == w.Name:
			err = fmt.Errorf("there is a target %q for %q: choose another --name, or change that one at ZITADEL", t.Name, t.Endpoint)
		}
	}
	if found != nil {
		return found, nil
	}
	return nil, err
}

// missing returns the executions that lack a target so that all events of the groups go to it, and those that have it. Since
// ZITADEL follows the most special execution alone, a group that has none takes over the targets of all events, which would get
// no more of it; and executions for parts of a group need the target, too. id is "" for one that is not there yet.
func missing(executions []upstream.Execution, groups []string, id string) (set []upstream.Execution, fine []upstream.EventCondition) {
	look := func(e upstream.Execution) {
		if id != "" && slices.Contains(e.Targets, id) {
			fine = append(fine, e.Condition)
		} else {
			set = append(set, e)
		}
	}
	for _, group := range groups {
		e := upstream.Execution{Condition: upstream.EventCondition{Group: group}}
		for _, all := range executions {
			if all.Condition.All {
				e.Targets = all.Targets
			}
		}
		for _, own := range executions {
			if own.Condition == e.Condition {
				e.Targets = own.Targets
			}
		}
		look(e)
		for _, part := range executions {
			if part.Condition.Within(group) {
				look(part)
			}
		}
	}
	return set, fine
}

// wantsKey says whether there will be a key to write.
func (p *Plan) wantsKey() bool { return p.target == nil || p.NewKey }

// Done says that nothing is missing.
func (p *Plan) Done() bool { return !p.wantsKey() && len(p.set) == 0 }

// Show says what there is, and what is missing.
func (p *Plan) Show(say func(format string, args ...any)) {
	if p.target == nil {
		say("missing  target %q, for %q", p.Name, p.Endpoint)
	} else {
		say("there    target %q (%s), for %q", p.target.Name, p.target.ID, p.target.Endpoint)
	}
	if p.wantsKey() {
		say("missing  its signing key")
	} else if p.KeyFile != "" {
		say("there    %v in %s", p.keys, p.KeyFile)
	}
	for _, c := range p.fine {
		say("there    %s are sent to it", c)
	}
	for _, e := range p.set {
		say("missing  %s are not sent to it%s", e.Condition, besides(e.Targets))
	}
}

// besides says to how many other targets events go.
func besides(targets []string) string {
	switch len(targets) {
	case 0:
		return ""
	case 1:
		return "; they are sent to 1 other target, which stays"
	}
	return fmt.Sprintf("; they are sent to %d other targets, which stay", len(targets))
}

// Apply does what is missing. The key is written before any event is sent.
func (p *Plan) Apply(ctx context.Context, client *upstream.Client, say func(format string, args ...any)) error {
	id := ""
	if p.target != nil {
		id = p.target.ID
	}
	if p.wantsKey() {
		line, old, err := appendKey(p.KeyFile, func() (key string, err error) {
			if p.target != nil {
				return client.NewTargetKey(ctx, id)
			}
			id, key, err = client.CreateTarget(ctx, p.Name, p.Endpoint)
			return key, err
		})
		if err != nil {
			return p.explain(err)
		}
		if p.target == nil {
			say("created  target %q (%s)", p.Name, id)
		}
		say("written  its signing key to %s, line %d", p.KeyFile, line)
		if p.target != nil && len(old) > 0 {
			say("delete   %s of %s: this target no longer signs with what is there. Keep what another target signs with", lines(old), p.KeyFile)
		}
		if info, err := os.Stat(p.KeyFile); err == nil && info.Mode().Perm()&0o077 != 0 {
			say("beware   others than its owner may read or write %s, as its mode says: %v", p.KeyFile, info.Mode().Perm())
		}
	}
	for _, e := range p.set {
		e.Targets = append(slices.Clone(e.Targets), id)
		if err := client.SetExecution(ctx, e); err != nil {
			return p.explain(err)
		}
		say("set      %s are sent to it", e.Condition)
	}
	return nil
}

// lines names lines of a file.
func lines(numbers []int) string {
	if len(numbers) == 1 {
		return fmt.Sprintf("line %d", numbers[0])
	}
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return "lines " + strings.Join(texts, ", ")
}

// explain adds to an error what helps.
func (p *Plan) explain(err error) error {
	refused, ok := errors.AsType[*upstream.ActionError](err)
	switch {
	case ok && refused.Status == http.StatusBadRequest && refused.Operation == upstream.CreateTarget:
		return fmt.Errorf("%w; perhaps --endpoint has an address that is in its HTTPClient.DenyList, as private ones and loopback are by default", err)
	case !errors.Is(err, upstream.ErrUnavailable), !upstream.MayHaveHappened(err):
		return err
	}
	return fmt.Errorf("%w; it may have been done all the same: look again without --apply, and use --new-key if the key is not in the file", err)
}
