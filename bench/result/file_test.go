package result

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestResult_Write(t *testing.T) {
	h := NewHistogram()
	if err := h.RecordValue(int64(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	latency, err := NewDistribution(h)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "new", "x")
	if err := (&Result{Runs: []Run{{}, {Latency: latency}}}).Write(name); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name + "-2.hgrm")
	if err != nil || !bytes.Contains(b, []byte("Percentile")) {
		t.Errorf("%.100q, %v", b, err)
	}
	if _, err := os.Stat(name + "-1.hgrm"); err == nil {
		t.Error("a run without answers has percentiles")
	}
	if _, err := os.Stat(name + ".json"); err != nil {
		t.Error(err)
	}
}
