package main

import (
	"os"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// serves says whether a session can be made, read and found.
func serves(t *testing.T, api, user string) (id string) {
	t.Helper()
	id = create(t, api, user)
	want(t, 200, "GET", api+"/v2/sessions/"+id, "")
	if got := total(t, api, `{"queries":[{"userIdQuery":{"id":"`+user+`"}}]}`); got != "1" {
		t.Errorf("%s sessions of %s", got, user)
	}
	return id
}

// eventuallyServes is serves, where connections that were cut may be left.
func eventuallyServes(t *testing.T, api, user string) {
	t.Helper()
	id := untilCreated(t, api, user)
	awaitStatus(t, 200, api+"/v2/sessions/"+id)
	for {
		status, answer := call(t, "POST", api+"/v2/sessions/search", `{"queries":[{"idsQuery":{"ids":["`+id+`"]}}]}`)
		if status == 200 && strings.Contains(answer, user) || status != 200 && status != 503 {
			if status != 200 {
				t.Errorf("search: %d: %s", status, answer)
			}
			return
		}
	}
}

// rewrite replaces what a file has.
func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A Cluster over mutual TLS, as a user whose password changes; and a failover.
func TestServeWithCluster(t *testing.T) {
	t.Parallel()
	certificates := redistest.NewCertificates(t)
	c := redistest.StartCluster(t, redistest.ClusterConfig{Access: redistest.Access{User: "app", Password: "first-password", Certificates: certificates}})
	password := testfile.Write(t, "first-password\n")
	p := launch(t, append([]string{
		"serve", "--redis-url", "rediss+cluster://" + strings.Join(c.Addrs()[:2], ","), "--auth-anonymous", "--redis-username=app", "--redis-password-file", password,
		"--redis-tls-ca-file", certificates.CA, "--redis-tls-cert-file", certificates.Cert, "--redis-tls-key-file", certificates.Key, "--redis-replica-reads",
	}, quick()...))
	api, admin := p.ready(t)
	serves(t, api, "u1")
	if answer := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(answer, "cloakroom_redis_clock_spread_seconds 0\n") {
		t.Errorf("no clock spread in %s", answer)
	}

	for _, n := range c.Nodes {
		n.Do("ACL", "SETUSER", "app", "resetpass", ">second-password")
	}
	rewrite(t, password, "second-password\n")
	for _, n := range c.Nodes {
		n.CutClients()
	}
	eventuallyServes(t, api, "u2") // each connection that was cut is noticed when it is used

	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, secret := range []string{"first-password", "second-password"} { // I6
		if strings.Contains(p.stderr.String(), secret) {
			t.Error("the log shows a password")
		}
	}
}

// A master that Sentinels name, over mutual TLS, and another one after it.
func TestServeWithSentinel(t *testing.T) {
	t.Parallel()
	certificates := redistest.NewCertificates(t)
	s := redistest.StartSentinels(t, redistest.SentinelConfig{
		Access: redistest.Access{User: "app", Password: "password-of-redis", Certificates: certificates},
		User:   "asker", Password: "password-of-sentinels",
	})
	p := launch(t, append([]string{
		"serve", "--redis-url", s.URL(), "--auth-anonymous", "--redis-sentinel-username=asker", "--redis-sentinel-password-file", testfile.Pipe(t, "password-of-sentinels\n"),
		"--redis-tls-ca-file", certificates.CA, "--redis-tls-cert-file", certificates.Cert, "--redis-tls-key-file", certificates.Key, "--redis-replica-reads",
	}, quick()...))
	api, admin := p.ready(t)
	serves(t, api, "u1")
	if metrics := want(t, 200, "GET", admin+"/metrics", ""); !strings.Contains(metrics, "cloakroom_redis_pool_connections{state=\"idle\"}") || strings.Contains(metrics, "cloakroom_redis_commands_total 0\n") {
		t.Error("nothing that goes to Redis is counted")
	}
	s.Failover()
	eventuallyServes(t, api, "u2")
	if code := p.stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, secret := range []string{"password-of-redis", "password-of-sentinels"} { // I6
		if strings.Contains(p.stderr.String(), secret) {
			t.Error("the log shows a password")
		}
	}
}

// untilCreated makes a session, and tries again as long as Redis is away.
func untilCreated(t *testing.T, api, user string) string {
	t.Helper()
	for {
		status, answer := call(t, "POST", api+"/v2/sessions", `{"checks":{"user":{"userId":"`+user+`"}}}`)
		switch status {
		case 200, 201:
			_, id, _ := strings.Cut(answer, `"sessionId":"`)
			id, _, _ = strings.Cut(id, `"`)
			return id
		case 503: // I2
		default:
			t.Fatalf("status %d: %s", status, answer)
		}
	}
}
