package prometheus_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// server is a running Prometheus.
type server struct {
	t    *testing.T
	addr string
}

// startPrometheus starts one with the files of deploy/prometheus as they are, but for what it scrapes and how often.
func startPrometheus(t *testing.T, targets ...string) *server {
	t.Helper()
	bin, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: .ci/install-prometheus installs it", err)
	}
	dir := t.TempDir()
	conf := read(t, rulesDir+"prometheus.yaml")
	for _, change := range [][2]string{
		{"scrape_interval: 15s", "scrape_interval: 200ms"},
		{"evaluation_interval: 15s", "evaluation_interval: 500ms"},
		{"          - 127.0.0.1:9090\n", "          - " + strings.Join(targets, "\n          - ") + "\n"},
	} {
		if strings.Count(conf, change[0]) != 1 {
			t.Fatalf("prometheus.yaml does not have %q once", change[0])
		}
		conf = strings.Replace(conf, change[0], change[1], 1)
	}
	for name, text := range map[string]string{"prometheus.yaml": conf, rulesFile: read(t, rulesDir+rulesFile)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{t: t, addr: redistest.FreeAddr(t)}
	programtest.Start(t, "prometheus", "http://"+s.addr+"/-/ready", bin, "--config.file", filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", s.addr, "--log.level", "warn")
	return s
}

// get asks its HTTP API, and decodes what is under data.
func (s *server) get(path string, query url.Values, data any) error {
	s.t.Helper()
	response, err := http.Get("http://" + s.addr + path + "?" + query.Encode())
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return nil
}

// sample is a value with its labels.
type sample struct {
	Metric map[string]string
	Value  [2]any // when, and the number as text
}

// number returns the value.
func (s sample) number(t *testing.T) float64 {
	t.Helper()
	text, _ := s.Value[1].(string)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// query evaluates an expression now.
func (s *server) query(expr string) (found []sample, err error) {
	s.t.Helper()
	var data struct {
		ResultType string
		Result     []sample
	}
	if err := s.get("/api/v1/query", url.Values{"query": {expr}}, &data); err != nil {
		return nil, err
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("it is a %s", data.ResultType)
	}
	return data.Result, nil
}

// sees says whether an expression has a value that is a number.
func (s *server) sees(expr string) bool {
	s.t.Helper()
	found, err := s.query(expr)
	if err != nil {
		s.t.Fatalf("%s: %v", expr, err)
	}
	return anyNumber(s.t, found)
}

func anyNumber(t *testing.T, found []sample) bool {
	t.Helper()
	for _, f := range found {
		if n := f.number(t); !math.IsNaN(n) && !math.IsInf(n, 0) {
			return true
		}
	}
	return false
}
