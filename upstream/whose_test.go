package upstream_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

const mePath = "/auth/v1/users/me"

// problem is an error of ZITADEL in the form of REST.
func problem(id string) string {
	return `{"code":7, "message":"some text (` + id + `)", "details":[{"@type":"type.googleapis.com/zitadel.v1.ErrorDetail", "id":"` + id + `", "message":"some text"}]}`
}

// What ZITADEL says of a token is taken as a refusal only where it is clearly one: all else is not known. (I2)
func TestI2_UserOf_RefusesOnlyWhatZITADELDoes(t *testing.T) {
	t.Parallel()
	var code int
	var kind, body string
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
	c := ask(t, s.URL)
	const unavailable = "unavailable"
	for _, e := range []struct {
		code       int
		kind, body string
		want       any
	}{
		{200, "application/json", `{"user":{"id":"u1","state":"USER_STATE_ACTIVE","human":{}},"lastLogin":"2026-11-28T19:25:02Z"}`, "u1"},
		{401, "application/json", problem("AUTH-7fs1e"), session.ErrNoToken},
		{403, "application/json", problem("AUTHZ-EGDo3"), session.ErrExpired},
		{403, "application/json", problem("QUERY-dsfr3"), session.ErrWrongToken},
		{403, "application/json", problem("AUTHZ-Kl3p0"), session.ErrNotFound},
		{404, "application/json", problem("QUERY-SFeaa"), session.ErrNotFound},
		{403, "application/json", problem("AUTH-Bs7Ds"), unavailable}, // of a question that took too long
		{404, "application/json", problem("AUTHZ-cdgFk"), unavailable},
		{404, "application/json", `{"code":5, "message":"Not Found"}`, unavailable}, // there is no such path
		{401, "application/json", `{"code":16, "message":"auth header missing"}`, unavailable},
		{401, "text/html", problem("AUTH-7fs1e"), unavailable},
		{404, "application/json", problem("AUTH-7fs1e"), unavailable},
		{400, "application/json", problem("QUERY-SFeaa"), unavailable},
		{500, "application/json", problem("QUERY-Sfg42"), unavailable},
		{302, "application/json", problem("AUTH-7fs1e"), unavailable},
		{200, "text/html", `{"user":{"id":"u1"}}`, unavailable},
		{200, "application/json", `{"user":{"id":""}}`, unavailable},
		{200, "application/json", `{}`, unavailable},
		{200, "application/json", `{"user":{"id":"` + strings.Repeat("1", 2000) + `"}}`, unavailable},
	} {
		code, kind, body = e.code, e.kind, e.body
		got, err := c.UserOf(t.Context(), sessionToken)
		switch want := e.want.(type) {
		case string:
			if want == unavailable && (!errors.Is(err, upstream.ErrUnavailable) || errors.Is(err, session.ErrNotFound)) || want != unavailable && (got != want || err != nil) {
				t.Errorf("%d %s: got %q, %v, want %s", e.code, e.body, got, err, want)
			}
		case error:
			if err != want {
				t.Errorf("%d %s: got %q, %v, want the error %v", e.code, e.body, got, err, want)
			}
		}
	}
	if r := s.requests(mePath); len(r) == 0 || r[0].method != "GET" || r[0].header.Get("Authorization") != "Bearer "+sessionToken {
		t.Error("it is not asked with the token as the credential")
	}
	if _, err := c.UserOf(t.Context(), "a\r\nb"); err != session.ErrNoToken {
		t.Error(err)
	}
}

// A pause that ZITADEL asks our account for holds back what we ask with strangers' tokens.
func TestUserOf_PausesAreOurs(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	c := ask(t, s.URL)
	var later *upstream.RetryLaterError
	for range 2 {
		if _, err := c.UserOf(t.Context(), sessionToken); !errors.As(err, &later) {
			t.Error(err)
		}
	}
	if _, err := c.SessionsOf(t.Context(), "u1"); !errors.As(err, &later) {
		t.Error(err)
	}
	if got := len(s.requests("")); got != 1 {
		t.Errorf("%d calls were made, want 1", got)
	}
}

// The candidates are those of a user that the token may be of, the last changed first.
func TestSessionsOf_TheLastChangedFirst(t *testing.T) {
	t.Parallel()
	z := zitadeltest.Start(t)
	c := ask(t, z.URL, func(config *upstream.Config) { config.Credentials = credentials(t, z.Login.Token) })
	user, other := z.AddUser(zitadeltest.User{Password: "p"}), z.AddUser(zitadeltest.User{Password: "p"})
	var ids []session.ID
	for range 3 {
		id, _ := z.CreateSession(zitadeltest.Session{UserID: user, Password: true})
		ids = append(ids, session.ID(id))
	}
	z.CreateSession(zitadeltest.Session{UserID: other, Password: true})
	z.CreateSession(zitadeltest.Session{UserID: user}) // somebody has typed the name
	z.CreateSession(zitadeltest.Session{UserID: user, Password: true, Lifetime: time.Second})
	z.Advance(time.Minute)
	if _, err := z.SetMetadata(string(ids[0]), "k", "v"); err != nil {
		t.Fatal(err)
	}
	want := []session.ID{ids[0], ids[2], ids[1]}
	for _, relational := range []bool{false, true} {
		z.Change(func(s *zitadeltest.Settings) { s.RelationalTables = relational })
		if got, err := c.SessionsOf(t.Context(), user); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
	for range 100 {
		z.CreateSession(zitadeltest.Session{UserID: user, Password: true})
	}
	if got, err := c.SessionsOf(t.Context(), user); err != nil || len(got) != 100 {
		t.Errorf("got %d, %v", len(got), err)
	}
	if got, err := c.SessionsOf(t.Context(), `"}}],"x":[{"y":{"`); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, id := range []string{"AUTHZ-cdgFk", "AUTH-Bs7Ds", "QUERY-SFeaa"} {
		z.Fail(zitadeltest.ListSessions, 1, zitadeltest.Failure{Status: http.StatusNotFound, ErrorID: id})
		if got, err := c.SessionsOf(t.Context(), user); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("got %v, %v", got, err)
		}
	}
}
