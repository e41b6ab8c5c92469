package gateways

import (
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
)

// recorder stands between a gateway and verify, and records what one asked and the other answered.
type recorder struct {
	addr   string
	verify string
	client *http.Client

	mu     sync.Mutex
	asked  []*http.Request
	status []int // of the answers that the gateway was still there for
}

func startRecorder(t *testing.T, verify string) *recorder {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	r := &recorder{verify: verify, client: &http.Client{Transport: transport}}
	t.Cleanup(transport.CloseIdleConnections)
	r.addr = serve(t, r)
	return r
}

func (c *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI, out.URL = "", rawURL(c.verify, r.RequestURI)
	c.mu.Lock()
	c.asked = append(c.asked, r.Clone(r.Context()))
	c.mu.Unlock()
	answer, err := c.client.Do(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	c.mu.Lock()
	if r.Context().Err() == nil { // it ends when the gateway gives up
		c.status = append(c.status, answer.StatusCode)
	}
	c.mu.Unlock()
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// take returns what was recorded since the last call.
func (c *recorder) take() (asked []*http.Request, status []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked, status = c.asked, c.status
	c.asked, c.status = nil, nil
	return asked, status
}
