package result

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Write writes NAME.json, and NAME-RUN.hgrm for each run that has answers; it makes
// NAME's directory if there is none. An empty name writes nothing.
func (r *Result) Write(name string) error {
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
	h, err := r.Latency.Histogram()
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

// File is a Result and where it was read from.
type File struct {
	Result
	Name string // of the file, without the directory
}

// Read reads a file that Write has written. It fails if the file is not a result,
// or has another Format.
func Read(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &File{Name: filepath.Base(path)}
	if err := json.Unmarshal(data, &r.Result); err != nil {
		return nil, fmt.Errorf("%s is not a result: %w", path, err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%s: format %d is not known, only %d", path, r.Format, Format)
	}
	return r, nil
}

// End writes the result as Write does. It fails, after that, if a run proves nothing.
func (r *Result) End(out string) error {
	if err := r.Write(out); err != nil {
		return err
	}
	for i := range r.Runs {
		if r.Runs[i].Invalid != "" {
			return fmt.Errorf("run %d is invalid: %s", i+1, r.Runs[i].Invalid)
		}
	}
	return nil
}
