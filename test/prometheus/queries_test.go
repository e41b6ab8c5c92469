package prometheus_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
)

// selector finds the series that a query asks for. Metrics of the program, of the Go runtime and of the process have names of this form.
var selector = regexp.MustCompile(`\b(?:cloakroom_\w+|go_\w+|process_\w+|up\b)(?:\{[^}]*\})?`)

// Every query of the dashboard, and of the alerts, finds what it asks for in a real Prometheus that scrapes real programs.
func TestQueries_FindWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := startPrometheus(t, w.alone.admin, w.front.admin)
	// A rate needs a series before and after it changes: so everything happens twice, with a scrape between.
	for i := range 2 {
		w.traffic()
		scraped := fmt.Sprintf(`count(count_over_time(cloakroom_verify_total{reason="good"}[1m]) >= 2 and cloakroom_verify_total{reason="good"} >= %d) == 2`, 2*i+2)
		eventually.Holds(t, "the traffic is scraped", func() bool { return s.sees(scraped) })
	}
	d := readDashboard(t)
	t.Run("variables", func(t *testing.T) { s.variables(t, d, w) })
	t.Run("dashboard", func(t *testing.T) { s.dashboard(t, d, w) })
	t.Run("alerts", func(t *testing.T) { s.alerts(t) })
	w.trouble()
	eventually.Holds(t, "the trouble is scraped", func() bool { return s.sees(`cloakroom_upstream_calls_total{result="paused"}`) })
	t.Run("series of alerts", func(t *testing.T) {
		for _, r := range readRules(t) {
			s.selectors(t, r.Alert, r.Expr)
		}
	})
}

// variables looks that what the dashboard offers to choose from is what is scraped.
func (s *server) variables(t *testing.T, d dashboard, w *world) {
	for name, want := range map[string][]string{"job": {"cloakroom"}, "instance": {w.alone.admin, w.front.admin}} {
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(d.variable(t, name))
		if m == nil || m[2] != name {
			t.Errorf("the variable %s is %q", name, d.variable(t, name))
			continue
		}
		var got []string
		if err := s.get("/api/v1/label/"+m[2]+"/values", url.Values{"match[]": {substituted(m[1], w)}}, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s offers %v, want %v", name, got, want)
		}
	}
}

// substituted is a query as Grafana sends it: with All chosen, and for a range of hours.
func substituted(expr string, w *world) string {
	all := func(values ...string) string {
		for i, v := range values {
			values[i] = strings.ReplaceAll(regexp.QuoteMeta(v), `\`, `\\`)
		}
		return "(" + strings.Join(values, "|") + ")"
	}
	return strings.NewReplacer("$job", all("cloakroom"), "$instance", all(w.alone.admin, w.front.admin), "$__rate_interval", "1m").Replace(expr)
}

func (s *server) dashboard(t *testing.T, d dashboard, w *world) {
	for _, p := range d.charts() {
		for _, q := range p.Targets {
			where := fmt.Sprintf("%q, query %s", p.Title, q.RefID)
			if strings.Count(q.Expr, `{job=~"$job", instance=~"$instance"`) != len(selector.FindAllString(q.Expr, -1)) {
				t.Errorf("%s: not every metric is of the chosen job and instance: %s", where, q.Expr)
			}
			expr := substituted(q.Expr, w)
			if rest := regexp.MustCompile(`\$\w+`).FindString(expr); rest != "" {
				t.Errorf("%s: there is no variable %s", where, rest)
				continue
			}
			s.selectors(t, where, expr)
			found, err := s.query(expr)
			if err != nil {
				t.Errorf("%s: %v", where, err)
				continue
			}
			if !anyNumber(t, found) {
				t.Errorf("%s shows nothing: %s", where, expr)
			}
			for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.LegendFormat, -1) {
				for _, f := range found {
					if _, ok := f.Metric[m[1]]; !ok {
						t.Errorf("%s: the legend has %s, the series is %v", where, m[1], f.Metric)
						break
					}
				}
			}
			if q.LegendFormat == "" && len(found) > 1 {
				t.Errorf("%s: %d series without a legend", where, len(found))
			}
		}
	}
}

// selectors looks that each metric that a query asks for exists with the labels that it asks for.
func (s *server) selectors(t *testing.T, where, expr string) {
	for _, series := range selector.FindAllString(expr, -1) {
		if found, err := s.query(series); err != nil || len(found) == 0 {
			t.Errorf("%s: nothing is there of %s: %v", where, series, err)
		}
	}
}

// alerts looks that Prometheus evaluates the alerts, and that those fire that must. Others may, on a machine with other work to do.
func (s *server) alerts(t *testing.T) {
	var loaded struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	healthy := 0
	eventually.Holds(t, "the alerts are evaluated", func() bool {
		if err := s.get("/api/v1/rules", nil, &loaded); err != nil {
			t.Fatal(err)
		}
		healthy = 0
		for _, g := range loaded.Groups {
			for _, r := range g.Rules {
				if r.LastError != "" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				if r.Health == "ok" {
					healthy++
				}
			}
		}
		return healthy == len(readRules(t))
	})
	// The certificate of the test lasts an hour, and a session at ZITADEL is too large to be kept.
	mustFire := []string{"CloakroomCertificateExpires", "CloakroomRequestsFail"}
	for _, r := range readRules(t) {
		found, err := s.query(r.Expr)
		if err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
		if len(found) == 0 && slices.Contains(mustFire, r.Alert) {
			t.Errorf("%s does not fire", r.Alert)
		}
	}
}
