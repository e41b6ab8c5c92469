package zitadeltest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHold_AnAnswerIsThatOfTheTimeOfTheDecision(t *testing.T) {
	s := Start(t)
	id, _ := s.CreateSession(Session{})
	hold := s.Hold(GetSession)
	answered := make(chan string)
	go func() {
		_, _, body, err := try(t.Context(), s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, "")
		if err != nil {
			t.Error(err)
		}
		answered <- body
	}()
	hold.Wait(1)
	s.Terminate(id)
	select {
	case body := <-answered:
		t.Errorf("it is not held: %s", body)
	default:
	}
	hold.Release()
	hold.Release()
	if body := <-answered; !strings.Contains(body, id) {
		t.Errorf("the answer is a later one: %s", body)
	}
}

func TestHold_OneSessionsAnswersAreHeldByEitherProtocol(t *testing.T) {
	s := Start(t)
	slow, _ := s.CreateSession(Session{})
	fast, _ := s.CreateSession(Session{})
	hold := s.HoldIf(func(c Call) bool { return c.SessionID == slow })
	var all sync.WaitGroup
	for _, request := range [][3]string{
		{http.MethodGet, "/v2/sessions/" + slow, ""}, {http.MethodPost, "/zitadel.session.v2.SessionService/GetSession", `{"sessionId":"` + slow + `"}`},
	} {
		all.Go(func() {
			if status, _, _, err := try(t.Context(), s, request[0], request[1], s.Admin.Token, request[2]); err != nil || status != http.StatusOK {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
	hold.Wait(2)
	if status, _, _ := ask(t, s, http.MethodGet, "/v2/sessions/"+fast, s.Admin.Token, ""); status != http.StatusOK {
		t.Errorf("another is %d", status)
	}
	hold.Release()
	all.Wait()
}

func TestSettings_SomethingMayHappenBetweenDecisionAndAnswer(t *testing.T) {
	s := Start(t)
	id, _ := s.CreateSession(Session{})
	s.Change(func(settings *Settings) {
		settings.Decided = func(c Call) {
			if c.Name == GetSession {
				s.Terminate(id)
			}
		}
	})
	for _, want := range []int{http.StatusOK, http.StatusNotFound} {
		if status, _, _ := ask(t, s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, ""); status != want {
			t.Errorf("%d, want %d", status, want)
		}
	}
}

func TestFail_TheNextRequestsFail(t *testing.T) {
	s := Start(t)
	id, _ := s.CreateSession(Session{})
	s.Fail(GetSession, 1, Failure{Status: http.StatusTooManyRequests, RetryAfter: "3"})
	s.Fail(Any, 1, Failure{Cut: true})
	s.Fail(DeleteSession, 1, Failure{Status: http.StatusServiceUnavailable, Late: true})
	if status, header, body := ask(t, s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, ""); status != http.StatusTooManyRequests || header.Get("Retry-After") != "3" || !strings.Contains(body, `"code":8`) {
		t.Errorf("%d %v %s", status, header, body)
	}
	if _, _, _, err := try(t.Context(), s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, ""); err == nil {
		t.Error("the connection is not cut")
	}
	if status, _, _ := ask(t, s, http.MethodGet, "/v2/sessions/"+id, s.Admin.Token, ""); status != http.StatusOK {
		t.Errorf("then it is %d", status)
	}
	if status, _, _ := ask(t, s, http.MethodDelete, "/v2/sessions/"+id, s.Admin.Token, ""); status != http.StatusServiceUnavailable || s.See(s.Admin.Token, id, "").Status != http.StatusNotFound {
		t.Errorf("a late failure: %d, or it is not deleted", status)
	}
	s.Change(func(settings *Settings) {
		settings.FailureRate, settings.Failure = map[string]float64{ListSessions: 1}, Failure{}
	})
	if status, _, body := ask(t, s, http.MethodPost, "/zitadel.session.v2.SessionService/ListSessions", s.Admin.Token, "{}"); status != http.StatusInternalServerError || !strings.Contains(body, `"internal"`) {
		t.Errorf("%d %s", status, body)
	}
	if get, all := s.Count(GetSession), s.Count(Any); get != 3 || all != 5 {
		t.Errorf("%d of %d requests are counted", get, all)
	}
}

func TestSettings_AnotherHostHasNoInstance(t *testing.T) {
	s := Start(t)
	s.Change(func(settings *Settings) { settings.Host = "zitadel.example" })
	if status, _, _ := ask(t, s, http.MethodPost, "/v2/sessions/search", s.Admin.Token, "{}"); status != http.StatusNotFound {
		t.Error(status)
	}
}

func TestSettings_LatencyEndsWithTheRequest(t *testing.T) {
	s := Start(t)
	s.Change(func(settings *Settings) {
		settings.Latency = map[string]func() time.Duration{Any: func() time.Duration { return time.Hour }, GetSession: func() time.Duration { return 0 }}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, _, err := try(ctx, s, http.MethodPost, "/v2/sessions", s.Admin.Token, "{}")
		ended <- err
	}()
	s.WaitFor(CreateSession, 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if status, _, _ := ask(t, s, http.MethodGet, "/v2/sessions/1", s.Admin.Token, ""); status != http.StatusNotFound {
		t.Error(status)
	}
	for _, e := range s.Events() {
		if e.AggregateType == "session" {
			t.Error("a session was created before its time")
		}
	}
}
