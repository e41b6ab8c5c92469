package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/request"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

var revokedCount = regexp.MustCompile(`^\{"revoked":"([0-9]+)"\}$`)

// revoke sends a revocation and returns the count.
func (f *fixture) revoke(as, body string) int {
	f.t.Helper()
	r := f.want(http.StatusOK, as, "POST", "/v2/sessions/revoke", body)
	m := revokedCount.FindStringSubmatch(r.body)
	if m == nil {
		f.t.Fatalf("revoke as %s: %s", as, r.body)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// fill imports sessions s0, s1, … of a user.
func (f *fixture) fill(n int, user string) {
	f.t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"s%d","factors":{"user":{"id":"%s","organizationId":"org-1"}}}`+"\n", i, user)
	}
	if got := f.importLines(strings.NewReader(b.String())); got.Stored != n {
		f.t.Fatalf("%+v", got)
	}
}

// counter returns what counts the sessions in Redis, past the proxy.
func (f *fixture) counter() func() int {
	f.t.Helper()
	space, err := keys.NewSpace(keys.DefaultPrefix, f.store.Shards())
	if err != nil {
		f.t.Fatal(err)
	}
	client := f.redis.Client(f.t)
	return func() (n int) {
		for k := range space.Shards() {
			c, err := client.ZCard(context.Background(), space.Created(k)).Result()
			if err != nil {
				f.t.Error(err)
			}
			n += int(c)
		}
		return n
	}
}

// A revocation deletes exactly what its caller could delete one by one.
func TestRevokeDeletesWhatDeleteMay(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		generation := 0
		for _, who := range permissionCallers {
			generation++
			ids := map[string]string{}
			var all, want []string
			for kind, body := range permissionSessions {
				ids[kind] = fmt.Sprintf("%s-%d", kind, generation)
				all = append(all, `"`+ids[kind]+`"`)
				r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+ids[kind]+"?issueToken=true", body)
				if kind == "alices" && who == "alice's token" || kind == "bobs" && who == "bob's token" {
					f.secret[who] = newToken.FindStringSubmatch(r.body)[1]
				}
				if mayBe(permissions["delete"][kind], who) {
					want = append(want, kind)
				}
			}
			body := `{"queries":[{"idsQuery":{"ids":[` + strings.Join(all, ",") + `]}}],"dryRun":true}`
			if n := f.revoke(who, body); n != len(want) {
				t.Errorf("a dry run as %s: %d, want %v", who, n, want)
			}
			if n := f.revoke(who, strings.Replace(body, "true", "false", 1)); n != len(want) {
				t.Errorf("revoke as %s: %d, want %v", who, n, want)
			}
			for kind, id := range ids {
				if gone := f.do("admin", "GET", "/v2/sessions/"+id, "").status == http.StatusNotFound; gone != slices.Contains(want, kind) {
					t.Errorf("revoke as %s: %s is gone: %v", who, kind, gone)
				}
			}
			f.revoke("admin", `{"all":true}`)
		}
	})
}

// Log out everywhere else, by the token of the session that stays.
func TestRevokeEverywhereElse(t *testing.T) {
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		f.fill(700, "alice")
		r := f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/mine?issueToken=true", permissionSessions["alices"])
		token := newToken.FindStringSubmatch(r.body)[1]
		f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/bobs", permissionSessions["bobs"])
		if n := f.revoke(token, `{"queries":[{"userIdQuery":{"id":"alice"}}],"exceptIds":["mine"]}`); n != 700 {
			t.Errorf("%d are revoked", n)
		}
		f.want(http.StatusOK, token, "GET", "/v2/sessions/mine", "")
		f.want(http.StatusOK, "admin", "GET", "/v2/sessions/bobs", "")
		if _, total := f.search("admin", `{}`); total != 2 {
			t.Errorf("%d sessions are left", total)
		}
	})
}

// It has no deadline: the store may take longer than for any other request.
func TestRevokeHasNoDeadline(t *testing.T) {
	f := newFixture(t)
	f.fill(600, "alice")
	f.server.limit(func(l *limits) { l.request = time.Nanosecond })
	if n := f.revoke("admin", `{"all":true}`); n != 600 {
		t.Errorf("%d are revoked", n)
	}
	f.want(http.StatusServiceUnavailable, "admin", "POST", "/v2/sessions/search", `{"queries":[{"userIdQuery":{"id":"alice"}}]}`)
}

func TestRevokeBounds(t *testing.T) {
	f := newFixture(t)
	ids := func(n int) string { return strings.TrimSuffix(strings.Repeat(`"x",`, n), ",") }
	f.revoke("admin", `{"all":true,"exceptIds":[`+ids(request.MaxExcept)+`]}`)
	queries := func(n int) string { return strings.TrimSuffix(strings.Repeat(`{"userIdQuery":{"id":"u"}},`, n), ",") }
	f.revoke("admin", `{"queries":[`+queries(request.MaxQueries)+`]}`)
	for body, want := range map[string]string{
		`{"all":true,"exceptIds":[` + ids(request.MaxExcept+1) + `]}`: "exceptIds[1000]: must have at most 1000 IDs",
		`{"queries":[` + queries(request.MaxQueries+1) + `]}`:         "queries[100]: must have at most 100 queries",
		`{"all":1}`:                                                                "all: must be true or false",
		`{"all":true,"exceptIds":"x"}`:                                             "exceptIds: must be",
		`{"all":true,"exceptIDs":["x"]}`:                                           "exceptIDs: is not known here",
		`{"queries":[{"sessionQuery":{}}]}`:                                        "queries[0].sessionQuery: is not known here",
		`{"queries":[{"idsQuery":{"id":"x"}}]}`:                                    "queries[0].idsQuery.id: is not known here",
		`{"queries":[{"userAgentQuery":{"id":"x"}}]}`:                              "queries[0].userAgentQuery.id: is not known here",
		`{"queries":[{"creationDateQuery":{"date":"2050-01-01T00:00:00Z"}}]}`:      "queries[0].creationDateQuery.date: is not known here",
		`{"queries":[{"expirationDateQuery":{"expirationDate":null,"method":1}}]}`: "Queries[0]: expirationDate is required",
		`{"queries":[{"userAgentQuery":{}}]}`:                                      "List.Query.Invalid (GRPC-x8n23uh)",
		`{"queries":[{"userIdQuery":{"id":"u"},"idsQuery":{}}]}`:                   "must not be given together with",
		`{"queries":[{"creatorQuery":{"id":"` + strings.Repeat("c", 201) + `"}}]}`: "invalid RevokeSessionsRequest.Queries[0]: ",
		`{"queries":null}`:                                                         "must have at least one query",
		``:                                                                         "must have at least one query",
	} {
		if r := f.want(http.StatusBadRequest, "admin", "POST", "/v2/sessions/revoke", body); !strings.Contains(r.body, want) {
			t.Errorf("%.80s: %s, want %s", body, r.body, want)
		}
	}
}

// A few run at a time; others are told so, and it passes.
func TestRevokeAtOnce(t *testing.T) {
	f := newFixture(t)
	for range maxRevocations {
		f.server.revocations.Enter()
	}
	if r := f.want(http.StatusTooManyRequests, "admin", "POST", "/v2/sessions/revoke", `{"all":true}`); !strings.Contains(r.body, "at most 4 revocations may run at a time") {
		t.Error(r.body)
	}
	f.want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true}`) // it has places of its own
	f.server.revocations.Leave()
	for range maxCounts {
		f.server.counts.Enter()
	}
	if r := f.want(http.StatusTooManyRequests, "admin", "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true}`); !strings.Contains(r.body, "at most 4 dry runs of revocations may run at a time") {
		t.Error(r.body)
	}
	f.revoke("admin", `{"all":true}`)
}

// The audit line has the count, and whether anything was revoked at all.
func TestRevokeAudit(t *testing.T) {
	f := newFixture(t)
	f.fill(3, "alice")
	f.revoke("deleter", `{"queries":[{"userIdQuery":{"id":"alice"}},{"idsQuery":{"ids":["s0","s1"]}}],"dryRun":true}`)
	f.revoke("deleter", `{"all":true}`)
	f.do("admin", "POST", "/v2/sessions/revoke", `{}`)
	for _, want := range []string{
		`caller=deleter user_id=svc-deleter which="userIdQuery \"alice\" and idsQuery \"s0\",\"s1\"" except=0 dry_run=true revoked=2`,
		`caller=deleter user_id=svc-deleter which=all except=0 dry_run=false revoked=3`,
		`msg="write refused"`,
	} {
		eventually.Holds(t, want, func() bool { return strings.Contains(f.logs.String(), want) })
	}
}

// Progress of a long one is logged now and then, with all that was revoked.
func TestRevokeLogsProgress(t *testing.T) {
	f := newFixture(t)
	run := &revokeRun{s: f.server, log: f.server.log, earlier: 40, reported: time.Now()}
	run.progress(1)
	run.reported = run.reported.Add(-progressPause - time.Second)
	run.progress(2)
	run.progress(3)
	if logs := f.logs.String(); strings.Count(logs, "revocation goes on") != 1 || !strings.Contains(logs, "revoked=42 dry_run=false") {
		t.Error(logs)
	}
}

// While Redis is away for a moment a revocation waits; its count is right. If it
// stays away, the answer is 503 with the count so far, and to send it again is
// to go on. (I2)
func TestI2_RevokeWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards), func(s *setup) { s.limits.patience = time.Minute })
		sessions := testdepth.Of(3000, 1500)
		f.fill(sessions, "alice")
		left := f.counter()
		cutAt := func(most int, cut func()) chan struct{} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				eventually.Holds(t, "the revocation", func() bool { return left() <= most })
				cut()
			}()
			return done
		}
		f.proxy.Delay(2 * time.Millisecond) // it takes a while
		done := cutAt(sessions-300, func() {
			f.proxy.Refuse(true)
			f.proxy.CutAll()
			eventually.Holds(t, "a failure", func() bool { return f.store.Ping(context.Background()) != nil })
			f.proxy.Refuse(false)
		})
		half := `{"queries":[{"creationDateQuery":{"creationDate":"2050-01-02T03:04:05Z"}}],"exceptIds":["s7"]}`
		// The deletes that were under way when it was cut may have been done or not.
		const underWay = 32
		if n := f.revoke("admin", half); n > sessions-1 || n < sessions-1-underWay || left() != 1 {
			t.Errorf("%d are revoked, %d are left", n, left())
		}
		<-done
		if n := f.revoke("admin", `{"all":true}`); n != 1 {
			t.Errorf("%d are revoked", n)
		}
		f.advance(time.Second)
		refill(f, sessions)
		f.server.limit(func(l *limits) { l.patience = time.Nanosecond })
		done = cutAt(sessions-300, func() {
			f.proxy.Refuse(true)
			f.proxy.CutAll()
		})
		r := f.want(http.StatusServiceUnavailable, "admin", "POST", "/v2/sessions/revoke", `{"all":true}`)
		<-done
		remain := left()
		told := regexp.MustCompile("the session store is unavailable; ([0-9]+) sessions were revoked; to send the request again is to go on").FindStringSubmatch(r.body)
		if told == nil || r.header.Get("Retry-After") != "1" {
			t.Fatalf("%v %s", r.header, r.body)
		}
		if n, err := strconv.Atoi(told[1]); err != nil || n > sessions-remain || n < sessions-remain-underWay || n == 0 {
			t.Errorf("%s; %d are left", r.body, remain)
		}
		if r := f.want(http.StatusServiceUnavailable, "admin", "POST", "/v2/sessions/revoke", `{"all":true,"dryRun":true}`); !strings.Contains(r.body, "; nothing was revoked") {
			t.Error(r.body)
		}
		f.proxy.Refuse(false)
		f.server.limit(func(l *limits) { l.patience = time.Minute })
		if n := f.revoke("admin", `{"all":true}`); n != remain || left() != 0 {
			t.Errorf("%d more are revoked, want %d", n, remain)
		}
	})
}

// refill imports sessions under new IDs.
func refill(f *fixture, n int) {
	f.t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"again%d"}`+"\n", i)
	}
	if got := f.importLines(strings.NewReader(b.String())); got.Stored != n {
		f.t.Fatalf("%+v", got)
	}
}

// When the server ends, a revocation ends at once, with the count so far.
func TestRevokeEndsWithTheServer(t *testing.T) {
	f := newFixture(t)
	const sessions = 3000
	f.fill(sessions, "alice")
	left := f.counter()
	ln := listen(t)
	stop, ended := f.serveOn(ln, time.Minute)
	f.proxy.Delay(5 * time.Millisecond)
	url := f.url
	f.url = "http://" + ln.Addr().String()
	answered := make(chan reply, 1)
	go func() {
		r, err := f.try("admin", "POST", "/v2/sessions/revoke", `{"all":true}`)
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	for left() > sessions-200 {
	}
	stop()
	r := <-answered
	f.url = url
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	revoked := sessions - left()
	if want := fmt.Sprintf("the server ends; %d sessions were revoked; ", revoked); r.status != http.StatusServiceUnavailable || revoked == sessions || !strings.Contains(r.body, want) {
		t.Errorf("%d %s, want %s", r.status, r.body, want)
	}
	f.proxy.Delay(0)
	if n := f.revoke("admin", `{"all":true}`); n != sessions-revoked {
		t.Errorf("%d more, want %d", n, sessions-revoked)
	}
}

// A session that cannot be read keeps no other from being revoked; the caller
// is told that some may be left, and the log says which.
func TestRevokeSaysWhatItCanNotRead(t *testing.T) {
	f := newFixture(t, func(s *setup) { s.limits.patience = time.Nanosecond })
	f.fill(20, "alice")
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.redis.Client(t).HSet(t.Context(), space.Session("s7"), "doc", "\x09 later").Err(); err != nil {
		t.Fatal(err)
	}
	if n := f.revoke("admin", `{"all":true,"dryRun":true}`); n != 19 {
		t.Errorf("%d would be revoked", n)
	}
	r := f.want(http.StatusServiceUnavailable, "admin", "POST", "/v2/sessions/revoke", `{"all":true}`)
	if !strings.Contains(r.body, "; 19 sessions were revoked; ") || f.counter()() != 1 {
		t.Errorf("got %s, %d are left", r.body, f.counter()())
	}
	if log := f.logs.String(); !strings.Contains(log, `msg="revocation gives up"`) || !strings.Contains(log, "session s7: ") {
		t.Errorf("the log has\n%s", log)
	}
}
