package redisconn

import (
	"slices"
	"strings"
	"testing"
)

func TestParseRedisURL_ManyHosts(t *testing.T) {
	f := func(url, masked, master string, db int, tls bool, hosts ...string) {
		t.Helper()
		u, ok := ParseURL(url)
		if !ok {
			t.Errorf("%s was refused", url)
			return
		}
		if u.Masked != masked || u.Master != master || u.Cluster != (master == "") || u.Options.DB != db || (u.Options.TLSConfig != nil) != tls || !slices.Equal(u.Hosts, hosts) {
			t.Errorf("%s: %s, master %q, cluster %v, database %d, TLS %v, hosts %q", url, u.Masked, u.Master, u.Cluster, u.Options.DB, u.Options.TLSConfig != nil, u.Hosts)
		}
	}
	f("redis+cluster://h1", "redis+cluster://h1", "", 0, false, "h1:6379")
	f("redis+cluster://h1:1,h2,[::1]:3/", "redis+cluster://h1:1,h2,[::1]:3/", "", 0, false, "h1:1", "h2:6379", "[::1]:3")
	f("rediss+cluster://u:p@h1,h2?pool_size=7", "rediss+cluster://u:xxxxx@h1,h2?pool_size=7", "", 0, true, "h1:6379", "h2:6379")
	f("redis+sentinel://h1/m", "redis+sentinel://h1/m", "m", 0, false, "h1:26379")
	f("rediss+sentinel://:p%40@h1:1,h2/my-master/3", "rediss+sentinel://:xxxxx@h1:1,h2/my-master/3", "my-master", 3, true, "h1:1", "h2:26379")

	u, _ := ParseURL("redis+cluster://u:p%40,q@h1?pool_size=7&read_timeout=3s")
	if o := u.Options; o.Username != "u" || o.Password != "p@,q" || o.PoolSize != 7 || o.MaxActiveConns != 7 || o.ReadTimeout.Seconds() != 3 || !o.ContextTimeoutEnabled {
		t.Errorf("options %+v", o)
	}

	for _, url := range []string{
		"redis+cluster://", "redis+cluster://h1,", "redis+cluster://,h1", "redis+cluster://h1/0", "redis+cluster://h1/m", "redis+cluster://h1?db=1",
		"redis+cluster://h1,h1", "redis+cluster://h1:0", "redis+cluster://h1:65536", "redis+cluster://u@h1", "redis+cluster://u:@h1", "redis+cluster://h1 ,h2",
		"redis+cluster://h1#x", "redis+cluster://h1?unknown=1", "redis+cluster://h1?pool_size=x", "redis+cluster:h1", "redis+cluster:/h1",
		"redis+sentinel://h1", "redis+sentinel://h1/", "redis+sentinel:///m", "redis+sentinel://h1/m/", "redis+sentinel://h1/m/x", "redis+sentinel://h1/m/01",
		"redis+sentinel://h1/m/-1", "redis+sentinel://h1/m/1/2", "redis+sentinel://h1/m?db=1", "redis+sentinel://h1/%zz", "redis+sentinel://h1/a%20b",
		"redis+other://h1", "http+cluster://h1", "redis+unix:///x", "redis+cluster://" + strings.Repeat("h,", 100) + "h", "REDIS+cluster://h1",
	} {
		if u, ok := ParseURL(url); ok {
			t.Errorf("%s was taken: %+v", url, u)
		}
	}
}
