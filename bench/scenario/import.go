package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// Imported is the import API's answer: how many lines were stored, or not, and why.
type Imported struct {
	Stored, Expired, Failed int
	Errors                  []struct {
		Line    int
		Message string
	}
}

// Import streams what write writes, a session on each line, to the import API in one
// request. It fails if the answer is not 200; what was not stored is in Imported.
func Import(ctx context.Context, e load.Endpoint, key string, write func(io.Writer) error) (*Imported, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx) },
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
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.Host+"/v2/sessions/import", bufio.NewReaderSize(body, 1<<16))
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
	report := new(Imported)
	return report, json.Unmarshal(text, report)
}
