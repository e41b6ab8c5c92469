package rpc

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
)

// All requests together may receive only so many bytes. An answered one gives its bytes back.
func TestBodies(t *testing.T) {
	const most = 10 // of all
	inner := func(int) {}
	depth := 0
	var reads []error
	h := withBodies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		reads = append(reads, err)
		inner(len(reads))
	}), 10, most)
	ask := func(body string) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	}
	inner = func(int) {
		if depth++; depth == 1 {
			ask("12345")
			ask("1234")
		}
	}
	ask("123456") // the two within it come while it is not answered yet
	ask("1234567890")
	if len(reads) != 4 || reads[0] != nil || reads[2] != nil || reads[3] != nil {
		t.Fatalf("got %v", reads)
	}
	var refused *connect.Error
	if !errors.As(reads[1], &refused) || refused.Code() != connect.CodeResourceExhausted {
		t.Errorf("11 of 10 bytes: %v", reads[1])
	}
}

// Of one request no more is read than a message and what is around it.
func TestBodies_TooLarge(t *testing.T) {
	var got int
	h := withBodies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if got = len(b); err != nil {
			t.Error(err)
		}
	}), 8, 1<<20)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 1000))))
	if got != 8+frameSlack {
		t.Errorf("%d bytes were read", got)
	}
}
