package zitadeltest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// maxQueuedEvents is far more than any test sends: a receiver that never answers must not take all memory.
const maxQueuedEvents = 100_000

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// feed sends events to targets, one after the other: one attempt for each, whatever is answered, and a slow answer delays all
// that are behind it.
type feed struct {
	control *control
	client  *http.Client
	more    chan struct{} // has an element when something was queued
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	queue   []outgoing
	held    []held
	busy    bool
	sent    []Delivery
	dropped int
}

// outgoing is an event on its way to a target.
type outgoing struct {
	event      Event
	target     target
	instanceID string
	due        time.Time
}

// held is an event that later ones must overtake.
type held struct {
	outgoing
	behind int
}

// Delivery is an attempt to send an event.
type Delivery struct {
	Event Event
	// Status is what was answered; 0: nothing, in time.
	Status int
}

func newFeed(c *control) *feed {
	return &feed{control: c, more: make(chan struct{}, 1)}
}

// start begins to send.
func (f *feed) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.done = cancel, make(chan struct{})
	f.client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	go func() {
		defer close(f.done)
		f.run(ctx)
	}()
}

// stop ends sending. What is queued stays; an attempt that runs is broken off, and is not repeated.
func (f *feed) stop() {
	f.cancel()
	<-f.done
	f.client.CloseIdleConnections()
}

// outgoing returns an event for each of its targets. The caller holds mu.
func (s *Server) outgoing(e Event) []outgoing {
	var all []outgoing
	for _, t := range s.targetsOf(e.Type) {
		all = append(all, outgoing{event: e, target: *t, instanceID: s.InstanceID})
	}
	return all
}

// enqueue queues events, as their fate is.
func (f *feed) enqueue(all []outgoing) {
	if len(all) == 0 {
		return
	}
	settings := f.control.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range all {
		o.due = time.Now().Add(settings.EventDelay)
		var fate Fate
		if settings.Fate != nil {
			fate = settings.Fate(o.event)
		}
		switch {
		case fate.Lost, len(f.queue) >= maxQueuedEvents:
			f.dropped++
		case fate.Behind > 0:
			f.held = append(f.held, held{o, fate.Behind})
			continue // it overtakes nothing
		default:
			for range 1 + fate.Copies {
				f.queue = append(f.queue, o)
			}
		}
		f.overtaken()
	}
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// overtaken counts an event that overtook those that are held, and queues those that were overtaken often enough.
func (f *feed) overtaken() {
	kept := f.held[:0]
	for _, h := range f.held {
		if h.behind--; h.behind > 0 {
			kept = append(kept, h)
		} else {
			f.queue = append(f.queue, h.outgoing)
		}
	}
	f.held = kept
}

func (f *feed) run(ctx context.Context) {
	for {
		o, ok := f.next()
		if !ok {
			select {
			case <-f.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		if wait(ctx, time.Until(o.due)) != nil {
			f.putBack(o)
			return
		}
		status := f.send(ctx, o)
		f.mu.Lock()
		f.sent = append(f.sent, Delivery{o.event, status})
		f.busy = false
		f.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

func (f *feed) next() (outgoing, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		return outgoing{}, false
	}
	o := f.queue[0]
	f.queue, f.busy = f.queue[1:], true
	return o, true
}

func (f *feed) putBack(o outgoing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue, f.busy = append([]outgoing{o}, f.queue...), false
}

// send sends an event once, and returns the status of the answer.
func (f *feed) send(ctx context.Context, o outgoing) int {
	ctx, cancel := context.WithTimeout(ctx, o.target.timeout)
	defer cancel()
	body := o.body(f.control.now().Payload)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.target.endpoint, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("ZITADEL-Signature", Signature(time.Now(), body, o.target.signingKey))
	answer, err := f.client.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody)); err != nil {
		return 0
	}
	return answer.StatusCode
}

// Signature is the header ZITADEL-Signature of a body that is sent now, by each of the keys.
func Signature(now time.Time, body []byte, keys ...string) string {
	text := fmt.Sprintf("t=%d", now.Unix())
	for _, key := range keys {
		mac := hmac.New(sha256.New, []byte(key))
		_, _ = fmt.Fprintf(mac, "%d.%s", now.Unix(), body)
		text += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return text
}

// sentEvent is an event as it is sent. What is absent in ZITADEL's is absent here.
type sentEvent struct {
	AggregateID   string `json:"aggregateID,omitempty"`
	AggregateType string `json:"aggregateType,omitempty"`
	ResourceOwner string `json:"resourceOwner,omitempty"`
	InstanceID    string `json:"instanceID,omitempty"`
	Version       string `json:"version,omitempty"`
	Sequence      uint64 `json:"sequence,omitempty"`
	EventType     string `json:"event_type,omitempty"`
	CreatedAt     string `json:"created_at,omitempty"`
	UserID        string `json:"userID,omitempty"`
	EventPayload  any    `json:"event_payload,omitempty"`
}

func (o outgoing) body(form PayloadForm) []byte {
	e := o.event
	sent := sentEvent{
		e.AggregateID, e.AggregateType, e.ResourceOwner, o.instanceID, e.Version, e.Sequence, e.Type, e.CreationDate.Format(time.RFC3339Nano), e.Editor, nil,
	}
	switch {
	case form == OlderPayload:
		sent.CreatedAt = e.CreationDate.Format(time.RFC3339)
		if e.Payload != nil {
			sent.EventPayload = []byte(e.Payload) // as base64
		}
	case e.Payload != nil:
		sent.EventPayload = json.RawMessage(e.Payload)
	}
	return payload(sent)
}

// Deliveries returns the attempts to send events so far.
func (s *Server) Deliveries() []Delivery {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	return slices.Clone(s.feed.sent)
}

// WaitForFeed waits until no event is left to be sent, but for those that wait to be overtaken.
func (s *Server) WaitForFeed() {
	s.test().Helper()
	eventually.Holds(s.test(), "all events are sent", func() bool {
		s.feed.mu.Lock()
		defer s.feed.mu.Unlock()
		return len(s.feed.queue) == 0 && !s.feed.busy
	})
}

// AddTarget adds a target for groups of events, such as session, user and oidc_session, and for single types, such as
// session.added. It returns its ID and signing key.
func (s *Server) AddTarget(endpoint string, conditions ...string) (id, signingKey string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &target{id: s.id(), name: "target", endpoint: endpoint, kind: "async", signingKey: encode(random(24)), timeout: 10 * time.Second, created: s.date()}
	s.targets[t.id] = t
	for _, name := range conditions {
		c := eventCondition{Event: name}
		if !strings.Contains(name, ".") {
			c = eventCondition{Group: name}
		}
		key := condition{&c}.key()
		s.actions[key] = append(s.actions[key], t.id)
	}
	return t.id, t.signingKey
}

// SendEvent sends an event to all targets of its type, though nothing happened.
func (s *Server) SendEvent(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed.enqueue(s.outgoing(e))
}
