package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// begins begins a revocation, and returns its ID.
func (b *browser) begins(body string) string {
	b.t.Helper()
	r := b.want(202, "POST", "revocations", body)
	return decoded[struct{ ID string }](b.t, r).ID
}

// state is that of a revocation.
func (b *browser) state(id string) jobState {
	b.t.Helper()
	return decoded[jobState](b.t, b.want(200, "GET", "revocations/"+id, ""))
}

// revokes waits for the end of a revocation.
func (b *browser) revokes(body string) (s jobState) {
	b.t.Helper()
	id := b.begins(body)
	eventually.Holds(b.t, "the revocation ends", func() bool {
		s = b.state(id)
		return s.State != "running"
	})
	return s
}

// A page chooses the ID, so that it finds out what became of a request whose answer was lost.
func TestRevocations_AreFoundByTheIDThatThePageChose(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	f.logIn("alice", "org-1")
	const id = "00112233445566778899aabbccddeeff"
	b.want(404, "GET", "revocations/"+id, "")
	b.want(200, "POST", "revocations", `{"all":true,"dryRun":true}`, "X-Revocation", id)
	b.want(404, "GET", "revocations/"+id, "")
	if r := b.want(202, "POST", "revocations", `{"all":true}`, "X-Revocation", id); r.body != `{"id":"`+id+`"}` {
		t.Errorf("got %s", r.body)
	}
	eventually.Holds(t, "the revocation ends", func() bool { return b.state(id).State == "done" })
	f.logIn("alice", "org-1")
	b.want(409, "POST", "revocations", `{"all":true}`, "X-Revocation", id)
	if s := b.revokes(`{"all":true}`); s.Revoked != "1" || s.ID == id {
		t.Errorf("after one that was refused because of its ID: %+v", s)
	}
	for _, bad := range []string{"1", id + "00", strings.ToUpper(id), strings.Repeat("g", 32), "../" + id[3:]} {
		if r := b.want(400, "POST", "revocations", `{"all":true}`, "X-Revocation", bad); !strings.Contains(r.body, "32 hexadecimal digits") {
			t.Errorf("%s: got %s", bad, r.body)
		}
	}
	const twice = "ffeeddccbbaa99887766554433221100"
	statuses := make(chan int, 8)
	for range cap(statuses) {
		go func() { statuses <- b.do("POST", "revocations", `{"all":true}`, "X-Revocation", twice).status }()
	}
	var begun, refused int
	for range cap(statuses) {
		switch <-statuses {
		case 202:
			begun++
		case 409:
			refused++
		}
	}
	if begun != 1 || refused != cap(statuses)-1 {
		t.Errorf("of %d requests with one ID %d have begun it, and %d were refused", cap(statuses), begun, refused)
	}
	eventually.Holds(t, "that revocation ends", func() bool { return b.state(twice).State == "done" })
	b.want(400, "POST", "revocations", `{"queries":7}`, "X-Revocation", strings.Repeat("0", 32)) // refused by the API,
	b.want(202, "POST", "revocations", `{"all":true}`, "X-Revocation", strings.Repeat("0", 32))  // so it may begin
	other := f.signIn("second")
	other.want(404, "GET", "revocations/"+id, "")
	other.want(202, "POST", "revocations", `{"all":true}`, "X-Revocation", id) // each key has its own
}

func TestRevocations_TellWhatBecameOfThem(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	one, _ := f.logIn("alice", "org-1")
	for range 3 {
		f.logIn("bob", "org-1")
	}
	f.logIn("carol", "org-1")
	s := b.revokes(`{"queries":[{"idsQuery":{"ids":["` + one + `"]}}]}`)
	if s.State != "done" || s.Status != 200 || s.Revoked != "1" || string(s.Answer) != `{"revoked":"1"}` || s.EndedAt == nil || s.EndedAt.Before(s.StartedAt) {
		t.Errorf("got %+v", s)
	}
	if r := b.want(200, "POST", "revocations", `{"queries":[{"userIdQuery":{"id":"bob"}}],"dryRun":true}`); r.body != `{"revoked":"3"}` {
		t.Errorf("got %s", r.body)
	}
	if s := b.revokes(`{"queries":[{"userIdQuery":{"id":"bob"}}]}`); s.Revoked != "3" {
		t.Errorf("got %+v", s)
	}
	if s := b.revokes(`{"all":true}`); s.Revoked != "1" {
		t.Errorf("got %+v", s)
	}
	all := decoded[struct{ Revocations []jobState }](t, b.want(200, "GET", "revocations", "")).Revocations
	if len(all) != 3 || all[2].Revoked != "1" {
		t.Errorf("got %+v", all)
	}
	b.want(400, "POST", "revocations", `{"dryRun":"no"}`)
	b.want(400, "POST", "revocations", `{`)
	b.want(404, "GET", "revocations/none", "")
}

// A request that the API refuses is refused at once, with the API's answer, and begins no revocation.
func TestRevocations_WhatIsRefusedNeverBegins(t *testing.T) {
	f := newFixture(t)
	keys := slices.Clone(testKeys)
	keys[1].Rate = &caller.KeyRate{PerSecond: 0.001, Burst: 1}
	f.setKeys(keys...)
	b := f.signIn("admin")
	for _, body := range []string{`{}`, `{"query":[]}`, `{"queries":[{"userIdQuery":{"id":"alice","misspelt":1}}]}`, `{"all":true,"queries":[{"userIdQuery":{"id":"alice"}}]}`} {
		if r := b.want(400, "POST", "revocations", body); !strings.Contains(r.body, `"code":3`) {
			t.Errorf("%s: got %s", body, r.body)
		}
	}
	second := f.signIn("second")
	second.want(200, "POST", "search", `{}`)
	if r := second.want(429, "POST", "revocations", `{"all":true}`); r.header.Get("Retry-After") == "" {
		t.Errorf("got %v", r.header)
	}
	for _, b := range []*browser{b, second} {
		if r := b.want(200, "GET", "revocations", ""); r.body != `{"revocations":[]}` {
			t.Errorf("got %s", r.body)
		}
	}
}

// stalled begins a revocation that waits for Redis.
func (b *browser) stalled() string {
	b.t.Helper()
	for range 3 {
		b.logIn("alice", "org-1")
	}
	b.proxy.Stall(true)
	return b.begins(`{"queries":[{"userIdQuery":{"id":"alice"}}]}`)
}

// A page that is closed loses nothing: whoever opens another one with the same key sees how far it is.
func TestRevocations_BelongToTheirKeyAndGoOn(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	id := b.stalled()
	b.client.CloseIdleConnections()
	b.want(204, "POST", "sign-out", `{}`)
	again, other := f.signIn("admin"), f.signIn("second")
	if s := again.state(id); s.State != "running" || s.EndedAt != nil || s.Status != 0 || string(s.Answer) != "null" {
		t.Errorf("got %+v %s", s, s.Answer)
	}
	other.want(404, "GET", "revocations/"+id, "")
	if r := other.want(200, "GET", "revocations", ""); r.body != `{"revocations":[]}` {
		t.Errorf("another key sees %s", r.body)
	}
	for range 3 { // the API allows four
		other.begins(`{"queries":[{"userIdQuery":{"id":"bob"}}]}`)
	}
	other.want(429, "POST", "revocations", `{"all":true}`)
	f.proxy.Stall(false)
	eventually.Holds(t, "the revocation ends", func() bool { return again.state(id).State != "running" })
	if s := again.state(id); s.State != "done" || s.Revoked != "3" {
		t.Errorf("got %+v %s", s, s.Answer)
	}
	if s := other.revokes(`{"queries":[{"userIdQuery":{"id":"carol"}}]}`); s.State != "done" {
		t.Errorf("no place is free again: %+v", s)
	}
}

// When the program ends, a revocation says how far it came, and is waited for. (I7)
func TestI7_RevocationsEndWithTheConsole(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	id := b.stalled()
	_, hash := f.api.Callers.ByKey([]byte(f.secret["admin"]))
	f.stop()
	s, found := f.console.jobs.find(jobName{hash, id}) // at once: it has ended
	if !found || s.State != "failed" || s.Status != http.StatusServiceUnavailable || !strings.Contains(string(s.Answer), "the server ends; 0 sessions were revoked; to send the request again is to go on") {
		t.Errorf("got %+v %s", s, s.Answer)
	}
	b.want(503, "GET", "revocations/"+id, "")
}

// Calls that do not end by themselves are cut off when the drain is over, and Run returns. (I7)
func TestI7_WhatOutlastsTheDrainIsCutOff(t *testing.T) {
	f := newUnready(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.console.Run(ctx, f.api, time.Millisecond) }()
	var on *attached
	eventually.Holds(t, "the console runs", func() bool {
		f.console.mu.Lock()
		defer f.console.mu.Unlock()
		on = f.console.on
		return on != nil
	})
	on.under.Go(func() { <-on.base.Done() })
	if on.base.Err() != nil {
		t.Error("it is cut off before the end")
	}
	cancel()
	eventually.Holds(t, "Run ends", func() bool { return len(ended) > 0 })
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// While Redis is away a revocation waits, and then gives up with its count.
func TestRevocations_FailWithTheirCount(t *testing.T) {
	f := newFixture(t)
	b := f.signIn("admin")
	for range 2000 {
		f.logIn("alice", "org-1")
	}
	f.proxy.Delay(2 * time.Millisecond) // so that it is seen under way
	id := b.begins(`{"all":true}`)
	eventually.Holds(t, "some are revoked", func() bool { return b.state(id).Revoked != "0" })
	f.proxy.Refuse(true)
	f.proxy.CutAll()
	var s jobState
	eventually.Holds(t, "the revocation ends", func() bool {
		s = b.state(id)
		return s.State != "running"
	})
	if s.State != "failed" || s.Status != http.StatusServiceUnavailable || !strings.Contains(string(s.Answer), fmt.Sprintf("; %s sessions were revoked;", s.Revoked)) {
		t.Errorf("got %+v %s", s, s.Answer)
	}
	f.proxy.Refuse(false)
	eventually.Holds(t, "Redis is back", func() bool { return b.do("POST", "search", `{}`).status == 200 })
	left := decoded[found](t, b.want(200, "POST", "search", `{"query":{"limit":1}}`)).Details.TotalResult
	rest := b.revokes(`{"all":true}`)
	if rest.State != "done" || rest.Revoked != left {
		t.Errorf("%s are left, and then %s were revoked", left, rest.Revoked)
	}
}

func TestJobs_AreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all jobs
		run := func(n int) *job {
			<-time.After(time.Millisecond)
			return all.begin(jobName{keyOf(n), newID()})
		}
		running := run(1)
		first := run(1)
		all.end(first, 200, nil)
		for range maxJobsOfKey {
			all.end(run(1), 200, nil)
		}
		of := all.list(keyOf(1))
		if len(of) != maxJobsOfKey || of[maxJobsOfKey-1].ID != running.id {
			t.Errorf("got %d, the oldest %+v", len(of), of[len(of)-1])
		}
		if _, found := all.find(jobName{keyOf(1), first.id}); found {
			t.Error("the first that ended is known")
		}
		for n := 2; len(all.all) < maxJobs; n++ {
			all.end(run(n), 200, nil)
		}
		all.end(run(maxJobs), 503, nil)
		if len(all.all) != maxJobs {
			t.Errorf("got %d", len(all.all))
		}
		<-time.After(kept)
		if of := all.list(keyOf(1)); len(of) != 1 || of[0].State != "running" || len(all.all) != 1 {
			t.Errorf("got %+v, %d in all", of, len(all.all))
		}
	})
}
