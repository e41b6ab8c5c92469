package gateways

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// cloakroom is a running cloakroom process.
type cloakroom struct {
	api, verify, check, admin string // addresses
	key                       string // an API key with all permissions
	keys                      string // the file that has it
}

// startCloakroom starts the program over the Redis at redisAddr, with a verify-only listener.
func startCloakroom(t *testing.T, redisAddr string, flags ...string) *cloakroom {
	t.Helper()
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.yaml")
	c := &cloakroom{
		api: redistest.FreeAddr(t), verify: redistest.FreeAddr(t), check: redistest.FreeAddr(t), admin: redistest.FreeAddr(t),
		key: programtest.NewKey(t, cloakroomBin, keys, "test", "--user-id", "tester", "--permission", "session.read", "--permission", "session.write", "--permission", "session.delete"), keys: keys,
	}
	programtest.Start(t, "cloakroom", "http://"+c.admin+"/readyz", cloakroomBin, append([]string{
		"serve", "--redis-url", "redis://" + redisAddr + "/0", "--http-addr", c.api, "--admin-addr", c.admin,
		"--verify-addr", c.verify, "--grpc-addr", c.check, "--grpc-services", "check", "--auth-keys-file", keys, "--log-level", "warn",
	}, flags...)...)
	// It is ready before its near cache may keep anything.
	eventually.Holds(t, "the near cache is used", func() bool {
		metrics := (&replica{admin: c.admin}).get("/metrics")
		return strings.Contains(metrics, "\ncloakroom_near_proof_age_seconds ") && !strings.Contains(metrics, "\ncloakroom_near_proof_age_seconds -1")
	})
	return c
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// call makes a request to the API and decodes the answer.
func (c *cloakroom) call(t *testing.T, method, path string, body, answer any) {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.api+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: programtest.StartTimeout}
	response, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %v, status %d: %s", method, path, err, response.StatusCode, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
}

// visitor is somebody with a session.
type visitor struct {
	id, token string
	// What an application has to see: the identity headers, in lower case. json is for gateways that make them of the body.
	header, json map[string]string
}

// named says that the login name of v is plain, and encoded in headers.
func (v *visitor) named(plain, encoded string) {
	v.json["x-session-login"], v.header["x-session-login"] = plain, encoded
}

// factors says that v has proven itself with these.
func (v *visitor) factors(names string) {
	v.json["x-session-factors"], v.header["x-session-factors"] = names, names
}

// login stores a session whose user has proved itself with a password, unless change says otherwise.
func (c *cloakroom) login(t *testing.T, id string, change ...func(session map[string]any)) *visitor {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	expires := now.Add(time.Hour)
	session := map[string]any{
		"creationDate": now.Format(time.RFC3339), "expirationDate": expires.Format(time.RFC3339Nano),
		"factors": map[string]any{
			"user": map[string]any{
				"verifiedAt": now.Format(time.RFC3339), "id": "user-" + id, "loginName": "jürgen@" + id,
				"displayName": "Jürgen 🧥 Müller", "organizationId": "org-" + id,
			},
			"password": map[string]any{"verifiedAt": now.Format(time.RFC3339)},
		},
	}
	for _, f := range change {
		f(session)
	}
	var answer struct{ SessionToken string }
	c.call(t, http.MethodPut, "/v2/sessions/"+id+"?issueToken=true", session, &answer)
	v := &visitor{id: id, token: answer.SessionToken, header: map[string]string{
		"x-session-id": id, "x-session-user": "user-" + id, "x-session-org": "org-" + id, "x-session-factors": "password",
		"x-session-auth-time": now.Format(time.RFC3339), "x-session-expires": expires.Format(time.RFC3339),
	}}
	v.json = maps.Clone(v.header)
	v.json["x-session-auth-time"], v.json["x-session-expires"] = strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(expires.Unix(), 10)
	v.named("jürgen@"+id, "j%C3%BCrgen@"+id)
	return v
}

// logout ends a session.
func (c *cloakroom) logout(t *testing.T, v *visitor) {
	t.Helper()
	c.call(t, http.MethodDelete, "/v2/sessions/"+v.id, map[string]any{}, nil)
}
