package doctor

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
)

// What INFO says of Redis 7, Valkey 7.2, which has the fields of Redis, and
// Valkey 8 and 9, which call the mode another name.
func TestCheckServer_ReadsInfoOfEachServer(t *testing.T) {
	for info, want := range map[string]string{
		"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nuptime_in_seconds:60\r\n# Replication\r\nrole:master\r\n":                                                         "Redis 7.0.15, standalone master, up for 1m0s",
		"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.8\r\nredis_mode:standalone\r\nuptime_in_seconds:60\r\nrole:master\r\n":                             "Valkey 7.2.8, standalone master, up for 1m0s",
		"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\nvalkey_release_stage:ga\r\nserver_mode:cluster\r\nuptime_in_seconds:60\r\nrole:master\r\n":    "Valkey 8.1.1, cluster master, up for 1m0s",
		"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\nvalkey_release_stage:ga\r\nserver_mode:standalone\r\nuptime_in_seconds:60\r\nrole:master\r\n": "Valkey 9.0.0, standalone master, up for 1m0s",
	} {
		n := &node{info: redisinfo.Fields(info)}
		n.readRole(t.Context())
		found := new(examination).checkServer(t.Context(), n)
		if len(found) != 1 || found[0].Status != OK || found[0].Found != want {
			t.Errorf("%+v, want %q", found, want)
		}
	}
	replica := &node{info: redisinfo.Fields("redis_version:7.2.4\r\nvalkey_version:8.0.0\r\nserver_mode:standalone\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n")}
	replica.readRole(t.Context())
	found := new(examination).checkServer(t.Context(), replica)
	if len(found) != 1 || found[0].Status != Fail || !strings.Contains(found[0].Fix[0], "10.0.0.1:6379") {
		t.Errorf("a replica: %+v", found)
	}
}
