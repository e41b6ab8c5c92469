package prometheus_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dashboardFile = deploy + "grafana/cloakroom.json"

// dashboard is what these tests read of Grafana's JSON.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []variable }
	Links         []struct{ URL string }
}

type variable struct {
	Name, Type string
	Query      json.RawMessage
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Collapsed                bool
	Panels                   []panel // of a row that is collapsed
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
		}
	}
	Targets []target
}

type target struct {
	RefID, Expr, LegendFormat string
	Datasource                struct{ Type, UID string }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// charts are the panels that have queries.
func (d dashboard) charts() []panel {
	return slices.DeleteFunc(slices.Clone(d.Panels), func(p panel) bool { return p.Type == "row" })
}

// variable returns the text of a variable's query.
func (d dashboard) variable(t *testing.T, name string) string {
	t.Helper()
	for _, v := range d.Templating.List {
		var text string
		var form struct{ Query string }
		switch {
		case v.Name != name:
		case json.Unmarshal(v.Query, &text) == nil:
			return text
		case json.Unmarshal(v.Query, &form) == nil:
			return form.Query
		}
	}
	t.Fatalf("there is no variable %s", name)
	return ""
}

// Grafana 10 and later takes the file as it is: the data source is chosen, IDs are unique, and no panel hides another.
func TestDashboard_GrafanaTakesIt(t *testing.T) {
	d := readDashboard(t)
	// 36 came with Grafana 9, 38 with 10. Grafana migrates older ones, but not newer ones.
	if d.SchemaVersion < 36 || d.SchemaVersion > 38 {
		t.Errorf("the schema version is %d", d.SchemaVersion)
	}
	if d.UID == "" || d.Title == "" || d.variable(t, "datasource") != "prometheus" {
		t.Error("a UID, a title or the choice of a data source is missing")
	}
	// A file in which __inputs stand is good for the import by hand only, not for a directory that Grafana reads.
	if strings.Contains(read(t, dashboardFile), "__inputs") {
		t.Error("the dashboard has inputs")
	}
	ids, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok || p.ID <= 0 {
			t.Errorf("%q and %q have the ID %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		g := p.GridPos
		if g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > 24 || g.Y < 0 {
			t.Errorf("%q lies at %+v, outside of the 24 columns", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			if p.Collapsed || len(p.Panels) > 0 {
				t.Errorf("the row %q is closed: these tests do not look into it", p.Title)
			}
			continue
		}
		if !slices.Contains([]string{"stat", "timeseries"}, p.Type) || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("%q: its type, its data source or its queries are wrong", p.Title)
		}
		// https://grafana.com/docs/grafana/latest/panels-visualizations/configure-standard-options/
		if units := []string{"short", "percentunit", "reqps", "ops", "s", "bytes"}; !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
			t.Errorf("%q: unit %q is not one of %v", p.Title, p.FieldConfig.Defaults.Unit, units)
		}
		if s := p.FieldConfig.Defaults.Thresholds.Steps; len(s) == 0 || s[0].Value != nil {
			t.Errorf("%q: the first threshold must be without a value", p.Title)
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if q.Expr == "" || refs[q.RefID] || q.Datasource.UID != "${datasource}" || q.Datasource.Type != "prometheus" {
				t.Errorf("%q: the query %q is wrong", p.Title, q.RefID)
			}
			refs[q.RefID] = true
		}
	}
}

// A title says what is good, after a colon, and a description what to do, with links to entries that are there.
func TestDashboard_SaysWhatIsGoodAndWhatToDo(t *testing.T) {
	d := readDashboard(t)
	link := regexp.MustCompile(`\$\{docs\}/([\w-]+\.md)(?:#([\w-]+))?`)
	look := func(where, text string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			page, err := os.ReadFile(docs + m[1])
			if err != nil {
				t.Errorf("%s: %v", where, err)
			} else if m[2] != "" && !regexp.MustCompile(`(?mi)^## `+m[2]+`$`).Match(page) {
				t.Errorf("%s: %s has no entry %s", where, m[1], m[2])
			}
		}
	}
	for _, p := range d.charts() {
		subject, good, ok := strings.Cut(p.Title, ": ")
		if !ok || subject == "" || good == "" {
			t.Errorf("%q does not say what is good", p.Title)
		}
		if len(p.Description) < 30 || !strings.Contains(p.Description, ".") {
			t.Errorf("%q: its description says nothing: %q", p.Title, p.Description)
		}
		look(p.Title, p.Description)
	}
	if len(d.Links) == 0 {
		t.Error("the dashboard has no link to the runbook")
	}
	for _, l := range d.Links {
		look("links", l.URL)
	}
	if base, err := url.Parse(d.variable(t, "docs")); err != nil || base.Scheme != "https" || !strings.HasSuffix(base.Path, "/docs") {
		t.Errorf("docs is %v, %v", base, err)
	}
}

// Whoever is called by an alert finds a panel that links to its entry and shows every metric that the alert asks for.
func TestDashboard_EveryAlertHasItsPanel(t *testing.T) {
	charts := readDashboard(t).charts()
	for _, r := range readRules(t) {
		at := fmt.Sprintf("(${docs}/runbook.md#%s)", strings.ToLower(r.Alert))
		var shown strings.Builder
		for _, p := range charts {
			if strings.Contains(p.Description, at) {
				for _, q := range p.Targets {
					shown.WriteString(q.Expr + "\n")
				}
			}
		}
		for _, name := range metricNames(r.Expr) {
			// That Cloakroom is in front of a ZITADEL is no measurement.
			if name == "cloakroom_upstream_away" && strings.Contains(r.Expr, "on (instance) "+name) {
				continue
			}
			if !regexp.MustCompile(`\b` + name + `\b`).MatchString(shown.String()) {
				t.Errorf("no panel with a link to %s shows %s", r.Alert, name)
			}
		}
	}
}

// metricNames are the metrics that a query names.
func metricNames(expr string) []string {
	names := regexp.MustCompile(`\b(?:cloakroom_\w+|go_\w+|process_\w+|up\b)`).FindAllString(expr, -1)
	slices.Sort(names)
	return slices.Compact(names)
}
