package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// write writes NAME.json, and NAME-RUN.hgrm for each run that has answers. An
// empty name writes nothing.
func (r *Result) write(name string) error {
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(name+".json", append(b, '\n'), 0o666); err != nil {
		return err
	}
	for i := range r.Runs {
		if err := r.Runs[i].writePercentiles(fmt.Sprintf("%s-%d.hgrm", name, i+1)); err != nil {
			return err
		}
	}
	return nil
}

// writePercentiles writes the run's latency in milliseconds, as HdrHistogram's tools read it.
func (r *Run) writePercentiles(name string) (err error) {
	if r.Latency.HDR == "" {
		return nil
	}
	h, err := r.Latency.histogram()
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriter(f)
	if _, err := h.PercentilesPrint(w, 5, float64(time.Millisecond)); err != nil {
		return err
	}
	return w.Flush()
}

// resultFile is a Result and the name of its file, without the directory.
type resultFile struct {
	Result
	name string
}

// readResult reads what a measurement left behind.
func readResult(path string) (*resultFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &resultFile{name: filepath.Base(path)}
	if err := json.Unmarshal(data, &r.Result); err != nil {
		return nil, fmt.Errorf("%s is not a result: %w", path, err)
	}
	if r.Format != resultFormat {
		return nil, fmt.Errorf("%s: format %d is not known, only %d", path, r.Format, resultFormat)
	}
	return r, nil
}

// end writes the result. It fails if a run proves nothing.
func (r *Result) end(out string) error {
	if err := r.write(out); err != nil {
		return err
	}
	for i := range r.Runs {
		if r.Runs[i].Invalid != "" {
			return fmt.Errorf("run %d is invalid: %s", i+1, r.Runs[i].Invalid)
		}
	}
	return nil
}
