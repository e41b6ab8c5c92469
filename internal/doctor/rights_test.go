package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// allow makes a user with the rights of the table, changed by rule.
func allow(t *testing.T, s *redistest.Server, rule ...string) {
	t.Helper()
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	least := acl.RuleOf(space, acl.Needed(slices.Concat(cache.Rights(), doctor.Rights()), acl.Near|acl.Doctor))
	words := append([]string{"reset", "on", ">secret"}, strings.Fields(least.String())...)
	if err := s.Client(t).ACLSetUser(t.Context(), "app", append(words, rule...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

// Each right that is taken away is named, alone; and the rule that is advised
// gives it back.
func TestExamine_Rights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, healthy...)
	asApp := func(o *redis.Options) { o.Username, o.Password = "app", "secret" }
	for _, test := range []struct {
		rule   string
		status doctor.Status
		found  string
	}{
		{"-zadd", doctor.Fail, "may not use zadd"},
		{"-hset -evalsha", doctor.Fail, "may not use evalsha, hset"},
		{"-time", doctor.Fail, "may not use time"},
		{"-multi -exec", doctor.Fail, "may not use exec, multi"},
		{"-eval", doctor.Fail, "may not use eval"},
		{"-eval -evalsha", doctor.Fail, "may not use eval, evalsha; what else is missing can be seen only with it"},
		{"-script", doctor.Warn, "may not use script|load"},
		{"-role -info", doctor.Warn, "may not use info, role"},
		{"-script -zadd", doctor.Fail, "may not use script|load, zadd"},
		{"resetkeys", doctor.Fail, "may not use keys cr:a:*, keys cr:c:*, keys cr:d:*, keys cr:j:*, keys cr:k:*, keys cr:meta, keys cr:p:*, keys cr:s:*, keys cr:t:*, keys cr:u:*, keys cr:x:*"},
		{"resetkeys ~cr:[stcxuakjdm]*", doctor.Fail, "may not use keys cr:p:*"},
		{"resetkeys ~cr:[tcxuakjdpm]* %R~cr:s:*", doctor.Fail, "may not use keys cr:s:*"},
		{"resetkeys ~cr:[stcxuakjdm]* -zadd", doctor.Fail, "may not use zadd, keys cr:p:*"},
	} {
		allow(t, s, strings.Fields(test.rule)...)
		f := examine(t, at(t, s, asApp)).has(t, "rights", test.status, test.found, "ACL SETUSER app ")
		if !strings.HasSuffix(f.Found, test.found) {
			t.Errorf("%s: %q, want no more than %q", test.rule, f.Found, test.found)
		}
		if len(f.Fix) == 0 {
			continue
		}
		rule, _, _ := strings.Cut(strings.TrimPrefix(f.Fix[0], "ACL SETUSER app "), ";")
		if err := s.Client(t).ACLSetUser(t.Context(), "app", strings.Fields(rule)...).Err(); err != nil {
			t.Errorf("%s: the fix %q: %v", test.rule, rule, err)
		}
		if !strings.Contains(f.Found, "only with it") {
			examine(t, at(t, s, asApp)).has(t, "rights", doctor.OK, "user app may use all ", "")
		}
	}
}

// To ask for rights changes nothing, and leaves no trace in the log of refusals
// if none is missing.
func TestExamine_RightsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, healthy...)
	allow(t, s)
	client := s.Client(t, func(o *redis.Options) { o.Username, o.Password = "app", "secret" })
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		t.Fatal(err)
	}
	lacks, err := acl.Check(t.Context(), client, space, acl.Needed(cache.Rights(), acl.Near))
	if err != nil || len(lacks.All) > 0 {
		t.Fatalf("%+v, %v", lacks, err)
	}
	admin := s.Client(t)
	if log, err := admin.ACLLog(t.Context(), 10).Result(); err != nil || len(log) > 0 {
		t.Errorf("%v, %v", log, err)
	}
	if n := admin.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were left behind", n)
	}
}
