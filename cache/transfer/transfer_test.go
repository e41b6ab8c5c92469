package transfer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Export and import copy a store into one with any number of shards: each session with its document, creator, token hash
// and TTL, each deletion and each end. A second import writes nothing.
func TestMove_GivesAnEqualStore(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	for n, shards := range [][2]int{{1, 1}, {1, 4}, {4, 1}, {2, 128}} {
		a, b := open(t, rdb, fmt.Sprintf("a%d:", n), shards[0]), open(t, rdb, fmt.Sprintf("b%d:", n), shards[1])
		a.fill(t, uint64(n), 700)
		exported, lines := a.export(t)
		if got := uint64(strings.Count(lines, "\n")); got != exported.Sessions+exported.Deletions+exported.Ends+2 {
			t.Errorf("%d lines, and %+v", got, exported)
		}
		done := b.take(t, lines)
		if done.Stored != exported.Sessions || done.DeletionsApplied+done.DeletionsKnown != exported.Deletions || done.EndsApplied != exported.Ends || done.Lines != uint64(strings.Count(lines, "\n")) {
			t.Errorf("exported %+v, imported %+v", exported, done)
		}
		same(t, a, b)
		before := fmt.Sprint(b.versions(t))
		again := b.take(t, lines)
		if again.Unchanged != exported.Sessions || again.DeletionsKnown != exported.Deletions || again.EndsKnown != exported.Ends || again.Stored+again.DeletionsApplied+again.EndsApplied > 0 {
			t.Errorf("exported %+v, imported again %+v", exported, again)
		}
		if after := fmt.Sprint(b.versions(t)); after != before {
			t.Error("what was there was written again")
		}
	}
}

// versions returns the names of the stored versions.
func (s *store) versions(t testing.TB) (all []string) {
	t.Helper()
	for name := range s.has(t) {
		if id, ok := strings.CutPrefix(name, "session "); ok {
			all = append(all, id+s.rdb.HGet(t.Context(), s.keys.Session(session.ID(id)), "v").Val())
		}
	}
	slices.Sort(all)
	return all
}

// Lines of sessions are what the import API takes; tokens keep their kind.
func TestExport_WritesWhatTheImportAPITakes(t *testing.T) {
	t.Parallel()
	a := open(t, redistest.Start(t).Client(t), "cr:", 1)
	a.fill(t, 1, 100)
	_, lines := a.export(t)
	n := 0
	for line := range strings.Lines(lines) {
		if isSpecial([]byte(line)) {
			continue
		}
		n++
		s, given, err := session.DecodeJSON([]byte(line), false)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		stored, err := a.GetFresh(t.Context(), s.ID)
		if err != nil || string(session.AppendJSON(nil, s)) != string(stored.Doc) || s.Creator != stored.Creator || s.Token != stored.Token || s.TokenForeign != stored.TokenForeign || !given.Sequence {
			t.Errorf("%s: stored %+v, %v", line, stored, err)
		}
	}
	if n < 50 {
		t.Errorf("%d sessions", n)
	}
}

// A session that was deleted before the export, or ends by itself, does not come back; neither does an older version, and
// what was deleted at the other end stays deleted.
func TestImport_BringsNothingBack(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 4)
	now := a.Now()
	it := func(id string, sequence uint64) *session.Session {
		return &session.Session{ID: session.ID(id), CreationDate: now, ChangeDate: now.Add(time.Duration(sequence) * time.Second), Sequence: sequence, ExpirationDate: now.Add(time.Hour), Creator: "c"}
	}
	both := func(id string, here, there uint64) {
		a.put(t, it(id, here))
		b.put(t, it(id, there))
	}
	both("newer-here", 5, 3)
	both("newer-there", 3, 5)
	both("deleted-here", 3, 3)
	a.delete(t, "deleted-here")
	both("deleted-there", 3, 3)
	b.delete(t, "deleted-there")
	// Written on here, while it was deleted there, and the other way round.
	both("deleted-there-meanwhile", 3, 3)
	b.delete(t, "deleted-there-meanwhile")
	a.put(t, it("deleted-there-meanwhile", 9))
	both("deleted-here-meanwhile", 3, 3)
	a.delete(t, "deleted-here-meanwhile")
	b.put(t, it("deleted-here-meanwhile", 9))
	both("again-here", 3, 3)
	a.delete(t, "again-here")
	a.put(t, it("again-here", 8))
	both("again-here-newer-there", 3, 20)
	a.delete(t, "again-here-newer-there")
	a.put(t, it("again-here-newer-there", 8))
	short := it("ends", 3)
	short.ExpirationDate = a.Now().Add(300 * time.Millisecond)
	a.put(t, short)

	_, lines := a.export(t)
	eventually.Holds(t, "end", func() bool { return a.Now() > short.ExpirationDate })
	b.take(t, lines)
	for id, want := range map[session.ID]uint64{
		"newer-here": 5, "newer-there": 5, "deleted-here": 0, "deleted-there": 0, "deleted-there-meanwhile": 0, "deleted-here-meanwhile": 0,
		"again-here": 8, "again-here-newer-there": 20, "ends": 0,
	} {
		stored, err := b.GetFresh(t.Context(), id)
		if got := sequenceOf(stored); got != want || want == 0 && !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: sequence %d, want %d; %v", id, got, want, err)
		}
	}
	b.fits(t)
	// Back again: both have the same then.
	_, lines = b.export(t)
	a.take(t, lines)
	_, lines = a.export(t)
	b.take(t, lines)
	for _, s := range []*store{a, b} {
		if _, err := s.GetFresh(t.Context(), "deleted-there-meanwhile"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: a deletion that the other did not know of did not hold: %v", s.prefix, err)
		}
	}
}

func sequenceOf(s *session.Stored) uint64 {
	if s == nil {
		return 0
	}
	return s.Sequence
}

// A session that has ended for good is not let in again.
func TestImport_KeepsEnds(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 1)
	for _, s := range []*store{a, b} {
		s.SetEndsFor(func(session.ID) (time.Duration, bool) { return time.Hour, true })
	}
	a.put(t, &session.Session{ID: "1", CreationDate: 1, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never})
	b.end(t, session.EndOfSession("1"), session.End{NotAfter: session.Never, Until: b.Now().Add(time.Hour)})
	b.end(t, session.EndOfUser("u"), session.End{NotAfter: b.Now().Add(time.Minute), Until: b.Now().Add(time.Minute)})
	a.end(t, session.EndOfUser("u"), session.End{NotAfter: a.Now(), Until: a.Now().Add(time.Hour)})
	_, lines := a.export(t)
	if done := b.take(t, lines); done.Ended != 1 || done.Stored != 0 || done.EndsApplied != 1 {
		t.Errorf("imported %+v", done)
	}
	text := rdb.Get(t.Context(), b.keys.End("@u")).Val()
	e, err := session.ParseEnd(text)
	if now := b.Now(); err != nil || e.NotAfter < now || e.Until < now.Add(50*time.Minute) {
		t.Errorf("the later instants do not count: %+v, %v", e, err)
	}
}

// Both stores choose the same one of two versions: that with the higher sequence, of equal ones that with the later date.
func TestImport_AgreesOnOneOfTwoVersions(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 1)
	f := func(id session.ID, change func(here, there *session.Session)) {
		t.Helper()
		here := &session.Session{ID: id, CreationDate: 1, ChangeDate: 5, Sequence: 4, ExpirationDate: session.Never, Creator: "c", Token: session.TokenHash{1}}
		there := *here
		change(here, &there)
		a.put(t, here)
		b.put(t, &there)
	}
	f("date", func(_, there *session.Session) {
		there.ChangeDate = 10
		there.Metadata = map[string][]byte{"a": {1}}
	})
	f("sequence", func(here, there *session.Session) { here.Sequence, there.ChangeDate = 5, 10 })
	f("metadata", func(here, _ *session.Session) { here.Metadata = map[string][]byte{"a": {1}} })
	f("creator", func(here, _ *session.Session) { here.Creator = "b" })
	f("token", func(here, _ *session.Session) { here.Token = session.TokenHash{2} })
	f("kind-of-token", func(here, _ *session.Session) { here.TokenForeign = true })
	_, lines := a.export(t)
	b.take(t, lines)
	_, lines = b.export(t)
	a.take(t, lines)
	same(t, a, b)
	if it, err := b.GetFresh(t.Context(), "sequence"); err != nil || it.Sequence != 5 {
		t.Errorf("the higher sequence does not count: %s, %v", it.Doc, err)
	}
	if it, err := a.GetFresh(t.Context(), "date"); err != nil || !strings.Contains(string(it.Doc), "metadata") {
		t.Errorf("the later change date does not count: %s, %v", it.Doc, err)
	}
}

// Import names each line that is damaged, cut off or of another program, and imports all others.
func TestImport_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 1)
	a.fill(t, 1, 40)
	exported, lines := a.export(t)
	all := slices.Collect(strings.Lines(lines))
	n := 0
	f := func(name, text, want string, failed ...string) *Imported {
		t.Helper()
		n++
		b := open(t, rdb, fmt.Sprintf("b%d:", n), 1)
		c := b.importConfig(t, text)
		var got []string
		c.Failed = func(line uint64, err error) { got = append(got, fmt.Sprintf("%d: %v", line, err)) }
		c.MaxSessionBytes = 4096
		done, err := Import(t.Context(), c)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
		if len(got) != len(failed) || int(done.Failed) != len(failed) {
			t.Errorf("%s: failed %d, %q, want %q", name, done.Failed, got, failed)
			return done
		}
		for i := range failed {
			if !strings.HasPrefix(got[i], failed[i]) {
				t.Errorf("%s: failed %q, want %q", name, got, failed)
			}
		}
		b.fits(t)
		return done
	}
	without := func(i int) string { return strings.Join(slices.Delete(slices.Clone(all), i, i+1), "") }
	replaced := func(i int, line string) string {
		it := slices.Clone(all)
		it[i] = line
		return strings.Join(it, "")
	}
	last := len(all) - 1
	if done := f("cut off", lines[:len(lines)/2], "cut off", fmt.Sprintf("%d: ", strings.Count(lines[:len(lines)/2], "\n")+1)); done.Stored == 0 {
		t.Error("nothing of what was cut off is stored")
	}
	f("nothing", "", "cut off")
	f("no trailer", without(last), "its trailer is missing")
	plain := slices.IndexFunc(all, func(l string) bool { return !isSpecial([]byte(l)) })
	f("a line is missing", without(plain), fmt.Sprintf("there are %d sessions", exported.Sessions-1))
	f("no header", without(0), "the first line must be the header")
	f("not ours", "hello\n", "the first line must be the header")
	f("later version", replaced(0, `{"cloakroomExport":{"version":2,"moon":1}}`+"\n"), "has version 2, and this cloakroom reads version 1 only")
	f("two exports", lines+lines, "behind the trailer")
	f("two headers", replaced(last, all[0]), "second header")
	f("unknown kind", replaced(plain, `{"wallet":{}}`+"\n"), "", fmt.Sprintf("%d: ", plain+1))
	f("damaged", replaced(plain, all[plain][:40]+"\n"), "", fmt.Sprintf("%d: ", plain+1))
	f("no sequence", replaced(plain, `{"id":"x","creationDate":"2026-01-01T00:00:00Z","changeDate":"2026-01-01T00:00:00Z"}`+"\n"), "", fmt.Sprintf("%d: a session must have", plain+1))
	f("too large", replaced(plain, `{"id":"x","creationDate":"2026-01-01T00:00:00Z","changeDate":"2026-01-01T00:00:00Z","sequence":"1","metadata":{"a":"`+strings.Repeat("AAAA", 1200)+`"}}`+"\n"),
		"", fmt.Sprintf("%d: invalid session: must have at most 4096 bytes", plain+1))
	f("longer than any line", replaced(plain, strings.Repeat("x", 200_000)+"\n"), "", fmt.Sprintf("%d: it is longer than", plain+1))
	f("deletion", replaced(plain, `{"deletion":{"id":"x","tombstone":"no number","until":"2026-01-01T00:00:00Z"}}`+"\n"), "there are", fmt.Sprintf("%d: invalid deletion.tombstone", plain+1))
	again := slices.IndexFunc(all, func(l string) bool { return strings.Contains(l, `"recreated":true`) })
	if again < 0 {
		t.Fatal("no session was stored again")
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(all[again], `{"deletion":{"id":"`), `"`)
	f("again, and no session", replaced(again+1, "{}\n"), "", fmt.Sprintf("%d: the line of its session", again+1), fmt.Sprintf("%d: ", again+2))
	if _, err := open(t, rdb, fmt.Sprintf("b%d:", n), 1).GetFresh(t.Context(), session.ID(id)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: %v", id, err)
	}
	old := strings.Replace(all[0], `"date":"20`, `"date":"19`, 1)
	f("old", replaced(0, old), "deletions are remembered for 24 h only")
	f("old changes", replaced(0, strings.Replace(old, `"sessions":`, `"follow":true,"sessions":`, 1)), "deletions are remembered for 24 h only")
}

// In front of a ZITADEL sessions are copies: they stay, and deletions and ends move.
func TestMove_InFrontOfAZITADEL(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 1)
	a.put(t, &session.Session{ID: "1", CreationDate: 1, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never, CheckedAt: 5})
	a.put(t, &session.Session{ID: "2", CreationDate: 1, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never, CheckedAt: 5})
	a.delete(t, "2")
	a.end(t, session.EndOfUser("u"), session.End{NotAfter: a.Now(), Until: a.Now().Add(time.Hour)})
	exported, lines := a.export(t)
	if exported.Copies != 1 || exported.Sessions != 0 || exported.Deletions != 1 || exported.Ends != 1 {
		t.Errorf("exported %+v", exported)
	}
	c := b.importConfig(t, lines)
	c.Copies = true
	if done, err := Import(t.Context(), c); err != nil || done.DeletionsApplied != 1 || done.EndsApplied != 1 {
		t.Errorf("imported %+v, %v", done, err)
	}
	a.put(t, &session.Session{ID: "3", CreationDate: 1, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never})
	_, lines = a.export(t)
	c = b.importConfig(t, lines)
	c.Copies = true
	if _, err := Import(t.Context(), c); err == nil || !strings.Contains(err.Error(), "line 2 is a session: with --upstream-url") {
		t.Errorf("got %v", err)
	}
}

// Export names what it cannot read, and leaves it out.
func TestExport_NamesWhatIsUnreadable(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 1)
	for _, id := range []session.ID{"1", "2", "3"} {
		a.put(t, &session.Session{ID: id, CreationDate: 1, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never})
	}
	a.end(t, "bad", session.End{NotAfter: a.Now(), Until: a.Now().Add(time.Hour)})
	for _, err := range []error{
		rdb.HSet(t.Context(), a.keys.Session("1"), "doc", "\xff").Err(), rdb.Del(t.Context(), a.keys.Session("2")).Err(),
		rdb.Set(t.Context(), a.keys.Session("2"), "x", 0).Err(), rdb.Set(t.Context(), a.keys.End("bad"), "x", 0).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var named []string
	done, lines := a.export(t, func(c *ExportConfig) {
		c.Unreadable = func(what string, err error) { named = append(named, what) }
	})
	slices.Sort(named)
	if want := "session 1, session 2, the end of bad"; strings.Join(named, ", ") != want || done.Unreadable != 3 || done.Sessions != 1 || !strings.Contains(lines, `{"id":"3"`) {
		t.Errorf("%q, %+v, want %s", named, done, want)
	}
}

// A session that was stored again after its deletion is exported once, behind it, however long ago that was.
func TestExport_WritesASessionThatWasStoredAgainOnce(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 1)
	for id, ago := range map[session.ID]time.Duration{"now": 0, "before": 10 * time.Minute} {
		a.put(t, &session.Session{ID: id, CreationDate: 1, ChangeDate: 1, Sequence: 9, ExpirationDate: session.Never})
		tombstone := fmt.Sprintf("4 deleted 0011223344556677 %d", a.Now().Add(-ago))
		if err := rdb.Set(t.Context(), a.keys.Tombstone(id), tombstone, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
	}
	done, lines := a.export(t)
	if done.Sessions != 2 || done.Deletions != 2 {
		t.Errorf("exported %+v", done)
	}
	for _, id := range []string{"now", "before"} {
		_, behind, _ := strings.Cut(lines, `{"deletion":{"id":"`+id)
		_, next, _ := strings.Cut(behind, "\n")
		if strings.Count(lines, "\n{\"id\":\""+id) != 1 || !strings.HasPrefix(next, `{"id":"`+id) {
			t.Errorf("%s is not once behind its deletion:\n%s", id, lines)
		}
	}
}

// Export refuses a store that does not exist or has another number of shards, before it reads any session.
func TestExport_RefusesWrongStores(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	open(t, rdb, "a:", 4)
	f := func(prefix string, shards int, want string) {
		t.Helper()
		_, err := Export(t.Context(), ExportConfig{Redis: rdb, Prefix: prefix, Shards: shards, To: new(file)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f("b:", 0, `there is no store under the key prefix "b:"`)
	f("a:", 2, `are spread over 4 shards, not 2`)
	if n := rdb.DBSize(t.Context()).Val(); n != 1 {
		t.Errorf("%d keys", n)
	}
}
