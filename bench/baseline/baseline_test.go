package baseline

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestBaseline_AnswersExactlyTheBytesAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Command(ctx, []string{"--addr", "127.0.0.1:0", "--bytes", "950"}, w, io.Discard)
		w.Close()
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err, <-ended)
	}
	addr := strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
	var client fasthttp.Client
	for _, path := range []string{"/", "/v2/sessions/1"} {
		status, body, err := client.Get(nil, "http://"+addr+path)
		if err != nil || status != fasthttp.StatusOK || len(body) != 950 || !json.Valid(body) {
			t.Errorf("GET %s: status %d, %d bytes, %v; want 200 and 950 bytes of JSON", path, status, len(body), err)
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("at its end: %v", err)
	}
}

func TestJSONOf_Limits(t *testing.T) {
	for _, size := range []int{12, 13, 1 << 10} {
		b, err := jsonOf(size)
		if err != nil || len(b) != size || !json.Valid(b) {
			t.Errorf("jsonOf(%d): got %q, %v", size, b, err)
		}
	}
}
