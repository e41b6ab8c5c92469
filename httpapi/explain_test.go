package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const searchConnect = "/zitadel.session.v2.SessionService/ListSessions"

// explanation is the member explain of an answer.
type explanation struct {
	Plan   string
	Driver struct{ Predicate, Lists string }
	Steps  []string
	Candidates, Examined, Limit,
	RoundTrips, Microseconds string
	Documents struct{ Copies, Redis, Replicas string }
	Costly    *struct{ WaitedMicroseconds string }
}

func explanationOf(t *testing.T, body string) *explanation {
	t.Helper()
	var answer struct{ Explain *explanation }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Explain == nil {
		t.Fatalf("%s has no explanation: %v", body, err)
	}
	return answer.Explain
}

// Who has session.read for the instance gets an explanation, by REST and by Connect, and
// nobody else does.
func TestExplain_NeedsSessionReadForTheInstance(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/v2/sessions/search", searchConnect} {
		for _, as := range []string{"admin", "reader", "writer", "deleter", "org", "nobody", "alice"} {
			r := f.do(as, "POST", path, `{"explain":true}`, "Content-Type", "application/json")
			may := as == "admin" || as == "reader"
			if got := strings.Contains(r.body, `"explain":{"plan"`); got != may || (r.status == http.StatusOK) != may || (r.status == http.StatusForbidden) == may {
				t.Errorf("%s, %s: %d %s", path, as, r.status, r.body)
			}
			if !may && !strings.Contains(r.body, "explain needs session.read for the whole instance") {
				t.Errorf("%s, %s: %s", path, as, r.body)
			}
			for _, body := range []string{`{"explain":false}`, `{"explain":null}`, `{}`} {
				if r := f.want(http.StatusOK, as, "POST", path, body, "Content-Type", "application/json"); strings.Contains(r.body, "explain") {
					t.Errorf("%s, %s, %s: %s", path, as, body, r.body)
				}
			}
			f.want(http.StatusOK, as, "POST", "/v2beta/sessions/search", `{"explain":true}`)
		}
	}
}

// An explained search is answered as it is without explanation, from the same page if one
// is kept, and no answer without explanation has one afterwards, nor the other way round.
func TestExplain_KeptPages(t *testing.T) {
	at := regexp.MustCompile(`"timestamp":"[^"]*"`)
	for _, path := range []string{"/v2/sessions/search", searchConnect} {
		f := newNearFixture(t)
		post := func(body string) string {
			t.Helper()
			return at.ReplaceAllString(f.want(http.StatusOK, "reader", "POST", path, body, "Content-Type", "application/json").body, `"timestamp":""`)
		}
		pages := func() int { return f.store.NearStats().Pages.Entries }
		// Each of these asks what searchU1 asks.
		spellings := []string{
			`{"explain":true,"queries":[{"userIdQuery":{"id":"u1"}}]}`,
			`{"queries":[{"userIdQuery":{"id":"u1"}}],"explain":true}`,
			"{\"queries\":[{\"userIdQuery\":{\"id\":\"u1\"}}],\n \"expl\\u0061in\" : true}",
		}
		plain := strings.TrimSuffix(f.do("reader", "POST", path, searchU1, "Content-Type", "application/json", "Session-Consistency", "fresh").body, "}")
		plain = at.ReplaceAllString(plain, `"timestamp":""`)
		before := pages()
		for range 3 {
			for _, body := range spellings {
				got := post(body)
				if e := explanationOf(t, got); !slices.Equal(e.Steps, []string{"held_list"}) || !strings.HasPrefix(got, plain+`,"explain":{`) {
					t.Errorf("%s: %s", body, got)
				}
			}
		}
		if n := pages(); n != before {
			t.Errorf("%d pages are kept, and were %d", n, before)
		}
		for range 2 {
			if got := post(searchU1); got != plain+"}" {
				t.Errorf("got %s, want %s", got, plain)
			}
		}
		for _, body := range spellings {
			got := post(body)
			e := explanationOf(t, got)
			if !slices.Equal(e.Steps, []string{"kept_page"}) || e.RoundTrips != "0" || e.Documents.Redis != "0" || !strings.HasPrefix(got, plain+`,"explain":{`) {
				t.Errorf("%s: %s", body, got)
			}
			if got := post(searchU1); got != plain+"}" {
				t.Errorf("got %s, want %s", got, plain)
			}
		}
		fresh := f.want(http.StatusOK, "reader", "POST", path, spellings[0], "Content-Type", "application/json", "Session-Consistency", "fresh").body
		if e := explanationOf(t, fresh); e.Documents.Copies != "0" || e.Documents.Redis != "1" || e.Steps[0] != "short_list" {
			t.Errorf("fresh: %s", fresh)
		}
	}
}

// The error of a refused search has the explanation in the form of its protocol; an
// unexplained one has the same text without it.
func TestExplain_Refused(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.store.MaxCandidates = 5 })
	var lines strings.Builder
	for i := range 7 {
		fmt.Fprintf(&lines, `{"id":"s%d","factors":{"user":{"id":"u1"}}}`+"\n", i)
	}
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/import", lines.String())
	const query = `"queries":[{"expirationDateQuery":{"expirationDate":"2300-01-01T00:00:00Z","method":"TIMESTAMP_QUERY_METHOD_LESS"}}]`
	check := func(e *explanation) {
		t.Helper()
		if !slices.Equal(e.Steps, []string{"counted", "refused"}) || e.Candidates != "7" || e.Limit != "5" || e.Examined != "0" || e.RoundTrips != "1" {
			t.Errorf("%+v", e)
		}
	}
	rest := f.want(http.StatusTooManyRequests, "reader", "POST", "/v2/sessions/search", `{"explain":true,`+query+`}`)
	check(explanationOf(t, rest.body))
	plain := f.want(http.StatusTooManyRequests, "reader", "POST", "/v2/sessions/search", `{`+query+`}`)
	if before, _, _ := strings.Cut(rest.body, `,"explain"`); before+"}" != plain.body || !strings.Contains(plain.body, "7 candidates to examine, more than the limit of 5;") {
		t.Errorf("got %s, want %s and an explanation", rest.body, plain.body)
	}
	connect := f.want(http.StatusTooManyRequests, "reader", "POST", searchConnect, `{"explain":true,`+query+`}`, "Content-Type", "application/json")
	var said struct {
		Code    string
		Details []struct {
			Type, Value string
			Debug       *explanation
		}
	}
	if err := json.Unmarshal([]byte(connect.body), &said); err != nil || said.Code != "resource_exhausted" || len(said.Details) != 1 || said.Details[0].Type != "google.protobuf.Struct" {
		t.Fatalf("%s: %v", connect.body, err)
	}
	check(said.Details[0].Debug)
	value, err := base64.RawStdEncoding.DecodeString(said.Details[0].Value)
	var detail structpb.Struct
	if err == nil {
		err = proto.Unmarshal(value, &detail)
	}
	_, debug, _ := strings.Cut(connect.body, `"debug":`)
	var want map[string]any
	if err := json.Unmarshal([]byte(strings.TrimSuffix(debug, "}]}")), &want); err != nil {
		t.Fatal(err)
	}
	if err != nil || !reflect.DeepEqual(detail.AsMap(), want) {
		t.Errorf("got %v, want %v; %v", detail.AsMap(), want, err)
	}
	// Other errors have none.
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	for _, path := range []string{"/v2/sessions/search", searchConnect} {
		if r := f.want(http.StatusServiceUnavailable, "reader", "POST", path, `{"explain":true}`, "Content-Type", "application/json"); strings.Contains(r.body, "explain") {
			t.Error(r.body)
		}
	}
}

// In front of a ZITADEL searches are passed on: who is known here is told that nothing
// explains them, and ZITADEL's own callers are answered by it.
func TestExplain_Upstream(t *testing.T) {
	f := newUpstreamFixture(t)
	f.create()
	const body = `{"explain":true}`
	r := f.want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/search", body)
	if !strings.Contains(r.body, "explain: searches are passed on to the ZITADEL of --upstream-url") {
		t.Error(r.body)
	}
	f.want(http.StatusBadRequest, "admin", "POST", searchConnect, body, "Content-Type", "application/json")
	f.want(http.StatusForbidden, "org", "POST", "/v2/sessions/search", body)
	for _, q := range [][3]string{
		{"admin", "/v2beta/sessions/search", body}, {"admin", "/v2/sessions/search", `{"explain":false}`}, {f.zitadel.Login.Token, "/v2/sessions/search", body},
	} {
		if r := f.want(http.StatusOK, q[0], "POST", q[1], q[2]); strings.Contains(r.body, "explain") || !strings.Contains(r.body, `"sessions"`) {
			t.Errorf("%v: %s", q, r.body)
		}
	}
}

// docs/explain.md has every step of an explanation.
func TestDocsNameTheStepsOfAnExplanation(t *testing.T) {
	text, err := os.ReadFile(explainDoc)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []index.Step{
		index.StepKeptPage, index.StepHeldList, index.StepShortList, index.StepGuessed, index.StepGivenIDs, index.StepCounted,
		index.StepRanked, index.StepExamined, index.StepRefused, index.StepNothing, index.StepAnew,
	} {
		if !strings.Contains(string(text), "`"+string(step)+"`") {
			t.Errorf("docs/explain.md does not have the step %s", step)
		}
	}
}
