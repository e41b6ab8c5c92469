package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
)

// recording has what a real ZITADEL (v4, July 2026) was asked in a row, and what
// it answered; an exchange a line. Tokens in it read TOKEN1(…), TOKEN2(…), ….
// Where a test of its Authorization header was recorded without that header, it
// was put in by the test's name.
const recording = "testdata/zitadel.jsonl"

// recorded is one exchange.
type recorded struct {
	Name   string
	As     string // admin, login, noperm, bad, or a session token; "" sends none
	Method string
	Path   string
	// Headers of the request: name, value, ….
	Headers []string
	Body    string
	Status  int
	Type    string // Content-Type of the answer
	Allow   string
	Answer  string
	// Cut says whose body was not recorded to its end: "request" or "answer".
	Cut string
}

// The users behind the recording's credentials.
const (
	recordedAdmin = "401642991552891942"
	recordedLogin = "401642991553088550"
	recordedOwner = "401642991552302118"
)

func readRecording(t *testing.T) (list []recorded) {
	t.Helper()
	text, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	// Into the time of the fixture, to which Redis itself ends no session.
	text = bytes.ReplaceAll(text, []byte("2026-11-"), []byte("2050-11-"))
	for line := range bytes.Lines(text) {
		var e recorded
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// replay asks a server of ours what ZITADEL was asked, at the times when it was.
type replay struct {
	*fixture
	list []recorded
	// ours has our ID or token for each of ZITADEL's.
	ours map[string]string
}

// TestRecordedZITADEL holds our answers against those of a real ZITADEL, one by
// one. Where one differs it must be among the differences, and these must be in
// docs/api.md. What is random, or counts events, is masked: see mask.
func TestRecordedZITADEL(t *testing.T) {
	r := &replay{fixture: newFixture(t, func(s *setup) {
		s.config.InstanceID = recordedOwner
		s.limits.request = time.Minute // a slow machine is no difference
	}), list: readRecording(t), ours: map[string]string{}}
	keys := []caller.APIKey{
		{Name: "admin", UserID: recordedAdmin, Permissions: []string{"session.read", "session.write", "session.delete"}},
		{Name: "login", UserID: recordedLogin, Permissions: []string{"session.read", "session.write", "session.delete"}},
		{Name: "noperm", UserID: "noperm"},
	}
	var text []byte
	for _, k := range keys {
		r.secret[k.Name], k.SHA256 = caller.NewAPIKeySecret()
		var err error
		if text, err = caller.AppendAPIKey(text, k); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := caller.ParseAPIKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	r.server.Callers.SetKeys(parsed)

	different := differences(t)
	answers := readDifferentAnswers(t)
	alike, cutRequests, cutAnswers := 0, 0, 0
	for i := range r.list {
		e := &r.list[i]
		if e.Cut == "request" {
			cutRequests++
			r.mirror(i)
			continue
		}
		got := r.exchange(i)
		known := different[e.Name]
		delete(different, e.Name)
		var faults []string
		if e.Cut == "answer" {
			cutAnswers++
			faults = compareStatus(e, got)
		} else {
			faults = append(compareStatus(e, got), r.compareBody(e, got)...)
		}
		switch {
		case known == nil && len(faults) > 0:
			t.Errorf("%s: %s", e.Name, strings.Join(faults, "\n\t"))
		case known != nil && len(faults) == 0 && !known.stored && e.Cut == "":
			t.Errorf("%s: it is alike, and listed as different: %s", e.Name, known.says)
		case known == nil:
			alike++
		default:
			answers.compare(r, e, got, known)
		}
		r.follow(i, got, known)
	}
	for name := range different {
		t.Errorf("%s is no exchange", name)
	}
	answers.end(t)
	t.Logf("%d exchanges: %d alike, of which %d only in status because the answer was cut; %d not sent because the request was cut",
		len(r.list), alike, cutAnswers, cutRequests)
	if cutRequests != 7 || cutAnswers != 40 {
		t.Errorf("%d requests and %d answers are cut, want 7 and 40", cutRequests, cutAnswers)
	}
	if sent := fmt.Sprintf("the %d requests", len(r.list)-cutRequests); !strings.Contains(readDoc(t, apiDoc), sent) {
		t.Errorf("%s does not have %q", apiDoc, sent)
	}
}
