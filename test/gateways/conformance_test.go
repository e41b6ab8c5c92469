package gateways

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestConformance runs every case before every gateway, and ties the table in docs/gateways.md to what came out.
func TestConformance(t *testing.T) {
	var mu sync.Mutex
	cells := map[string]string{} // by gateway and case
	t.Run("gateways", func(t *testing.T) {
		forEach(t, withGRPC, func(t *testing.T, g gateway) {
			w := newWorld(t, g)
			for _, c := range conformances {
				t.Run(c.name, func(t *testing.T) {
					cell := w.conforms(t, c)
					mu.Lock()
					defer mu.Unlock()
					cells[g.Name()+c.name] = cell
				})
			}
		})
	})
	if t.Failed() {
		return
	}
	var rows []string
	for _, c := range conformances {
		rows = append(rows, c.name)
	}
	if testing.Short() { // then not every gateway ran
		_, documented, _ := markedPart(t, "conformance")
		for key, cell := range cellsOf(documented) {
			if ran, did := cells[key]; did && ran != cell {
				t.Errorf("%s: %s ran, %s has %s", key, ran, document, cell)
			}
		}
	} else {
		tied(t, "conformance", table(rows, cells))
	}
	for _, row := range rows {
		for _, g := range withGRPC[len(gateways):] {
			cell, did := cells[g.Name()+row]
			if http, also := cells[envoy{}.Name()+row]; did && also && cell != http {
				t.Errorf("%s: %s: %s, and %s over HTTP", g.Name(), row, cell, cells[envoy{}.Name()+row])
			}
		}
	}
}

// cellsOf returns the cells of a table, by the gateway's name and the row's.
func cellsOf(table string) map[string]string {
	cells := map[string]string{}
	var columns []string
	for line := range strings.Lines(table) {
		parts := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		if columns == nil {
			columns = parts
			continue
		}
		for i, cell := range parts[1:] {
			cells[columns[i+1]+parts[0]] = cell
		}
	}
	return cells
}

// table returns a table with a column for each gateway. cells has them by the gateway's name and the row's.
func table(rows []string, cells map[string]string) string {
	var b strings.Builder
	b.WriteString("| case |")
	for _, g := range gateways {
		b.WriteString(" " + g.Name() + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(gateways)) + "\n")
	for _, row := range rows {
		b.WriteString("| " + row + " |")
		for _, g := range gateways {
			b.WriteString(" " + cells[g.Name()+row] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// conforms runs one case and returns its cell of the table.
func (w *world) conforms(t *testing.T, c conformance) string {
	t.Helper()
	r, v := c.prepare(t, w)
	response, body, reached := w.send(t, r)
	want := http.StatusOK
	if c.outcome != allowed {
		want = w.gateway.Status(c.outcome)
	}
	if response.StatusCode != want {
		t.Errorf("status %d, want %d: %s", response.StatusCode, want, body)
	}
	if want != http.StatusOK {
		if len(reached) != 0 || response.Header.Get("X-Application") != "" {
			t.Errorf("it was refused, and reached the application %d times", len(reached))
		}
		w.tells(t, response)
		return fmt.Sprint(response.StatusCode)
	}
	w.passed(t, r, v, reached)
	if c.outcome == late {
		return "200, late"
	}
	if seen, ok := r.seenAs[w.gateway.Name()]; ok {
		return "200, `" + seen + "`"
	}
	return fmt.Sprint(response.StatusCode)
}

// tells checks what a refusal has in addition to its status, where the gateway can say it.
func (w *world) tells(t *testing.T, refusal *http.Response) {
	t.Helper()
	switch w.gateway.(type) {
	case nginx, haproxy, caddy, traefik, apisix:
	default:
		return
	}
	header := refusal.Header
	if refusal.StatusCode == http.StatusUnauthorized && !strings.HasPrefix(header.Get("WWW-Authenticate"), `Bearer realm="cloakroom"`) {
		t.Errorf("WWW-Authenticate is %q", header.Get("WWW-Authenticate"))
	}
	if refusal.StatusCode == http.StatusServiceUnavailable && w.gateway.Status(down) == http.StatusServiceUnavailable &&
		w.gateway != (apisix{}) && header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", header.Get("Retry-After"))
	}
}

// passed checks that r of v reached the application once, whole, with the identity headers of v and no other.
func (w *world) passed(t *testing.T, r request, v *visitor, reached []*seen) {
	t.Helper()
	if len(reached) != 1 {
		t.Errorf("it reached the application %d times", len(reached))
		return
	}
	got := reached[0]
	r.wire() // sets what is left out
	target := cmp.Or(r.seenAs[w.gateway.Name()], r.target)
	if got.method != r.method || got.target != target || got.body != int64(r.body) {
		t.Errorf("the application saw %s %s with %d bytes, want %s %s with %d", got.method, got.target, got.body, r.method, target, r.body)
	}
	if got.host != clientHost {
		t.Errorf("the application saw the host %s", got.host)
	}
	w.known(t, v, got)
}

// wants returns the identity headers of v that the application has to see, in lower case.
func (w *world) wants(v *visitor) map[string]string {
	if _, ok := w.gateway.(oathkeeper); ok {
		return v.json
	}
	return v.header
}

// known checks that the application saw the identity headers of v, each once, and no other.
func (w *world) known(t *testing.T, v *visitor, got *seen) {
	t.Helper()
	found := got.identity()
	for name, value := range w.wants(v) {
		if !slices.Equal(found[name], []string{value}) || got.php(name) != value {
			t.Errorf("the application saw %s %q, in $_SERVER %q, want %q", name, found[name], got.php(name), value)
		}
		delete(found, name)
	}
	for name, values := range found { // an empty one is none
		if !slices.Equal(values, []string{""}) {
			t.Errorf("the application saw %s %q", name, values)
		}
	}
}

const document = "../../docs/gateways.md"

// tied compares the part of docs/gateways.md between two comments with the name to want; with -update it writes it.
func tied(t *testing.T, name, want string) {
	t.Helper()
	before, got, after := markedPart(t, name)
	switch {
	case got == want:
	case *update:
		text := before + "<!-- " + name + " -->\n" + want + "<!-- /" + name + " -->\n" + after
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what ran (go test ./test/gateways -update writes it):\n%s", document, want)
	}
}

// markedPart returns the part of the document that is marked by name, and what is before and after it.
func markedPart(t *testing.T, name string) (before, part, after string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), "<!-- "+name+" -->\n")
	part, after, ok2 := strings.Cut(rest, "<!-- /"+name+" -->\n")
	if !ok1 || !ok2 {
		t.Fatalf("%s has no part between <!-- %s --> and <!-- /%s -->", document, name, name)
	}
	return before, part, after
}
