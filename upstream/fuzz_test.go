package upstream_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/upstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Whatever is answered: what counts as found is the session that was asked for, and what can be kept is all of it.
func FuzzGetSession(f *testing.F) {
	for _, e := range recordings(f) {
		f.Add(e.Status, []byte(e.Body))
	}
	client, err := upstream.New(upstream.Config{URL: "http://127.0.0.1", SessionBytes: 4096})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	f.Fuzz(func(t *testing.T, code int, text []byte) {
		if code < 200 || code > 599 {
			return
		}
		var named struct {
			Session struct{ ID session.ID }
		}
		id := session.ID("1")
		if json.Unmarshal(text, &named) == nil {
			if given, err := session.ParseID(string(named.Session.ID)); err == nil {
				id = given
			}
		}
		a := &upstream.Answer{Status: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: text}
		got, err := upstream.Read(client, a, id, upstream.As(callers))
		if (err == nil) != (got != nil) {
			t.Fatalf("%v, %v", got, err)
		}
		if err != nil {
			return
		}
		if (got.Outcome == upstream.Found) != (code == 200) || code >= 500 || got.Outcome != upstream.Found && (got.Raw != nil || got.Decoded != nil || got.Keepable) {
			t.Fatalf("%d: %+v", code, got)
		}
		if got.Outcome != upstream.Found {
			return
		}
		if !json.Valid(got.Raw) || got.Decoded != nil && got.Decoded.ID != id {
			t.Fatalf("%s: %+v", id, got)
		}
		if !got.Keepable {
			if got.Why == "" {
				t.Fatal("nothing says why it is not kept")
			}
			return
		}
		again, err := session.ParseWhole(session.AppendJSON(nil, got.Decoded))
		if err != nil || got.Decoded.Validate(4096) != nil {
			t.Fatalf("%s: %v", got.Raw, err)
		}
		if !bytes.Equal(session.AppendJSON(nil, again), session.AppendJSON(nil, got.Decoded)) {
			t.Fatalf("%s is kept as %s", got.Raw, session.AppendJSON(nil, again))
		}
	})
}

func TestMetrics_AreNamedAsPrometheusWantsIt(t *testing.T) {
	t.Parallel()
	s := serve(t, recorded(t, "connect v2 get").handler)
	c := ask(t, s.URL)
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	families, err := prometheus.Gatherers{c.metrics}.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if c.count(t, "cloakroom_upstream_calls_total get 2xx") != 1 || c.count(t, "cloakroom_upstream_call_seconds get") != 1 {
		t.Error("a call is not counted")
	}
}
