package main

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/tlstest"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.yaml.in/yaml/v3"
)

const (
	rulesFile = "../../deploy/prometheus/cloakroom.rules.yaml"
	runbook   = "../../docs/runbook.md"
)

// scraped runs a program with all that has metrics, lets it do some of each, and
// returns what it shows.
func scraped(t *testing.T) string {
	t.Helper()
	redis, a := redistest.Start(t), tlstest.NewAuthority(t)
	files := a.Mounted(t.TempDir(), tlstest.Pair(a.Issue(time.Hour)))
	keys := t.TempDir() + "/keys.yaml"
	code, secret, _ := once(t, "key", "new", "--name=limited", "--user-id=u", "--permission=session.read", "--permission=session.write", "--rate=0.001", "--burst=3", "--file", keys)
	if code != exitOK {
		t.Fatal(code)
	}
	p := launch(t, append([]string{
		"serve", "--redis-url", redis.URL(), "--auth-keys-file", keys, "--verify-addr=127.0.0.1:0",
		"--http-tls-cert-file", files.Cert, "--http-tls-key-file", files.Key,
	}, quick()...))
	line := p.logged(t, "ready", 1)
	c := a.Client(nil, nil)
	for range 4 {
		req, err := http.NewRequestWithContext(t.Context(), "POST", fmt.Sprint("https://", line["http"], "/v2/sessions?marker-query=1"), strings.NewReader(`{"checks":{"user":{"userId":"marker-user"}}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(secret))
		req.Header.Set("X-Request-Id", "marker-id")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	res, err := c.Get(fmt.Sprint("https://", line["http"], "/marker-path"))
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	want(t, 401, "MARKER", fmt.Sprint("http://", line["verify"]), "", "Authorization", "Bearer marker-token")
	return want(t, 200, "GET", fmt.Sprint("http://", line["admin"], "/metrics"), "")
}

// Each metric is documented, each documented one is there, and all are named as
// Prometheus wants it. No label has what a request brings.
func TestMetricsAreDocumented(t *testing.T) {
	text := scraped(t)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "cloakroom_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	if strings.Contains(strings.ToLower(text), "marker") {
		t.Errorf("I6: a metric has what a request has brought")
	}
	doc := readDoc(t, operations)
	var known []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (cloakroom_\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		known = append(known, m[1])
		if !regexp.MustCompile("(?m)^\\|.*`" + m[1] + "[`{]").MatchString(doc) {
			t.Errorf("docs/operations.md does not have %s", m[1])
		}
		if !strings.Contains(text, "# HELP "+m[1]+" ") || (m[2] == "counter") != strings.HasSuffix(m[1], "_total") {
			t.Errorf("%s, a %s: has no help, or is named wrongly", m[1], m[2])
		}
	}
	known = append(known, sometimes...)
	for _, m := range regexp.MustCompile("(?m)^\\| `cloakroom_.*$").FindAllString(doc, -1) {
		for _, name := range regexp.MustCompile("`(cloakroom_[a-z_]+)[`{]").FindAllStringSubmatch(strings.SplitAfter(m, " | ")[0], -1) {
			if !slices.Contains(known, name[1]) {
				t.Errorf("docs/operations.md has %s, which is not there", name[1])
			}
		}
	}
	checkRules(t, append(known, upstreamMetrics(t)...))
}

// sometimes are metrics that show only once there is something to show.
var sometimes = []string{"cloakroom_drift", "cloakroom_logouts_total"}

// checkRules looks that the alerts name metrics that exist, and have an entry in
// the runbook, which has no others.
func checkRules(t *testing.T, known []string) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(bytes.NewReader([]byte(readDoc(t, rulesFile))))
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`(?m)^## (\w+)$`).FindAllStringSubmatch(readDoc(t, runbook), -1)
	var alerts []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			alerts = append(alerts, r.Alert)
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["runbook_url"] != "docs/runbook.md#"+strings.ToLower(r.Alert) {
				t.Errorf("%s: severity, summary or runbook_url is wrong", r.Alert)
			}
			if !slices.ContainsFunc(entries, func(e []string) bool { return e[1] == r.Alert }) {
				t.Errorf("docs/runbook.md has no entry for %s", r.Alert)
			}
			if strings.HasPrefix(r.Annotations["summary"], "no process ") && !strings.Contains(r.Expr, "min by (job)") {
				t.Errorf("%s: that no process has something, one alone does not show", r.Alert)
			}
			for _, name := range regexp.MustCompile(`cloakroom_\w+`).FindAllString(r.Expr, -1) {
				base := strings.TrimSuffix(name, "_bucket")
				if !slices.Contains(known, name) && !slices.Contains(known, base) {
					t.Errorf("%s asks for %s, which is not there", r.Alert, name)
				}
			}
		}
	}
	for _, e := range entries {
		if !slices.Contains(alerts, e[1]) {
			t.Errorf("docs/runbook.md has %s, and there is no such alert", e[1])
		}
	}
	if len(alerts) < 10 {
		t.Errorf("there are %d alerts", len(alerts))
	}
}
