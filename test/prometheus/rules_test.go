package prometheus_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	rulesDir  = deploy + "prometheus/"
	rulesFile = "cloakroom.rules.yaml"
	ruleTests = "testdata/cloakroom.rules.test.yaml"
)

// rule is an alert.
type rule struct{ Alert, Expr string }

func readRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal([]byte(read(t, rulesDir+rulesFile)), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 10 {
		t.Fatalf("there are %d alerts", len(rules))
	}
	return rules
}

// promtool runs promtool on files in dir, and returns what it prints if it fails.
func promtool(t *testing.T, dir string, args ...string) (out string, ok bool) {
	t.Helper()
	bin, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v: .ci/install-prometheus installs it", err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = dir
	text, err := cmd.CombinedOutput()
	return string(text), err == nil
}

func TestRules_PromtoolTakesThem(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", rulesFile}, {"check", "config", "prometheus.yaml"}} {
		if out, ok := promtool(t, rulesDir, args...); !ok {
			t.Errorf("promtool %v:\n%s", args, out)
		}
	}
}

// Each alert fires when it must, with the text that it must have, and is silent when it must be.
func TestRules_EachFiresAndIsSilent(t *testing.T) {
	t.Parallel()
	if out, ok := promtool(t, filepath.Dir(ruleTests), "test", "rules", filepath.Base(ruleTests)); !ok {
		t.Errorf("promtool test rules:\n%s", out)
	}
	var file struct {
		Tests []struct {
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, ruleTests)), &file); err != nil {
		t.Fatal(err)
	}
	fires, silent := map[string]int{}, map[string]int{}
	for _, c := range file.Tests {
		for _, a := range c.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname]++
			} else {
				silent[a.Alertname]++
			}
		}
	}
	for _, r := range readRules(t) {
		if fires[r.Alert] == 0 || silent[r.Alert] == 0 {
			t.Errorf("%s: %d cases in which it fires, %d in which it is silent", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}
