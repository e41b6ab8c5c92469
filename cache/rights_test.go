package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/storetest"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

const leastUser = "least"

// least is a Redis with a user that has the rights of the table and no others. Only admin may do more: empty the server,
// change the user, look at every key, and tell what was used.
type least struct {
	// user returns a client of that user's. A near cache leaves something at each client of a Cluster that it is given: many
	// stores with one each need several.
	user   func() redis.UniversalClient
	all    redis.UniversalClient // of admin
	rights []acl.Right
	admins []*redis.Client // of each server
}

const longLog = "acllog-max-len 10000"

// startLeast starts one server.
func startLeast(t *testing.T) *least {
	t.Helper()
	server := redistest.Start(t, longLog)
	admin := socketClient(t, server)
	l := &least{all: admin, admins: []*redis.Client{admin}, rights: acl.Needed(cache.Rights(), acl.JWTs|acl.Near|acl.Waits)}
	l.allow(t, rule(l.rights))
	user := server.Client(t, func(o *redis.Options) {
		o.Network, o.Addr, o.Username, o.Password = "unix", server.Socket, leastUser, "secret"
	})
	l.user = func() redis.UniversalClient { return user }
	return l
}

// each does something on each server.
func (l *least) each(t rapid.TB, do func(admin *redis.Client) error) {
	t.Helper()
	for _, admin := range l.admins {
		if err := do(admin); err != nil {
			t.Fatal(err)
		}
	}
}

func rule(rights []acl.Right) []string {
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		panic(err)
	}
	r := acl.RuleOf(space, rights)
	return strings.Fields(r.String())
}

// allow makes the user one with this rule.
func (l *least) allow(t testing.TB, rule []string) {
	t.Helper()
	l.each(t, func(admin *redis.Client) error {
		return admin.ACLSetUser(t.Context(), leastUser, append([]string{"reset", "on", ">secret"}, rule...)...).Err()
	})
}

func (l *least) empty(t rapid.TB) {
	t.Helper()
	l.each(t, func(admin *redis.Client) error {
		if err := admin.FlushAll(context.Background()).Err(); !redis.HasErrorPrefix(err, "READONLY") {
			return err
		}
		return nil // a replica, which its master empties
	})
}

// refusal is what Redis did not let the user do.
type refusal struct{ reason, object string }

// refused returns what was refused since the last call.
func (l *least) refused(t testing.TB) (all []refusal) {
	t.Helper()
	l.each(t, func(admin *redis.Client) error {
		entries, err := admin.ACLLog(t.Context(), 10000).Result()
		for _, e := range entries {
			if e.Username == leastUser {
				all = append(all, refusal{e.Reason, e.Object})
			}
		}
		return errors.Join(err, admin.ACLLogReset(t.Context()).Err())
	})
	return all
}

// collect adds the commands that were used, those of scripts included. What
// servers of a Cluster and the starter send each other is not asked for.
func (l *least) collect(t testing.TB, used map[string]bool) {
	t.Helper()
	l.each(t, func(admin *redis.Client) error {
		stats, err := admin.Info(context.Background(), "commandstats").Result()
		for line := range strings.Lines(stats) {
			name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			if ok && !strings.HasPrefix(rest, "calls=0,") {
				used[name] = true
			}
		}
		return err
	})
}

// forget makes that nothing has been used.
func (l *least) forget(t testing.TB) {
	t.Helper()
	l.each(t, func(admin *redis.Client) error { return admin.ConfigResetStat(context.Background()).Err() })
}

// operate does what the property test does, and a tour, and checks that nothing
// is refused.
func (l *least) operate(t *testing.T, shards int) {
	t.Helper()
	checkOps(t, 400, func(t *rapid.T) int {
		l.empty(t)
		limits := storetest.Limits{MaxSessionsPerUser: rapid.SampledFrom([]int{0, 2}).Draw(t, "sessions of a user"), EvictOldest: true}
		subject := open(t, l.user(), shards, storetest.NewClock(), limits).subject()
		subject.Limits = limits
		subject.Audit = func(rapid.TB, []*session.Stored, bool) {} // it would need more rights
		return storetest.Property(t, subject)
	})
	l.empty(t)
	tour(t, l.user(), shards)
	if refused := l.refused(t); len(refused) > 0 {
		t.Errorf("refused under the rights of the table: %v", refused)
	}
}

// checkTable compares the table with what was used, both ways.
func checkTable(t *testing.T, table []acl.Right, used map[string]bool) {
	t.Helper()
	listed := map[string]bool{}
	for _, r := range table {
		listed[r.Command] = true
		if !used[r.Command] {
			t.Errorf("%s is in the table (%s), and nothing has used it", r.Command, r.Why)
		}
	}
	// These are not rights, or of the test.
	for _, name := range []string{"hello", "auth", "flushall", "script|flush", "acl|setuser", "acl|log", "config|resetstat"} {
		listed[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !listed[name] {
			t.Errorf("%s is used, and not in the table", name)
		}
	}
}

// tour calls what there is to a store, as a process that has just started does.
// What is refused on the way is not its business.
func tour(t *testing.T, client redis.UniversalClient, shards int) {
	ctx := t.Context()
	store, err := cache.Open(ctx, cache.Config{Redis: client, Shards: shards, MaxSessionsPerUser: 2, EvictOldest: true, RememberDeletions: 10, RevokeWaitReplicas: 1, RevokeWaitTimeout: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return
	}
	defer store.Close()
	_ = store.Ping(ctx)
	_, _ = store.Expiries(ctx)
	var all []*session.Stored
	for i := range 3 {
		s := storetest.New(session.ID(fmt.Sprint(i)), store.Now(), storetest.User("u", "o"), storetest.Agent("a"), storetest.ForeignToken("foreign"))
		_ = store.Put(ctx, s, nil)
		if stored, err := store.GetFresh(ctx, s.ID); err == nil {
			all = append(all, stored)
		}
	}
	_, _ = store.GetByToken(ctx, "foreign")
	hash := session.HashToken("logout")
	_, _ = store.Used(ctx, hash)
	_, _ = store.Use(ctx, hash, store.Now().Add(time.Minute))
	for _, predicates := range [][]index.Predicate{nil, {index.ByUser("u")}, {index.ByAgent("a")}, {index.ByCreator("gateway")}} {
		_, _ = store.Search(ctx, &index.Query{Predicates: predicates, Sees: index.Sees{All: true}, Limit: 10})
	}
	_, _ = store.Audit(ctx, cache.AuditConfig{Repair: true})
	for _, s := range all {
		_, _ = store.Delete(ctx, s, "revoked")
	}
	_ = store.RedeleteReturned(ctx)
	store.SetEndsFor(storetest.EndsFor)
	_ = store.Put(ctx, storetest.New("kc:1", store.Now()), nil)
	login := &session.Login{Session: session.EndOfSession("kc:1"), User: session.EndOfUser("kc:u"), Began: store.Now()}
	_, _ = store.End(ctx, login.User, session.End{NotAfter: login.Began, Until: store.Now().Add(time.Minute)})
	_, _ = store.Ended(ctx, login)
	_ = store.Put(ctx, storetest.New("short", store.Now(), storetest.Expires(store.Now().Add(time.Millisecond))), nil)
	_, _ = store.Sweep(ctx)
}

// Whatever access to whatever kind of key is taken away, something is refused.
func TestRights_EveryKeyIsNeeded(t *testing.T) {
	t.Parallel()
	l := startLeast(t)
	whole := rule(l.rights)
	tour(t, l.user(), 4)
	if refused := l.refused(t); len(refused) > 0 {
		t.Fatalf("refused under the rights of the table: %v", refused)
	}
	for i, word := range whole {
		letters, pattern, isKey := strings.Cut(word, "~")
		if !isKey {
			continue
		}
		for _, less := range map[string][]string{"%R": {""}, "%W": {""}, "%RW": {"%R", "%W"}}[letters] {
			rule := slices.Clone(whole)
			if rule[i] = less + "~" + pattern; less == "" {
				rule = slices.Delete(rule, i, i+1)
			}
			// Tagged entries of several shards, and scripts that touch them.
			for _, shards := range []int{4, 1} {
				l.empty(t)
				l.allow(t, rule)
				tour(t, l.user(), shards)
			}
			prefix := strings.TrimSuffix(pattern, "*")
			if !slices.ContainsFunc(l.refused(t), func(r refusal) bool { return r.reason == "key" && strings.HasPrefix(r.object, prefix) }) {
				t.Errorf("%q instead of %q is enough", less, word)
			}
		}
	}
}

// What the table says of a command's access is what Redis says, and every
// example is a command with that key.
func TestRights_AccessIsThatOfRedis(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	for _, r := range cache.Rights() {
		if r.Why == "" {
			t.Errorf("%s: the table does not say why", r.Command)
		}
		if r.Keys == "" {
			continue
		}
		reply, err := client.Do(t.Context(), append([]any{"COMMAND", "GETKEYSANDFLAGS"}, r.Words("some key")...)...).Slice()
		if err != nil {
			t.Errorf("%s %s: %v", r.Command, r.Args, err)
			continue
		}
		want := acl.Looks
		key := reply[0].([]any)
		for _, flag := range key[1].([]any) {
			switch flag {
			case "access":
				want |= acl.Reads
			case "insert", "update", "delete":
				want |= acl.Writes
			}
		}
		if len(reply) != 1 || key[0] != "some key" || want != r.Access {
			t.Errorf("%s: Redis says %v, the table says %s", r.Command, reply, r.Access.Pattern("some key"))
		}
	}
}

// The rights that are named for it are enough for copies of a ZITADEL's sessions, and each is needed. (I5)
func TestRights_Upstream(t *testing.T) {
	t.Parallel()
	eachShards(t, func(t *testing.T, shards int) {
		l := startLeast(t)
		all := acl.Needed(cache.Rights(), acl.Upstream)
		tour := func() error {
			l.empty(t)
			clock, r := storetest.NewClock(), newRecord()
			s, err := cache.Open(t.Context(), cache.Config{
				Redis: l.user(), Shards: shards, Clock: clock.Now,
				Upstream: &cache.Upstream{
					Ask: r.ask, Timeout: 5 * time.Second, MaxAge: maxAge, MaxBytes: 16 << 10,
					Tie: func(context.Context, string) (session.Tie, error) { return session.Tie{User: "7"}, nil },
				},
			})
			if err != nil {
				return err
			}
			defer s.Close()
			r.put(storetest.New("s1", clock.Now(), append(ada, storetest.Sequence(3))...), t1)
			_, getErr := s.GetWithToken(t.Context(), "s1", t1)
			outdateErr := s.Outdate(t.Context(), "s1")
			_, byTokenErr := s.GetByToken(t.Context(), t1)
			r.delete("s1")
			clock.Advance(maxAge)
			_, goneErr := s.Get(t.Context(), "s1")
			if errors.Is(goneErr, session.ErrNotFound) {
				goneErr = nil
			}
			_, endedErr := s.Ended(t.Context(), &session.Login{OIDC: &session.OIDCSession{ID: "V2_1", User: "7"}})
			_, leadErr := s.LeadNews(t.Context(), time.Minute)
			leadErr = errors.Join(leadErr, s.EndNewsLead(t.Context()))
			return errors.Join(leadErr, getErr, outdateErr, byTokenErr, goneErr, endedErr, s.LearnTie(t.Context(), "V2_1", session.Tie{User: "7"}), s.Terminate(t.Context(), "s1", "ended"))
		}
		l.allow(t, rule(all))
		if err := tour(); err != nil {
			t.Errorf("with all rights: %v", err)
		}
		for _, pattern := range []string{"%RW~cr:q:*", "%RW~cr:k:*", "%RW~cr:o:*", "%RW~cr:f:*"} {
			l.allow(t, slices.DeleteFunc(rule(all), func(word string) bool { return word == pattern }))
			if err := tour(); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("without %s: %v", pattern, err)
			}
		}
	})
}
