package redisinfo

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func TestFields_OfRedis(t *testing.T) {
	s := redistest.Start(t)
	info := s.Do("INFO").(string)
	fields := Fields(info)
	for name, want := range map[string]string{
		"redis_version":    `^[0-9]+\.[0-9]+\.[0-9]+$`,
		"run_id":           `^[0-9a-f]{40}$`,
		"master_replid":    `^[0-9a-f]{40}$`,
		"role":             `^master$`,
		"maxmemory_policy": `^noeviction$`,
		"executable":       `^/`,
		"tcp_port":         `^[0-9]+$`,
		"master_host":      `^$`, // of replicas only
		"# Server":         `^$`,
		"":                 `^$`,
	} {
		if !regexp.MustCompile(want).MatchString(fields[name]) || Field(info, name) != fields[name] {
			t.Errorf("%s: %q and %q, want %s", name, fields[name], Field(info, name), want)
		}
	}
	if len(fields) < 100 {
		t.Errorf("%d fields", len(fields))
	}
	for name, value := range fields {
		if strings.ContainsAny(name+value, "\r\n") {
			t.Errorf("%q: %q", name, value)
		}
	}
}

func TestFields_OfAnyText(t *testing.T) {
	f := func(info string, want map[string]string) {
		t.Helper()
		if got := Fields(info); !maps.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", info, got, want)
		}
	}
	f("", nil)
	f("# Server\r\n\r\n", nil)
	f("a:1\r\nb:2\r\n", map[string]string{"a": "1", "b": "2"})
	f("a:1\nb:2", map[string]string{"a": "1", "b": "2"})
	f("a:\r\nb", map[string]string{"a": ""})
	f("executable:/x:y\r\n", map[string]string{"executable": "/x:y"})
	f("a:1\r\na:2\r\n", map[string]string{"a": "1"})
	f("ab:1\r\nb:2\r\n", map[string]string{"ab": "1", "b": "2"})
}

func FuzzFields(f *testing.F) {
	f.Add("# Server\r\nredis_version:7.0.15\r\nrun_id:0\r\n\r\n# Replication\r\nrole:master\r\n", "role")
	f.Add("a:1\na:2\r:3\n:\n", "a")
	f.Fuzz(func(t *testing.T, info, name string) {
		fields := Fields(info)
		for _, n := range append(slices.Collect(maps.Keys(fields)), name) {
			if got := Field(info, n); got != fields[n] {
				t.Fatalf("%q in %q is %q and %q", n, info, got, fields[n])
			}
		}
	})
}
