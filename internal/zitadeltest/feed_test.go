package zitadeltest

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// receiver is where events are sent to.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	status  int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.headers = append(r.bodies, string(body)), append(r.headers, request.Header)
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

// types are the types of the events that came.
func (r *receiver) types(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, body := range r.bodies {
		var e struct {
			Type string `json:"event_type"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Type)
	}
	return all
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// checkSignature checks a signature without the code that makes it, but for its HMAC.
func checkSignature(t *testing.T, value, body, key string) {
	t.Helper()
	found := regexp.MustCompile(`^t=(\d+),v1=([0-9a-f]{64})$`).FindStringSubmatch(value)
	if found == nil {
		t.Fatalf("signature %q", value)
	}
	if want := sign(key, found[1]+"."+body); !hmac.Equal([]byte(want), []byte(found[2])) {
		t.Errorf("signature %s, want %s", found[2], want)
	}
}

func TestFeed_EventsAreThoseOfTheRecordedZITADEL(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	r := newReplay(t, s)
	// The recorded user had five events before.
	for range 3 {
		s.CreateSession(Session{UserID: r.to["400000000000000004"], Password: true})
	}
	_, key := s.AddTarget(got.URL, "session", "user")
	setup := recorded[exchange](t, "feed-setup.jsonl", 16)
	if n, want := r.all(setup, func(exchange) {}), (tally{compared: 16}); n != want {
		t.Errorf("set-up: %+v, want %+v", n, want)
	}
	s.WaitForFeed()

	type sent struct {
		Method  string
		Headers [][2]string
		Body    string
	}
	events := recorded[sent](t, "events.jsonl", 27)
	events = events[:26] // the last is of a session that no recorded request made
	// The real one lost an event, as it may: the second of those of SetSession for a user that was locked.
	if types := got.types(t); len(types) > 21 && types[21] == "session.token.set" {
		got.bodies, got.headers = slices.Delete(got.bodies, 21, 22), slices.Delete(got.headers, 21, 22)
	}
	if len(got.bodies) != len(events) {
		t.Fatalf("%d events, want %d: %v", len(got.bodies), len(events), got.types(t))
	}
	for i, e := range events {
		checkSignature(t, got.headers[i].Get("ZITADEL-Signature"), got.bodies[i], key)
		if wrong := r.body(e.Body, got.bodies[i]); len(wrong) > 0 {
			t.Errorf("event %d:\n\t%s\n%s\n%s", i, strings.Join(wrong, "\n\t"), e.Body, got.bodies[i])
		}
		// The members are in the recorded order, too.
		order := regexp.MustCompile(`"[A-Za-z_]+":`)
		if a, b := order.FindAllString(e.Body, -1), order.FindAllString(got.bodies[i], -1); !slices.Equal(a, b) {
			t.Errorf("event %d has %v, want %v", i, b, a)
		}
		for _, h := range e.Headers {
			if _, ok := got.headers[i][h[0]]; !ok && h[0] != "Host" {
				t.Errorf("event %d has no header %s", i, h[0])
			}
		}
	}
}

func TestFeed_OlderPayloadIsBase64AndHasSeconds(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	s.Change(func(settings *Settings) { settings.Payload = OlderPayload })
	s.AddTarget(got.URL, "session", "user")
	user := s.AddUser(User{})
	id, _ := s.CreateSession(Session{UserID: user, Metadata: map[string][]byte{"a": []byte("b")}})
	s.Lock(user)
	s.WaitForFeed()
	for i, kind := range got.types(t) {
		var e struct {
			AggregateID string  `json:"aggregateID"`
			Created     string  `json:"created_at"`
			Payload     *string `json:"event_payload"`
		}
		if err := json.Unmarshal([]byte(got.bodies[i]), &e); err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`T\d\d:\d\d:\d\dZ$`).MatchString(e.Created) {
			t.Errorf("%s was created at %s", kind, e.Created)
		}
		if kind == "user.locked" && e.Payload != nil {
			t.Error("user.locked has a payload")
		}
		if kind != "session.metadata.set" {
			continue
		}
		if content, err := base64.StdEncoding.DecodeString(*e.Payload); err != nil || string(content) != `{"metadata":{"a":"Yg=="}}` || e.AggregateID != id {
			t.Errorf("payload %s: %v", content, err)
		}
	}
}

func TestFeed_AnEventIsSentOnceWhateverIsAnswered(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	got.answer(http.StatusInternalServerError)
	s.AddTarget(got.URL, "session")
	s.CreateSession(Session{})
	s.WaitForFeed()
	if types := got.types(t); !slices.Equal(types, []string{"session.added", "session.token.set"}) {
		t.Errorf("events %v", types)
	}
	for _, d := range s.Deliveries() {
		if d.Status != http.StatusInternalServerError {
			t.Errorf("%s: %d", d.Event.Type, d.Status)
		}
	}
}

func TestFeed_EventsAreLostDuplicatedAndReordered(t *testing.T) {
	s, got := Start(t), newReceiver(t)
	s.AddTarget(got.URL, "session")
	s.Change(func(settings *Settings) {
		settings.Fate = func(e Event) Fate {
			return map[string]Fate{"session.added": {Behind: 2}, "session.user.checked": {Copies: 1}, "session.terminated": {Lost: true}}[e.Type]
		}
	})
	id, _ := s.CreateSession(Session{UserID: s.AddUser(User{}), Lifetime: time.Hour})
	s.Terminate(id)
	s.WaitForFeed()
	if types, want := got.types(t), []string{"session.user.checked", "session.user.checked", "session.lifetime.set", "session.added", "session.token.set"}; !slices.Equal(types, want) {
		t.Errorf("events %v, want %v", types, want)
	}
	if s.See(s.Admin.Token, id, "").Status != http.StatusNotFound {
		t.Error("the session is still there")
	}
}

func TestFeed_ASlowReceiverDelaysAllBehindIt(t *testing.T) {
	s := Start(t)
	release, came := make(chan struct{}), make(chan struct{}, 2)
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		came <- struct{}{}
		<-release
	}))
	t.Cleanup(slow.Close)
	fast := newReceiver(t)
	s.AddTarget(slow.URL, "session.added")
	s.AddTarget(fast.URL, "session")
	s.CreateSession(Session{})
	<-came
	if n := len(fast.types(t)); n != 0 {
		t.Errorf("%d events came past a slow one", n)
	}
	close(release)
	eventually.Holds(t, "the next event is sent", func() bool { return len(fast.types(t)) == 1 })
	s.WaitForFeed()
}
