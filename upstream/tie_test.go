package upstream_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

func clientAs(t *testing.T, url, token string) *upstream.Client {
	t.Helper()
	credentials, err := upstream.ParseCredentials([]byte(token))
	if err != nil {
		t.Fatal(err)
	}
	c, err := upstream.New(upstream.Config{URL: url, Credentials: credentials})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestTie(t *testing.T) {
	z := zitadeltest.Start(t)
	user := z.AddUser(zitadeltest.User{})
	id, _ := z.CreateSession(zitadeltest.Session{UserID: user})
	login := z.StartOIDCSession(id, "app")
	z.StartOIDCSession(id, "other")
	c := clientAs(t, z.URL, z.Admin.Token)
	if got, err := c.Tie(t.Context(), login); err != nil || got != (session.Tie{Session: session.ID(id), User: user}) {
		t.Errorf("got %v, %v, want session %s of user %s", got, err, id, user)
	}
	if _, err := c.Tie(t.Context(), "V2_1"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v for one that there is not", err)
	}
	z.Fail(zitadeltest.ListEvents, 10, zitadeltest.Failure{})
	if _, err := c.Tie(t.Context(), login); !errors.Is(err, upstream.ErrUnavailable) || errors.Is(err, session.ErrNotFound) {
		t.Errorf("I2: got %v for a failure", err)
	}
	z.Recover()
	if _, ok := errors.AsType[*upstream.Forbidden](tieError(t, clientAs(t, z.URL, z.Login.Token), login)); !ok {
		t.Error("an account that may not search is told another reason")
	}
}

func tieError(t *testing.T, c *upstream.Client, oidcSession string) error {
	t.Helper()
	_, err := c.Tie(t.Context(), oidcSession)
	return err
}

// An event that is not understood is no tie, and no tie to no session. (I2)
func TestI2_TieThatIsNotUnderstood(t *testing.T) {
	const event = `{"events":[{"aggregate":{"id":"V2_1","type":{"type":"oidc_session"}},"sequence":"1","creationDate":"2026-01-02T03:04:05Z","payload":PAYLOAD,"type":{"type":"TYPE"}}]}`
	f := func(kind, payload string, want session.Tie) {
		t.Helper()
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.NewReplacer("PAYLOAD", payload, "TYPE", kind).Replace(event)))
		})
		got, err := clientAs(t, s.URL, pat).Tie(t.Context(), "V2_1")
		if got != want || (err == nil) != (want.User != "") || err != nil && (!errors.Is(err, upstream.ErrUnavailable) || errors.Is(err, session.ErrNotFound)) {
			t.Errorf("%s %s: got %v, %v, want %v", kind, payload, got, err, want)
		}
	}
	const added = "oidc_session.added"
	f(added, `{"sessionID":"2","userID":"3","scope":[]}`, session.Tie{Session: "2", User: "3"})
	f(added, `{"sessionID":"","userID":"3"}`, session.Tie{User: "3"})
	f(added, `{"sessionID":"V1_2","userID":"3"}`, session.Tie{User: "3"})
	f(added, `{"userID":"3"}`, session.Tie{})
	f(added, `{"sessionID":null,"userID":"3"}`, session.Tie{})
	f(added, `{"sessionID":"2"}`, session.Tie{})
	f(added, `{"sessionID":2,"userID":"3"}`, session.Tie{})
	f(added, `{"sessionID":"a b","userID":"3"}`, session.Tie{})
	f(added, `null`, session.Tie{})
	f("oidc_session.access_token.added", `{"sessionID":"2","userID":"3"}`, session.Tie{})
}
