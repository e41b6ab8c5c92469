package cache_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
	"github.com/redis/go-redis/v9"
)

// allScripts returns the text of every script that writes, by its file's name.
func allScripts(t *testing.T) map[string]*redis.Script {
	t.Helper()
	scripts := map[string]*redis.Script{}
	for _, dir := range []string{"lua", "../index/lua", "../index/audit/lua"} {
		files, err := filepath.Glob(dir + "/*.lua")
		if err != nil || len(files) == 0 {
			t.Fatalf("no scripts in %s: %v", dir, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			scripts[strings.TrimSuffix(filepath.Base(file), ".lua")] = redis.NewScript(string(text))
		}
	}
	return scripts
}

// A replica refuses every script before it runs, whatever it would do: by
// EVALSHA and EVAL, alone, in a pipeline and in a transaction.
func TestScripts_AReplicaRefusesThem(t *testing.T) {
	t.Parallel()
	replica := startRedis(t, "replicaof 127.0.0.1 1")
	args := slices.Repeat([]any{""}, 20)
	for name, script := range allScripts(t) {
		if err := script.Load(t.Context(), replica).Err(); err != nil {
			t.Fatal(err)
		}
		pipe, tx := replica.Pipeline(), replica.TxPipeline()
		piped, queued := script.EvalSha(t.Context(), pipe, []string{"k"}, args...), script.EvalSha(t.Context(), tx, []string{"k"}, args...)
		_, _ = pipe.Exec(t.Context())
		_, _ = tx.Exec(t.Context())
		for how, err := range map[string]error{
			"EVAL":            script.Eval(t.Context(), replica, []string{"k"}, args...).Err(),
			"EVALSHA":         script.EvalSha(t.Context(), replica, []string{"k"}, args...).Err(),
			"in a pipeline":   piped.Err(),
			"in transactions": queued.Err(),
		} {
			if !redis.HasErrorPrefix(err, "READONLY") {
				t.Errorf("%s.lua, %s: %v, want READONLY", name, how, err)
			}
		}
	}
}

// A replica may lack a session that its master has, so it must not confirm a deletion or a change.
func TestI2_AReplicaThatLacksTheSession(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		master := openEmpty(t, startRedis(t), shards, storetest.Limits{})
		client := startRedis(t)
		lacking := openConfig(t, master.clock, cache.Config{Redis: client, Shards: shards, Clock: master.clock.Now})
		waiting := openConfig(t, master.clock, cache.Config{Redis: client, Shards: shards, Clock: master.clock.Now, RevokeWaitReplicas: 1, RevokeWaitTimeout: time.Millisecond})
		if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
			t.Fatal(err)
		}
		if err := master.Put(t.Context(), storetest.New("1", master.Now(), ada...), nil); err != nil {
			t.Fatal(err)
		}
		old, err := master.GetFresh(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		for _, loaded := range []bool{true, false} {
			if !loaded {
				if err := client.ScriptFlush(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			_, err = lacking.Delete(t.Context(), old, "revoked")
			isUnavailable(t, "Delete", err)
			_, err = waiting.Delete(t.Context(), old, "revoked")
			isUnavailable(t, "Delete, waiting for replicas", err)
			_, err = lacking.Delete(t.Context(), &session.Stored{Facts: session.Facts{ID: "2", Expiration: session.Never}}, "revoked")
			isUnavailable(t, "Delete of what is not there", err)
			_, err = lacking.ConfirmDeleted(t.Context(), "1")
			isUnavailable(t, "ConfirmDeleted", err)
			_, err = waiting.ConfirmDeleted(t.Context(), "1")
			isUnavailable(t, "ConfirmDeleted, waiting for replicas", err)
			isUnavailable(t, "Put", lacking.Put(t.Context(), storetest.New("1", master.Now(), append(ada, storetest.Sequence(2))...), old))
			isUnavailable(t, "Put, new", lacking.Put(t.Context(), storetest.New("3", master.Now(), ada...), nil))
		}
		if _, err := master.GetFresh(t.Context(), "1"); err != nil {
			t.Errorf("at the master: %v", err)
		}
		// A caller that found nothing on a replica hears of it from the master.
		if _, err := master.ConfirmDeleted(t.Context(), "1"); !errors.Is(err, session.ErrConflict) {
			t.Errorf("ConfirmDeleted of what is there: %v, want ErrConflict", err)
		}
		if _, err := master.ConfirmDeleted(t.Context(), "4"); err != nil {
			t.Errorf("ConfirmDeleted of what is not there: %v", err)
		}
		master.clock.Advance(2 * time.Hour)
		if _, err := master.ConfirmDeleted(t.Context(), "1"); err != nil {
			t.Errorf("ConfirmDeleted of what is due: %v", err)
		}
	})
}

// On a full Redis what ends something goes through, at its first write already;
// what begins something is refused as a whole.
func TestScripts_OnAFullRedis(t *testing.T) {
	t.Parallel()
	client := startRedis(t, "maxmemory-policy noeviction")
	do := func(words ...any) any {
		t.Helper()
		reply, err := client.Do(t.Context(), words...).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatalf("%v: %v", words, err)
		}
		return reply
	}
	do("HSET", "s1", "v", "V")
	do("ZADD", "x", 5, "card2")
	do("HSET", "s4", "v", "V")
	do("HSET", "s6", "v", "V", "doc", "D")
	do("CONFIG", "SET", "maxmemory", "1")
	tests := map[string]struct {
		keys   []string
		args   []any
		result any   // nil: it is refused
		look   []any // a command, afterwards
		want   any
	}{
		"delete":  {[]string{"s1", "d1", "t", "x", "p"}, []any{"V", "id", "card1", "2 revoked", 100000, 5, "dcard1", "", 0}, "ok", []any{"ZSCORE", "p", "dcard1"}, 5.0},
		"outdate": {[]string{"s6", "q"}, []any{"W"}, "ok", []any{"HGET", "s6", "v"}, "W"},
		"end":     {[]string{"e"}, []any{5, 1 << 60, 1 << 43}, "ok", []any{"GET", "e"}, fmt.Sprintf("5 %d", 1<<60)},
		"sweep":   {[]string{"s2", "t", "x", "p"}, []any{10, "id2", "card2", "dcard2"}, int64(1), []any{"ZSCORE", "p", "dcard2"}, 10.0},
		"condemn": {[]string{"p", "s3"}, []any{7, "acard3", "dcard3", "tag"}, int64(1), []any{"ZSCORE", "p", "dcard3"}, 7.0},
		"repair":  {[]string{"s4", "t"}, []any{"V", "-", "id4", 8}, int64(1), []any{"ZSCORE", "t", "id4"}, 8.0},
		"put":     {[]string{"s5", "d5", "t", "x", "p"}, []any{"V", "", "id5", "1", 1, "", "card5", 1, "", 0, "", "", 1, 0, 0, 0, "", "doc", "D", "v", "V"}, nil, []any{"EXISTS", "s5"}, int64(0)},
		"admit":   {[]string{"u"}, []any{5, 1, "m"}, nil, []any{"EXISTS", "u"}, int64(0)},
	}
	for name, script := range allScripts(t) {
		test, ok := tests[name]
		if !ok {
			t.Errorf("is %s.lua to run on a full Redis?", name)
			continue
		}
		got, err := script.Eval(t.Context(), client, test.keys, test.args...).Result()
		if test.result == nil && !redis.HasErrorPrefix(err, "OOM") || test.result != nil && (err != nil || got != test.result) {
			t.Errorf("%s.lua: %v, %v, want %v", name, got, err, test.result)
		}
		if got := do(test.look...); got != test.want {
			t.Errorf("%s.lua: %v: %v, want %v", name, test.look, got, test.want)
		}
	}
}

// deniedServer is a Redis with a store of its administrator, and one of a user
// whose rights change.
type deniedServer struct {
	*cutServer
	*least
}

func startDenied(t *testing.T, shards int) *deniedServer {
	t.Helper()
	l := startLeast(t)
	frail := l.user().(*redis.Client)
	c := &cutServer{well: l.admins[0], frail: frail, faults: new(redistest.Faults), shards: shards}
	frail.AddHook(c.faults)
	return &deniedServer{c, l}
}

// denials are rules, each without one right that writes need: a command, or a
// kind of key, wholly or for writing.
func denials(rights []acl.Right) (all [][]string) {
	whole := rule(rights)
	seen := map[string]bool{}
	for _, r := range rights {
		if r.Access&acl.Writes != 0 && !seen[r.Command] {
			seen[r.Command] = true
			all = append(all, append(slices.Clone(whole), "-"+r.Command))
		}
	}
	for i, word := range whole {
		if pattern, ok := strings.CutPrefix(word, "%RW~"); ok {
			all = append(all, slices.Delete(slices.Clone(whole), i, i+1))
			readable := slices.Clone(whole)
			readable[i] = "%R~" + pattern
			all = append(all, readable)
		}
	}
	return all
}

// Whichever right is withdrawn while a store runs, no write leaves a session that
// is half made, half changed or half deleted, and what it has begun in other
// shards is cleared when the right is back.
func TestI5_ARightIsMissing(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		d := startDenied(t, shards)
		whole := rule(d.rights)
		refused := map[string]bool{}
		isDone := testdepth.OneIn(t, 4)
		for i, o := range operations {
			for j, denial := range denials(d.rights) {
				if !isDone(i + j + shards/4) {
					continue
				}
				what := difference(whole, denial)
				s := d.open(t).nameable()
				o.prepare(t, s)
				d.allow(t, denial)
				err := o.run(t.Context(), s, s.frail)
				d.allow(t, whole)
				if err != nil {
					isUnavailable(t, what, err)
					refused[what] = true
				}
				s.isWhole(t, &o)
				s.settles(t, o.name+" without "+what, &o, err == nil, true)
			}
		}
		if testdepth.Of(false, true) {
			return
		}
		for _, denial := range denials(d.rights) {
			what := difference(whole, denial)
			if slices.Contains([]string{"-set", "-eval"}, what) || strings.HasSuffix(what, "cr:meta") {
				continue // set is for tombstones; the others are for what operations do not do
			}
			if !refused[what] && !(shards == 1 && strings.HasSuffix(what, "cr:p:*")) {
				t.Errorf("no operation was refused without %s", what)
			}
		}
		if !refused["-set"] {
			t.Error("no delete was refused without SET")
		}
	})
}

// difference names what one rule lacks.
func difference(whole, less []string) string {
	var words []string
	for _, w := range less {
		if !slices.Contains(whole, w) {
			words = append(words, w)
		}
	}
	for _, w := range whole {
		if !slices.Contains(less, w) && len(words) == 0 {
			words = append(words, "no "+w)
		}
	}
	return strings.Join(words, " ")
}

// isWhole checks that every session that lives ends when it should, and that
// an audit finds nothing wrong.
func (s *cutStore) isWhole(t *testing.T, o *operation) {
	t.Helper()
	s.audit(t, false)
	live := s.live(t)
	for _, stored := range live {
		want := int64(-1)
		if stored.Expiration != session.Never {
			want = (int64(stored.Expiration) + 999) / 1000
		}
		got, err := s.client.Do(t.Context(), "PEXPIRETIME", s.keys.Session(stored.ID)).Int64()
		if err != nil || got != want {
			t.Errorf("%s: the hash of %s goes at %d ms, %v, want %d", o.name, stored.ID, got, err, want)
		}
	}
	if report, found, err := s.audited(t.Context(), s.Store, false); err != nil || !report.Clean() {
		t.Errorf("%s: the audit finds %v, %v", o.name, found, err)
	}
}

// A user who may not SCRIPT has no script loaded: EVAL brings each, again after
// Redis has forgotten them.
func TestScripts_WithoutTheRightToLoadThem(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		d := startDenied(t, shards)
		d.allow(t, append(rule(d.rights), "-script"))
		for _, flushed := range []bool{false, true} {
			for _, o := range operations {
				t.Run(fmt.Sprintf("%s/flushed=%v", o.name, flushed), func(t *testing.T) {
					s := d.open(t)
					o.prepare(t, s)
					if flushed {
						if err := d.well.ScriptFlush(t.Context()).Err(); err != nil {
							t.Fatal(err)
						}
					}
					if err := o.run(t.Context(), s, s.frail); err != nil {
						t.Fatal(err)
					}
					s.settles(t, "SCRIPT is forbidden", &o, true, false)
				})
			}
		}
		d.empty(t)
		tour(t, d.user(), shards)
		if refused := d.refused(t); slices.ContainsFunc(refused, func(r refusal) bool { return r.object != "script|load" }) {
			t.Errorf("refused in addition to SCRIPT LOAD: %v", refused)
		}
		// What waits for replicas, and what repairs, when nothing is loaded.
		d.empty(t)
		s := openConfig(t, storetest.NewClock(), cache.Config{Redis: d.user(), Shards: shards, RevokeWaitReplicas: 1, RevokeWaitTimeout: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		if err := s.Put(t.Context(), storetest.New("1", s.Now(), ada...), nil); err != nil {
			t.Fatal(err)
		}
		old, err := s.GetFresh(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.well.ZRem(t.Context(), s.keys.Created(s.keys.ShardOf("1")), "1").Err(); err != nil {
			t.Fatal(err)
		}
		if err := d.well.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Audit(t.Context(), cache.AuditConfig{Repair: true}); err != nil {
			t.Errorf("Audit: %v", err)
		}
		s.client = d.well // which may look at everything
		s.audit(t, false)
		if err := d.well.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Delete(t.Context(), old, "revoked"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	})
}

// Without Redis' time there is no store: that is said at once, and not taken for
// a Redis that is away.
func TestI1_TimeIsForbidden(t *testing.T) {
	t.Parallel()
	l := startLeast(t)
	l.allow(t, append(rule(l.rights), "-time"))
	_, err := cache.Open(t.Context(), cache.Config{Redis: l.user()})
	forbidden, ok := errors.AsType[*cache.ForbiddenError](err)
	if !ok || forbidden.Command != "TIME" || errors.Is(err, session.ErrUnavailable) {
		t.Errorf("%v, want a ForbiddenError for TIME", err)
	}
}
