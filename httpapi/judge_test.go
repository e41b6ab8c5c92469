package httpapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/observed"
	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/prometheus/client_golang/prometheus"
)

// verdict is what the console is told of a session by its ID, or of a token.
func (f *fixture) verdict(member, value string) (v verify.Verdict) {
	f.t.Helper()
	body, _ := json.Marshal(map[string]string{member: value})
	answer := f.answers(http.StatusOK, f.server.ForConsole(f.t.Context()).Judge, "admin", "", string(body))
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		f.t.Fatal(err)
	}
	return v
}

// agrees fails the test unless verify answers a token, on each path, as the verdict about it says, and the verdict's checks say the
// same. It returns the verdict.
func (f *fixture) agrees(token string) verify.Verdict {
	f.t.Helper()
	v := f.verdict("token", token)
	answers := func(path string, status int, reason string) {
		f.t.Helper()
		r := f.do("", "GET", path, "", "Authorization", "Bearer "+token)
		if r.status != status || reasonIn(r) != reason || status != 200 && !strings.Contains(r.body, `"detail":"`+v.Detail+`"`) && v.Status == status {
			f.t.Errorf("%s: verify answers %d %q %s, want %d %q; the verdict is %+v", path, r.status, reasonIn(r), r.body, status, reason, v)
		}
		if status == 200 && (r.header.Get("X-Session-Id") != string(v.SessionID) || r.header.Get("X-Session-Factors") != strings.Join(v.Factors, ",") ||
			r.header.Get("X-Session-Auth-Time") != v.AuthTime || r.header.Get("X-Session-Expires") != v.Expires) {
			f.t.Errorf("verify answers %v, the verdict is %+v", r.header, v)
		}
	}
	reason := v.Reason
	if v.Passes {
		reason = ""
	}
	answers("/verify", v.Status, reason)
	for _, p := range v.Policies {
		status, reason := v.Status, reason
		if v.Passes && !p.Passes {
			status, reason = http.StatusForbidden, "predicate"
		}
		answers(p.Path, status, reason)
	}
	f.fitsTogether(&v)
	return v
}

// fitsTogether fails the test unless the checks of a verdict say what the verdict says.
func (f *fixture) fitsTogether(v *verify.Verdict) {
	f.t.Helper()
	passes := true
	explained := func(name string, checks []verify.Check) bool {
		for _, c := range checks {
			if !c.Passes && c.Says == "" {
				f.t.Errorf("%s: the check %s does not say what is missing", name, c.Name)
			}
		}
		return !slices.ContainsFunc(checks, func(c verify.Check) bool { return !c.Passes })
	}
	passes = explained("verify", v.Checks) && passes
	for _, p := range v.Policies {
		if holds := explained(p.Name, p.Checks); holds != p.Passes {
			f.t.Errorf("the policy %s passes: %v, and its checks: %v", p.Name, p.Passes, p.Checks)
		} else if p.Default {
			passes = passes && holds
		}
	}
	if passes != v.Passes || v.Passes != (v.Status == http.StatusOK) {
		f.t.Errorf("the checks pass: %v, and the verdict is %+v", passes, v)
	}
	if found := len(v.SessionID) > 0; found != (len(v.Policies) > 0) || found != (v.Factors != nil) || !found && v.Session != nil {
		f.t.Errorf("something was found: %v, and the verdict is %+v", found, v)
	}
}

// withJudged configures verify with policies of every kind, of which one may hold for every request.
func withJudged(fallback string, change ...func(*setup)) func(*setup) {
	return func(s *setup) {
		withVerify(s)
		password, _ := session.FactorNamed("password")
		totp, _ := session.FactorNamed("totp")
		s.config.Verify.Policies["all"] = &verify.Policy{Factors: password | totp, MaxAge: 10 * time.Minute, Organizations: []string{"org-1"}}
		s.config.Verify.Default = fallback
		s.config.Verify.Accepts = verify.AcceptSessions | verify.AcceptPairs | verify.AcceptLoginCookies
		for _, c := range change {
			c(s)
		}
	}
}

// known stores a session as it came from elsewhere, where another clock may have been ahead, and returns its token. It ends in an hour.
func (f *fixture) known(factors string) (id, token string) {
	f.t.Helper()
	id = string(session.NewID(f.now()))
	token, _ = session.NewToken(session.ID(id))
	f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/"+id, fmt.Sprintf(`{"factors":{%s},"tokenSha256":"%x","expirationDate":%q}`,
		factors, sha256.Sum256([]byte(token)), f.now().Std().Add(time.Hour).Format(time.RFC3339Nano)))
	return id, token
}

// somebody is the factors of a session that somebody may have.
func (f *fixture) somebody(random *rand.Rand) string {
	var factors []string
	if random.IntN(10) > 0 {
		user := []string{"alice", "ålice", strings.Repeat("ß", 200)}[max(0, random.IntN(12)-9)]
		factors = append(factors, fmt.Sprintf(`"user":{"id":%q%s}`, user, []string{"", `,"organizationId":"org-1"`, `,"organizationId":"org-1"`, `,"organizationId":"org-3"`}[random.IntN(4)]))
		for _, name := range []string{"password", "webAuthN", "totp"} {
			if random.IntN(3) == 0 {
				continue
			}
			// Up to, and past, what counts: 10 minutes ago, and a minute ahead.
			ago := []time.Duration{0, 10 * time.Minute, 10*time.Minute + time.Microsecond, 3 * time.Hour, -time.Minute, -time.Minute - time.Microsecond, -time.Hour}[random.IntN(7)]
			at := fmt.Sprintf(`"verifiedAt":%q`, f.now().Std().Add(-ago).Format(time.RFC3339Nano))
			if random.IntN(5) == 0 {
				at = "" // nobody says when
			}
			factors = append(factors, fmt.Sprintf(`%q:{%s}`, name, at))
		}
	}
	return strings.Join(factors, ",")
}

// The verdict is the answer of verify, for every session, fate and policy.
func TestJudge_SaysWhatVerifyAnswers(t *testing.T) {
	t.Parallel()
	signer := asserting(t, testfile.SigningKey(t))
	for name, change := range map[string]func(*setup){
		"no default":        withJudged(""),
		"unproven may pass": withJudged("recent", func(s *setup) { s.config.Verify.AllowUnproven = true }),
		"assertions":        withJudged("lax", withAssertions(signer)),
		"near":              withJudged("all", withNear, func(s *setup) { s.shards = 4 }),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, change)
			if f.store.NearStats().On {
				f.runStore()
				eventually.Holds(t, "the near cache is used", func() bool { return f.store.NearStats().ProofAge >= 0 })
			}
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 1))
			seen := map[string]int{}
			judged := func(token string) {
				t.Helper()
				v := f.agrees(token)
				seen[fmt.Sprintf("%d %s", v.Status, v.Reason)]++
			}
			now := f.now().Std().Format(time.RFC3339Nano)
			_, proven := f.known(aliceFactor + fmt.Sprintf(`,"password":{"verifiedAt":%q},"totp":{"verifiedAt":%q}`, now, now))
			_, old := f.known(`"user":{"id":"u"},"webAuthN":{"verifiedAt":"2049-01-01T00:00:00Z"}`)
			judged(proven)
			judged(old)
			for i := range 40 {
				id, token := f.known(f.somebody(random))
				judged(token)
				judged(id + ":" + token)
				judged(url.PathEscape(fmt.Sprintf(`[{"id":%q,"token":%q,"changeTs":"1"}]`, id, token)))
				byToken, byID := f.verdict("token", token), f.verdict("id", id)
				f.fitsTogether(&byID)
				byToken.By, byToken.Checks = "id", slices.DeleteFunc(byToken.Checks, func(c verify.Check) bool { return c.Name == "token" })
				if !reflect.DeepEqual(byID, byToken) {
					t.Errorf("by ID %+v, by its token %+v", byID, byToken)
				}
				switch i % 4 {
				case 0:
					f.want(http.StatusOK, "admin", "PATCH", "/v2/sessions/"+id, `{"metadata":{"a":"YQ=="}}`)
					judged(token)
				case 1:
					f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+id, "")
					judged(token)
					if v := f.verdict("id", id); v.Reason != "revoked" || v.Status != http.StatusUnauthorized {
						t.Errorf("by ID: %+v", v)
					}
				case 2:
					if f.store.NearStats().On {
						continue // its store sweeps away meanwhile that the session has expired
					}
					f.advance(time.Hour)
					judged(token)
					if v := f.verdict("id", id); v.Reason != "expired" || v.Status != http.StatusUnauthorized {
						t.Errorf("by ID: %+v", v)
					}
				}
			}
			foreign := strings.Repeat("foreign", 4)
			f.want(http.StatusCreated, "admin", "PUT", "/v2/sessions/foreign", fmt.Sprintf(`{"factors":{"user":{"id":"u"},"password":{}},"tokenSha256":"%x"}`, sha256.Sum256([]byte(foreign))))
			for _, token := range []string{
				foreign, "1." + strings.Repeat("x", 43), "somebody-elses", f.secret["admin"], "a b", "a,b", strings.Repeat("x", 4097), strings.Repeat("x", 9000), "none:" + foreign, "[]", "[", "[{}]", "%5B",
				`[{"id":"foreign","token":"x","expirationTs":"1"}]`, "e30.e30.x",
			} {
				judged(token)
			}
			if v := f.verdict("id", "a b"); v.Reason != "not_found" {
				t.Errorf("%+v", v)
			}
			for _, want := range []string{"200 good", "401 revoked", "401 expired", "401 wrong_token", "401 not_found", "401 malformed", "401 missing", "403 predicate"} {
				if seen[want] == 0 && (want != "403 predicate" || f.server.config.Verify.Default != "") {
					t.Errorf("no verdict was %s: %v", want, seen)
				}
			}
		})
	}
}

// A verdict names each missing proof in words that need no manual.
func TestJudge_SaysWhatIsMissing(t *testing.T) {
	f := newFixture(t, withJudged("lax"))
	now := f.now().Std()
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339Nano) }
	for _, c := range []struct {
		factors       string
		policy, check string
		want          verify.Check
	}{
		{aliceFactor, "", "proof", verify.Check{Asks: "a user, and another verified factor", Says: "the user has proven nothing"}},
		{aliceFactor + `,"totp":{"verifiedAt":"` + at(time.Hour) + `"}`, "", "proof", verify.Check{Asks: "a user, and another verified factor", Says: "the user has proven nothing; totp counts only from its date on, which has not come"}},
		{``, "", "proof", verify.Check{Asks: "a user, and another verified factor", Says: "the session has no user"}},
		{`"user":{"id":"` + strings.Repeat("ß", 200) + `"},"password":{}`, "", "headers", verify.Check{Says: "the ID of the user, or of the user's organization, is too long for a header, which takes 1024 bytes"}},
		{aliceVerified, "all", "factors", verify.Check{Asks: "password, totp", Has: "password", Says: "totp is missing"}},
		{aliceFactor + `,"webAuthN":{}`, "all", "factors", verify.Check{Asks: "password, totp", Has: "webAuthN", Says: "password, totp are missing"}},
		{aliceVerified + `,"totp":{"verifiedAt":"` + at(2*time.Minute) + `"}`, "all", "factors", verify.Check{Asks: "password, totp", Has: "password", Says: "totp is missing; totp counts only from its date on, which has not come"}},
		{aliceFactor + `,"password":{"verifiedAt":"` + at(-2*time.Hour-3*time.Minute-4*time.Second-5*time.Microsecond) + `"}`, "recent", "max_age", verify.Check{Asks: "10m", Has: "2h3m4s", Says: "the last factor was verified 2h3m4s ago; at most 10m is allowed"}},
		{aliceFactor + `,"password":{"verifiedAt":"` + at(-10*time.Minute-time.Microsecond) + `"}`, "recent", "max_age", verify.Check{Asks: "10m", Has: "10m0.000001s", Says: "the last factor was verified 10m0.000001s ago; at most 10m is allowed"}},
		{aliceFactor + `,"password":{"verifiedAt":"` + at(30*time.Second) + `"}`, "recent", "max_age", verify.Check{Passes: true, Asks: "10m", Has: "0s"}},
		{aliceVerified, "recent", "max_age", verify.Check{Asks: "10m", Says: "no factor says when it was verified"}},
		{`"user":{"id":"u","organizationId":"org-3"},"password":{}`, "org", "organizations", verify.Check{Asks: "org-1, org-2", Has: "org-3", Says: "the user is of another organization"}},
		{`"user":{"id":"u"},"password":{}`, "org", "organizations", verify.Check{Asks: "org-1, org-2", Says: "it is not known of which organization the user is"}},
	} {
		id, _ := f.known(c.factors)
		v := f.verdict("id", id)
		checks := v.Checks
		for _, p := range v.Policies {
			if p.Name == c.policy {
				checks = p.Checks
			}
		}
		c.want.Name = c.check
		if !slices.Contains(checks, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.factors, checks, c.want)
		}
	}
	id, token := f.login(aliceVerified, `,"metadata":{"k":"dg=="}`)
	document := f.want(http.StatusOK, "admin", "GET", "/v2/sessions/"+id, "").body
	if got := `{"session":` + string(f.verdict("id", id).Session) + `}`; got != document {
		t.Errorf("got %s, want %s", got, document)
	}
	if v := f.verdict("token", " "+token+"\n"); !v.Passes {
		t.Errorf("a token with space around it: %+v", v)
	}
	got, want := f.server.config.Verify.Asked(), []verify.Asked{
		{Name: "all", Asks: "factors password, totp; max_age 10m; organizations org-1"},
		{Name: "lax", Asks: "factors password", Default: true},
		{Name: "org", Asks: "organizations org-1, org-2"},
		{Name: "recent", Asks: "max_age 10m"},
		{Name: "strict", Asks: "factors password, webAuthN"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A JWT is judged as it is verified, by an issuer or by the session that it names.
func TestJudge_JWTs(t *testing.T) {
	for _, with := range []string{"", ", session: required"} {
		f := newJWTFixture(t, with)
		stored := with != ""
		if stored {
			f.put("kc:s1=kc:alice")
		}
		good := f.token(nil)
		v := f.agrees(good)
		if !v.Passes || v.By != "jwt" || v.UserID == "" || (v.Session != nil) != stored || v.Expires == "" {
			t.Errorf("%+v", v)
		}
		f.agrees(good) // it is known now
		now := f.now().Std().Unix()
		for _, changes := range []map[string]any{
			{"exp": now - 3600}, {"aud": "other"}, {"auth_time": now + 3600}, {"sid": "s2"}, {"sub": "bob"}, {"amr": nil}, {"auth_time": nil}, {"org": strings.Repeat("ß", 200)}, {"org": nil}, {"iss": "https://nobody.example"},
		} {
			f.agrees(f.token(changes))
		}
		f.agrees(good + "x")
		if _, token := f.login(aliceVerified); f.agrees(token).By != "session_token" {
			t.Error("a session token is taken for something else")
		}
		loggedOut(t, f.sendLogout(f.logoutToken(f.issuer, map[string]any{"sid": "s1"})))
		if v := f.agrees(good); v.Reason != "revoked" || v.By != "jwt" {
			t.Errorf("%+v", v)
		}
	}
	// An issuer that cannot be asked about a key says nothing about its token. (I2)
	f := newJWTFixture(t, "")
	f.good(f.token(nil)) // its keys are known
	f.issuer.Stop()
	f.issuer.Rotate(oidctest.NewKey(t, "RS256"))
	token := f.token(nil)
	f.verifies(token, http.StatusServiceUnavailable, "issuer_unavailable")
	if got := f.answers(http.StatusServiceUnavailable, f.server.ForConsole(t.Context()).Judge, "admin", "", `{"token":"`+token+`"}`); !strings.Contains(got, "the issuer of the token is unavailable") {
		t.Error(got)
	}
}

// Where the sessions live in a ZITADEL it is asked, or a copy is, as by verify.
func TestJudge_Upstream(t *testing.T) {
	f := newUpstreamFixture(t)
	id, token := f.create()
	if v := f.agrees(id + ":" + token); !v.Passes || v.By != "pair" {
		t.Errorf("%+v", v)
	}
	if v := f.agrees(token); !v.Passes || v.By != "session_token" {
		t.Errorf("%+v", v)
	}
	f.agrees(id + ":" + token + "x")
	f.agrees(f.zitadel.NewID() + ":" + token)
	there, _ := f.zitadel.CreateSession(zitadeltest.Session{UserID: f.user.ID, Password: true})
	if v := f.verdict("id", there); !v.Passes || v.By != "id" { // which was never seen here
		t.Errorf("%+v", v)
	}
	f.zitadel.Terminate(id)
	f.agrees(id + ":" + token)
	f.advance(upstreamMaxAge)
	f.agrees(id + ":" + token)
	if v := f.verdict("id", id); v.Reason != "not_found" {
		t.Errorf("%+v", v)
	}
	id, token = f.create()
	f.advance(time.Hour)
	if v := f.agrees(id + ":" + token); v.Reason != "expired" {
		t.Errorf("%+v", v)
	}
	if v := f.verdict("id", id); v.Reason != "expired" {
		t.Errorf("%+v", v)
	}
}

// Where verify accepts no session tokens, the verdict says so of a session and of its token, and names the setting.
func TestJudge_TokensThatAreNotAccepted(t *testing.T) {
	f := newFixture(t, withJudged("", func(s *setup) { s.config.Verify.Accepts = verify.AcceptJWTs }))
	id, token := f.login(aliceVerified)
	byID, byToken := f.verdict("id", id), f.agrees(token)
	f.fitsTogether(&byID)
	for _, v := range []verify.Verdict{byID, byToken} {
		if v.Passes || v.Status != 401 || v.Reason != byToken.Reason ||
			!slices.Contains(v.Checks, verify.Check{Name: "accepted", Says: "verify does not accept session tokens here: --verify-accept is jwt"}) {
			t.Errorf("got %+v", v)
		}
	}
	if byID.SessionID != session.ID(id) {
		t.Errorf("the session is not shown: %+v", byID)
	}
}

// A session that cannot be looked up is never "not found": the answer is 503. (I2)
func TestI2_JudgeStoreAway(t *testing.T) {
	f := newFixture(t, withJudged(""))
	id, token := f.login(aliceVerified)
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	console := f.server.ForConsole(t.Context())
	for _, body := range []string{`{"id":"` + id + `"}`, `{"id":"none"}`, `{"token":"` + token + `"}`, `{"token":"` + id + ":" + token + `"}`, `{"token":"nobodys"}`} {
		if got := f.answers(http.StatusServiceUnavailable, console.Judge, "admin", "", body); got != `{"code":14,"message":"the session store is unavailable"}` {
			t.Errorf("%s: got %s", body, got)
		}
	}
	f.answers(http.StatusOK, console.Judge, "admin", "", `{"token":"a b"}`) // nobody has to be asked
	f.proxy.Refuse(false)
}

// While Redis is away and sessions pass by what was last known, the verdict says so.
func TestJudge_StaleIfError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, withJudged(""), inEarnest, withNear, func(s *setup) {
		s.store.StaleIfError, s.store.NearStaleness = time.Hour, 500*time.Millisecond
	})
	requests := nearRequests(f)
	_, token := f.login(aliceVerified)
	startNear(f, requests["Search"])
	for hits := f.store.NearStats().Sessions.Hits; f.store.NearStats().Sessions.Hits == hits; {
		f.want(200, token, "GET", "/verify", "")
	}
	f.proxy.Stall(true)
	defer f.proxy.Stall(false)
	for f.want(200, token, "GET", "/verify", "").header.Get("X-Session-Stale") == "" {
	}
	v := f.verdict("token", token)
	if f.fitsTogether(&v); !v.Passes || v.Reason != "stale" || !strings.Contains(v.Checks[0].Says, "a copy lets pass that was right") {
		t.Errorf("%+v", v)
	}
}

// A key of an organization is not told for which others a policy is.
func TestJudge_HidesOrganizations(t *testing.T) {
	f := newFixture(t, withJudged(""))
	id, _ := f.login(aliceVerified)
	console := f.server.ForConsole(t.Context())
	body := `{"id":"` + id + `"}`
	const named, hidden = `"name":"organizations","passes":true,"asks":"org-1`, `"name":"organizations","passes":true,"asks":"some organizations"`
	if got := f.answers(http.StatusOK, console.Judge, "reader", "", body); !strings.Contains(got, named) || strings.Contains(got, hidden) {
		t.Errorf("a key that sees all sessions is told %s", got)
	}
	if got := f.answers(http.StatusOK, console.Judge, "org", "", body); strings.Contains(got, named) || !strings.Contains(got, hidden) {
		t.Errorf("a key of an organization is told %s", got)
	}
}

// A caller that may not read a session learns nothing about it: not whether a token is good, nor whether there is such a session.
func TestJudge_Permissions(t *testing.T) {
	f := newFixture(t, withJudged(""))
	one, oneToken := f.login(aliceVerified)
	two, twoToken := f.login(`"user":{"id":"bob","organizationId":"org-2"},"password":{}`)
	gone, goneToken := f.login(aliceVerified)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+gone, "")
	console := f.server.ForConsole(t.Context())
	for _, k := range testKeys {
		for id, token := range map[string]string{one: oneToken, two: twoToken, gone: goneToken, "none": "nobodys", "a b": "a b"} {
			want := f.do(k.Name, "GET", "/v2/sessions/"+url.PathEscape(id), "").status
			if want == http.StatusNotFound {
				want = http.StatusForbidden
				if k.Name == "admin" || k.Name == "reader" {
					want = http.StatusOK
				}
			}
			for _, body := range []string{`{"id":"` + id + `"}`, `{"token":"` + token + `"}`} {
				got := f.answers(want, console.Judge, k.Name, "", body)
				if want == http.StatusForbidden && got != `{"code":7,"message":"nothing was found that this key may see; only a key with session.read for the whole instance is told why"}` {
					t.Errorf("%s, %s: %s", k.Name, body, got)
				}
			}
		}
	}
	for _, body := range []string{``, `{}`, `{"id":"a","token":"b"}`, `{"id":""}`, `{"token":""}`, `{"token":7}`, `{"id":"a","id":"a"}`, `[`, `{"token":"hunter2`, `{"token":"hunter2"`, `{"token":["hunter2"]}`} {
		if got := f.answers(http.StatusBadRequest, console.Judge, "admin", "", body); !strings.Contains(got, `"code":3`) || strings.Contains(got, "hunter2") { // I6
			t.Errorf("%s: %s", body, got)
		}
	}
	if r := f.do("admin", "POST", "/console/api/judge", `{"id":"`+one+`"}`); r.status != http.StatusNotFound {
		t.Errorf("the API listener answers %d %s", r.status, r.body)
	}
}

// A token that is judged is neither logged nor counted as a verify, nor taken for one that is being guessed. (I6)
func TestI6_JudgeLogsAndCountsNothing(t *testing.T) {
	registry := prometheus.NewRegistry()
	f := newFixture(t, withJudged("lax"), func(s *setup) { s.config.Metrics = registry })
	id, token := f.login(aliceVerified)
	f.want(http.StatusOK, "admin", "DELETE", "/v2/sessions/"+id, "")
	before, logged := observed.Counts(t, registry), f.logs.String()
	for _, token := range []string{token, "hunter2", "hunter2 hunter2", "ck_hunter2"} {
		f.verdict("token", token)
	}
	f.verdict("id", "hunter2")
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	f.answers(http.StatusServiceUnavailable, f.server.ForConsole(t.Context()).Judge, "admin", "", `{"token":"hunter2"}`)
	f.proxy.Refuse(false)
	if logs := strings.TrimPrefix(f.logs.String(), logged); strings.Contains(logs, "hunter2") || strings.Contains(logs, token) || strings.Contains(logs, "call=Verify") || strings.Contains(logs, "credential refused") {
		t.Errorf("logged:\n%s", logs)
	}
	after := observed.Counts(t, registry)
	for name, n := range after {
		if strings.Contains(name, "verify") && n != before[name] {
			t.Errorf("%s was %v, and is %v", name, before[name], n)
		}
	}
	if got := after["cloakroom_http_requests_total 200 console POST /console/api/judge"]; got != 5 {
		t.Errorf("%v calls are counted", got)
	}
}
