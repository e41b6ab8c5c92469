package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// seed stores a dataset through the import API.
func seed(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	var f datasetFlags
	f.register(flags)
	target := flags.String("target", "http://127.0.0.1:8080", "the program: `URL`")
	keyFile := flags.String("key-file", "", "`FILE` with the API key; default the environment's "+keyVariable)
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	d, err := f.dataset("seed")
	if err != nil {
		return err
	}
	e, err := parseEndpoint(*target)
	if err != nil {
		return fmt.Errorf("--target: %w", err)
	}
	key, err := readKey(*keyFile)
	if err != nil {
		return err
	}
	var t tally
	begin := time.Now()
	stop := progress(stderr, "seeding sessions", int64(d.sessions), t.look)
	report, err := importLines(ctx, e, key, func(w io.Writer) error {
		return d.write(ctx, w, func(n int) { t.done.Store(int64(n)) })
	})
	stop()
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	fmt.Fprintf(stdout, "%d stored, %d expired, %d failed in %.1f s: %.0f/s; newest %s\n", report.Stored, report.Expired, report.Failed, took, float64(report.Stored)/took, date(d.newest))
	if report.Stored != d.sessions {
		return fmt.Errorf("%d of %d sessions are stored: %v", report.Stored, d.sessions, report.Errors)
	}
	return nil
}

// imported is the import API's answer.
type imported struct {
	Stored, Expired, Failed int
	Errors                  []struct {
		Line    int
		Message string
	}
}

// importLines streams what write writes in one request, a session on each line.
func importLines(ctx context.Context, e endpoint, key string, write func(io.Writer) error) (*imported, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) },
	}}
	defer client.CloseIdleConnections()
	body, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(write(w))
	}()
	defer func() {
		body.Close()
		<-ended
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.host+"/v2/sessions/import", bufio.NewReaderSize(body, 1<<16))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("import: status %d: %.300s", answer.StatusCode, text)
	}
	report := new(imported)
	return report, json.Unmarshal(text, report)
}

// readKey returns the API key, which is nowhere in a result.
func readKey(file string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(keyVariable)), nil
	}
	b, err := os.ReadFile(file)
	return strings.TrimSpace(string(b)), err
}
