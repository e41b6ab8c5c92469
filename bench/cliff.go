package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	cliffPrefix   = "9384808"
	cliffUsers    = 4000
	cliffSessions = 2 // a user
	// cliffStore is how long storing them may take.
	cliffStore = 4 * time.Second
)

// expiryCliff stores sessions that all end within one second, in the middle of
// the run, and searches for them all the while. An answer is right if it has a
// user's sessions exactly until their end, by the answer's own timestamp; those
// that end while it is searched may be there or not.
type expiryCliff struct {
	scenarioConfig
	first time.Time // the first session's end
	ended *atomic.Int64
}

func newExpiryCliff(c scenarioConfig) scenario {
	return &expiryCliff{scenarioConfig: c, ended: new(atomic.Int64)}
}

// end is when the sessions of a user end.
func (s *expiryCliff) end(user int) time.Time {
	return s.first.Add(time.Duration(user%1000) * time.Millisecond)
}

// prepare stores the sessions. The middle of the run is when they end.
func (s *expiryCliff) prepare(ctx context.Context, target endpoint, middle time.Duration) error {
	s.first = time.Now().UTC().Add(cliffStore + middle - time.Second/2).Truncate(time.Microsecond)
	run := s.first.Unix()
	var body bytes.Buffer
	created := date(time.Now().Add(-time.Minute))
	for user := range cliffUsers {
		for k := range cliffSessions {
			fmt.Fprintf(&body, `{"id":"c%d.%d.%d","creationDate":"%s","changeDate":"%s","sequence":"1","factors":{"user":{"id":"%s"}},"expirationDate":"%s"}`+"\n",
				run, user, k, created, created, cliffUser(run, user), date(s.end(user)))
		}
	}
	begin := time.Now()
	client := &http.Client{Transport: &http.Transport{DialContext: dialer(target)}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target.host+"/v2/sessions/import", &body)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.key)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf(`"stored":%d`, cliffUsers*cliffSessions); answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(want)) {
		return fmt.Errorf("expiry-cliff: import: status %d: %.300s", answer.StatusCode, text)
	}
	left := cliffStore - time.Since(begin)
	if left < 0 {
		return fmt.Errorf("expiry-cliff: storing the sessions took longer than %v", cliffStore)
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func cliffUser(run int64, user int) string {
	return fmt.Sprintf("%s%d%05d", cliffPrefix, run%1_000_000, user)
}

// invalid says whether the cliff was not in the run.
func (s *expiryCliff) invalid() string {
	if s.ended.Load() == 0 {
		return "no answer came after the sessions had ended"
	}
	return ""
}

func (s *expiryCliff) client(_ int, r *rand.Rand) client { return &cliffSearcher{expiryCliff: s, r: r} }

type cliffSearcher struct {
	*expiryCliff
	r    *rand.Rand
	user int
	body []byte
}

func (s *cliffSearcher) next(b []byte) ([]byte, int) {
	s.user = s.r.IntN(cliffUsers)
	s.body = fmt.Appendf(s.body[:0], `{"query":{"limit":100},%s,"queries":[{"userIdQuery":{"id":"%s"}}]}`, byCreation, cliffUser(s.first.Unix(), s.user))
	return fmt.Appendf(b, "%sContent-Length: %d\r\n\r\n%s", s.head("POST", searchPath), len(s.body), s.body), 200
}

func (s *cliffSearcher) check(a *answer) error {
	at, err := time.Parse(time.RFC3339Nano, string(field(a.body, `"timestamp":"`)))
	if err != nil {
		return err
	}
	want := cliffSessions
	if !at.Before(s.end(s.user)) {
		want = 0
		s.ended.Add(1)
	}
	got := bytes.Count(a.body, []byte(`"creationDate"`))
	if got == 0 && time.Now().After(s.end(s.user)) {
		want = 0 // they ended while it searched
	}
	if got != want || !bytes.Contains(a.body, fmt.Appendf(nil, `"totalResult":"%d"`, want)) {
		return fmt.Errorf("%d sessions at %s, that end at %s: %.120s", got, at.Format(time.RFC3339Nano), date(s.end(s.user)), a.body)
	}
	return nil
}

func (s *cliffSearcher) deep() func([]byte) error { return nil }
func (s *cliffSearcher) lost()                    {}
