package httpapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/httpapi/verify"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/cloakroom-dev/cloakroom/internal/zitadeltest"
	"github.com/redis/go-redis/v9"
)

// upstreamWorld is three processes at one Redis before a ZITADEL, and what a test knows of its sessions.
type upstreamWorld struct {
	*upstreamFixture
	r         *rand.Rand
	processes []*fixture
	users     []string
	known     []upstreamSession
	held      []*heldAnswer
	waiting   sync.WaitGroup
}

// upstreamSession is one that was made; with each token that it had, the last one first.
type upstreamSession struct {
	id     string
	tokens []string
	gone   bool // it was deleted through us
	// sure says that it was written through us, and that nothing has been done to it elsewhere since: all processes say what
	// ZITADEL says.
	sure bool
}

// heldAnswer is a Get whose question ZITADEL has decided, and not answered yet.
type heldAnswer struct {
	h    *zitadeltest.Hold
	id   string
	done chan struct{}
}

// Whatever is done through three processes or at ZITADEL itself, in whatever order answers come: what was written through
// us is so at once, everywhere; a session that was deleted through us, or a token that was replaced, is never let in again; and
// after a quiet max age every process says what ZITADEL says.
func TestI3_UpstreamAsTheModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("CLOAKROOM_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("CLOAKROOM_TEST_SEED=%d", seed)
	steps, _ := strconv.Atoi(testdepth.Of("200", "100"))
	w := &upstreamWorld{upstreamFixture: newUpstreamFixture(t), r: rand.New(rand.NewPCG(seed, 1))}
	w.processes = []*fixture{w.fixture, w.another(0), w.another(1 << 20)}
	for range 4 {
		u := zitadeltest.User{ID: w.zitadel.NewID(), Password: "Password1!"}
		w.zitadel.AddUser(u)
		w.users = append(w.users, u.ID)
	}
	for range steps {
		w.step()
		if t.Failed() {
			t.FailNow()
		}
	}
	w.release(0)
	w.waiting.Wait()
	w.quiet()
}

// another is another process on the same Redis, with a near cache if that is to have bytes.
func (w *upstreamWorld) another(nearBytes int) *fixture {
	f := w.fixture
	g := &fixture{t: f.t, logs: f.logs, secret: f.secret, redis: f.redis, proxy: f.proxy}
	var err error
	if g.store, err = cache.Open(f.t.Context(), cache.Config{
		Redis: f.redis.Client(f.t, func(o *redis.Options) { o.DialerRetries = 1 }), Clock: f.now, Logger: f.server.log, NearBytes: nearBytes,
		Upstream: &cache.Upstream{Ask: f.server.config.Upstream.Session, Timeout: 5 * time.Second, MaxAge: upstreamMaxAge, MaxBytes: 16 << 10},
	}); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = g.store.Close() })
	if nearBytes > 0 {
		g.runStore()
		eventually.Holds(f.t, "the near cache is used", func() bool { return g.store.NearStats().ProofAge >= 0 })
	}
	if g.server, err = New(Config{
		Store: g.store, Logger: f.server.log, Upstream: f.server.config.Upstream, UpstreamTimeout: 5 * time.Second,
		Verify: verify.Config{Accepts: verify.AcceptPairs, UpstreamTimeout: 5 * time.Second},
	}); err != nil {
		f.t.Fatal(err)
	}
	g.server.Callers.SetKeys(f.apiKeys)
	g.serve()
	return g
}

func (w *upstreamWorld) process() *fixture { return w.processes[w.r.IntN(len(w.processes))] }

func (w *upstreamWorld) step() {
	w.advance(time.Duration(w.r.IntN(2000)) * time.Millisecond)
	if len(w.known) == 0 || w.r.IntN(8) == 0 && len(w.known) < 40 {
		w.made(w.process().create2(w.zitadel.Login.Token, w.users[w.r.IntN(len(w.users))]))
		return
	}
	s := &w.known[w.r.IntN(len(w.known))]
	switch w.r.IntN(12) {
	case 0, 1: // through us
		if s.gone {
			return
		}
		switch w.r.IntN(4) {
		case 0: // the new version is not read at once
			w.zitadel.Fail("GetSession", 1, zitadeltest.Failure{})
		case 1: // nor is it known that there is one
			w.zitadel.Fail("SetSession", 1, zitadeltest.Failure{Late: true})
		}
		r := w.process().do(w.zitadel.Login.Token, "PATCH", "/v2/sessions/"+s.id, fmt.Sprintf(`{"metadata":{"k":"%04d"}}`, w.r.IntN(10000)))
		if r.status == http.StatusOK {
			_, token := w.written(r)
			s.tokens = append([]string{token}, s.tokens...)
		}
		unknown := r.status >= http.StatusInternalServerError
		if unknown {
			s.tokens = append([]string{"unknown"}, s.tokens...) // those that are known may have been replaced
		}
		w.zitadel.Recover()
		s.sure = s.sure || unknown || r.status == http.StatusOK
		w.check(s)
	case 2:
		if w.r.IntN(2) == 0 {
			w.revoked(s)
			return
		}
		if r := w.process().do(w.zitadel.Login.Token, "DELETE", "/v2/sessions/"+s.id, ""); r.status == http.StatusOK {
			s.gone, s.sure = true, true
			w.check(s)
		}
	case 3: // at ZITADEL
		w.zitadel.Terminate(s.id)
		s.sure = false
	case 4:
		w.zitadel.SetMetadata(s.id, "k", strconv.Itoa(w.r.IntN(1000)))
		s.sure = false
	case 5:
		switch user := w.users[w.r.IntN(len(w.users))]; w.r.IntN(6) {
		case 0:
			w.zitadel.Lock(user)
		case 1:
			w.zitadel.Unlock(user)
		case 2:
			w.zitadel.ChangePassword(user, "Password1!")
		}
		for i := range w.known {
			w.known[i].sure = false
		}
	case 6: // a slow old answer
		if len(w.held) < 4 {
			w.hold(s.id)
		} else {
			w.release(len(w.held) - 1)
		}
	case 7:
		if w.r.IntN(4) == 0 {
			w.advance(upstreamMaxAge)
		}
	case 8:
		if w.r.IntN(10) == 0 {
			w.quiet()
		}
	default:
		w.check(s)
	}
}

// revoked revokes a session through a process: by what ZITADEL says of it, or by what it lists.
func (w *upstreamWorld) revoked(s *upstreamSession) {
	w.t.Helper()
	queries := `{"idsQuery":{"ids":["` + s.id + `"]}}`
	if w.r.IntN(2) == 0 {
		queries += `,{"creatorQuery":{"id":"` + w.zitadel.Login.UserID + `"}}`
	}
	if w.r.IntN(3) == 0 { // it is not known at first whether it has happened
		w.zitadel.Fail("DeleteSession", 1, zitadeltest.Failure{Late: w.r.IntN(2) == 0})
	}
	r := w.process().want(http.StatusOK, "admin", "POST", "/v2/sessions/revoke", `{"queries":[`+queries+`]}`)
	w.zitadel.Recover()
	if r.body == `{"revoked":"0"}` { // ZITADEL does not show it
		return
	}
	s.gone, s.sure = true, true
	w.check(s)
}

// create2 makes a session of a user.
func (f *fixture) create2(as, user string) (reply, string) {
	return f.do(as, "POST", "/v2/sessions", `{"checks":{"user":{"userId":"`+user+`"},"password":{"password":"Password1!"}}}`), user
}

func (w *upstreamWorld) made(r reply, user string) {
	if r.status != http.StatusCreated {
		return // the user is locked
	}
	id, token := w.written(r)
	w.known = append(w.known, upstreamSession{id: id, tokens: []string{token}, sure: true})
	w.check(&w.known[len(w.known)-1])
}

// check asks every process for a session. The one with a near cache has until the bound to know.
func (w *upstreamWorld) check(s *upstreamSession) {
	w.t.Helper()
	if w.waits(s.id) {
		return
	}
	for i, p := range w.processes {
		fault := w.fault(p, s)
		if fault != "" && i == nearProcess {
			eventually.Within(5*time.Second, func() bool { fault = w.fault(p, s); return fault == "" })
		}
		if fault != "" {
			w.t.Errorf("process %d: %s", i, fault)
		}
	}
}

// nearProcess is the process with a near cache.
const nearProcess = 2

// fault says what is wrong with what a process says of a session, "" if nothing is.
func (w *upstreamWorld) fault(p *fixture, s *upstreamSession) string {
	truth := w.zitadel.See(w.zitadel.Login.Token, s.id, "")
	r := p.do("admin", "GET", "/v2/sessions/"+s.id, "")
	switch {
	case r.status != http.StatusOK && r.status != http.StatusNotFound:
		return fmt.Sprintf("%d %s", r.status, r.body)
	case s.gone && r.status == http.StatusOK:
		return "it shows session " + s.id + ", which was deleted through us"
	case s.sure && r.status != truth.Status:
		return fmt.Sprintf("%d %s, and ZITADEL says %d", r.status, r.body, truth.Status)
	case s.sure && r.status == http.StatusOK && !w.same(r, truth):
		return fmt.Sprintf("%s, and ZITADEL says %v", r.body, truth.Session)
	}
	for k, token := range s.tokens[:min(len(s.tokens), 3)] {
		v := p.do("", "GET", "/verify", "", "Authorization", "Bearer "+s.id+":"+token)
		good := v.status == http.StatusOK
		if good && (k > 0 || s.gone) {
			return fmt.Sprintf("it lets in by token %d of session %s", k, s.id)
		}
		if s.sure && k == 0 && good != (w.zitadel.See(w.zitadel.Login.Token, s.id, token).Status == http.StatusOK && hasFactor(truth)) {
			return fmt.Sprintf("verify is %d %s", v.status, v.body)
		}
	}
	return ""
}

func hasFactor(s zitadeltest.Seen) bool { return s.Session.GetFactors().GetPassword() != nil }

// same says whether an answer is what ZITADEL says.
func (w *upstreamWorld) same(r reply, truth zitadeltest.Seen) bool {
	w.t.Helper()
	var got struct {
		Session struct {
			Sequence string
			Metadata map[string]string
			Factors  struct{ Password *struct{} }
		}
	}
	if err := json.Unmarshal([]byte(r.body), &got); err != nil {
		w.t.Fatal(err)
	}
	want := truth.Session
	metadata := map[string]string{}
	for k, v := range want.GetMetadata() {
		text, _ := json.Marshal(v)
		_ = json.Unmarshal(text, new(string))
		metadata[k] = string(text[1 : len(text)-1])
	}
	return got.Session.Sequence == strconv.FormatUint(want.GetSequence(), 10) && fmt.Sprint(got.Session.Metadata) == fmt.Sprint(metadata) &&
		(got.Session.Factors.Password != nil) == hasFactor(truth)
}

// hold has a process ask about a session, whose answer ZITADEL decides now and gives later.
func (w *upstreamWorld) hold(id string) {
	p := w.process()
	if w.waits(id) {
		return
	}
	var once sync.Once
	taken := make(chan struct{})
	h := w.zitadel.HoldIf(func(c zitadeltest.Call) (first bool) {
		if c.Name == "GetSession" && c.SessionID == id {
			once.Do(func() { first = true; close(taken) })
		}
		return first
	})
	a := &heldAnswer{h, id, make(chan struct{})}
	w.waiting.Go(func() {
		defer close(a.done)
		_ = p.do("admin", "GET", "/v2/sessions/"+id, "")
	})
	select {
	case <-a.done: // a copy has answered
		h.Release()
	case <-taken:
		w.held = append(w.held, a)
	}
}

// waits says whether a process waits for an answer about a session that is held: who asks the same there would
// wait, too.
func (w *upstreamWorld) waits(id string) bool {
	return slices.ContainsFunc(w.held, func(a *heldAnswer) bool { return a.id == id })
}

// release gives the answers that are held from one on.
func (w *upstreamWorld) release(from int) {
	late := w.held[from:]
	for _, a := range late {
		a.h.Release()
		<-a.done
	}
	w.held = w.held[:from]
	for i := range w.known {
		if slices.ContainsFunc(late, func(a *heldAnswer) bool { return a.id == w.known[i].id }) {
			w.check(&w.known[i])
		}
	}
}

// quiet waits for a max age, after which all say what ZITADEL says.
func (w *upstreamWorld) quiet() {
	w.t.Helper()
	w.release(0)
	w.advance(upstreamMaxAge)
	for i := range w.known {
		w.known[i].sure = true
		w.check(&w.known[i])
	}
}
