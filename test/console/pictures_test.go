package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// trafficTime is how long requests come before the pictures are taken, so that charts have something to show.
const trafficTime = 5 * time.Minute

// The pictures in docs/ are taken: `make pictures`.
func TestPictures(t *testing.T) {
	dir := os.Getenv("CLOAKROOM_TEST_PICTURES")
	if dir == "" {
		return // they differ each time: nothing to compare
	}
	if !nodetest.Have(t, "node", "npm", "chromium") {
		return
	}
	nodetest.Install(t)
	tmp := t.TempDir()
	bin, err := programtest.Build(tmp)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, redis: redistest.Start(t), bin: bin, api: redistest.FreeAddr(t), admin: redistest.FreeAddr(t), keysFile: filepath.Join(tmp, "keys.yaml"), keys: map[string]string{}, tokens: map[string]string{}}
	for _, name := range []string{"admin", "on-call"} {
		w.keys[name] = programtest.NewKey(t, bin, w.keysFile, name, "--user-id", name, "--permission=session.read", "--permission=session.write", "--permission=session.delete")
	}
	w.program = programtest.Start(t, "cloakroom", "http://"+w.admin+"/readyz", bin,
		"dev", "--redis-url", w.redis.URL(), "--http-addr", w.api, "--admin-addr", w.admin, "--auth-keys-file", w.keysFile, "--auth-anonymous=false",
		"--verify-policy", "admin=factors:password+totp,max_age:15m", "--verify-policy", "staff=organizations:218480890961985500")
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	defer traffic.Wait()
	defer stop()
	traffic.Go(func() { w.traffic(ctx) })
	select {
	case <-time.After(trafficTime):
	case <-ctx.Done():
	}
	nodetest.Run(t, "pictures", append(w.env(""), "CLOAKROOM_PICTURES="+dir), "pictures.mjs")
}

// traffic asks the program for what gateways and login pages do, some of which is refused, until ctx ends.
func (w *world) traffic(ctx context.Context) {
	now := time.Now().UTC().Format(time.RFC3339)
	var tokens []string
	for i := range 40 {
		text := w.call("PUT", fmt.Sprintf("/v2/sessions/visitor-%d?issueToken=true", i), fmt.Sprintf(`{"creationDate":%q,"factors":{"user":{"verifiedAt":%[1]q,"id":"visitor-%d"},"password":{"verifiedAt":%[1]q}}}`, now, i))
		var made struct{ SessionToken string }
		if json.Unmarshal([]byte(text), &made) == nil {
			tokens = append(tokens, made.SessionToken)
		}
	}
	for i := range 4 { // their verifies are refused from now on
		w.call("DELETE", fmt.Sprintf("/v2/sessions/visitor-%d", i), "")
	}
	ask := func(method, path, token, body string) {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+w.api+path, strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if response, err := http.DefaultClient.Do(r); err == nil {
			_, _ = new(bytes.Buffer).ReadFrom(response.Body)
			_ = response.Body.Close()
		}
	}
	for n := 0; ctx.Err() == nil; n++ {
		for i, token := range tokens {
			ask("GET", "/verify", token, "")
			if i%4 == 0 {
				ask("GET", "/verify/p/admin", token, "")
			}
		}
		ask("GET", "/verify", "of.nobody", "")
		ask("POST", "/v2/sessions/search", w.keys["admin"], `{"query":{"limit":20}}`)
		ask("POST", "/v2/sessions/search", w.keys["admin"], fmt.Sprintf(`{"queries":[{"userIdQuery":{"id":"visitor-%d"}}]}`, n%40))
		ask("GET", "/v2/sessions/visitor-7", w.keys["admin"], "")
		ask("GET", "/v2/sessions/nobody", w.keys["admin"], "")
		if n%5 == 0 {
			ask("PATCH", "/v2/sessions/visitor-39", w.keys["admin"], fmt.Sprintf(`{"metadata":{"n":"%04d"}}`, n%10000))
		}
		select {
		case <-time.After(time.Duration(40+30*(n/40%3)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
