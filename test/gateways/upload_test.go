package gateways

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Some gateways cut a request that takes longer than a few seconds, 5 s if Oathkeeper is not told.
func TestUpload_SlowOnesAreNotCut(t *testing.T) {
	forEach(t, gateways, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		v := w.ours.login(t, "upload")
		const pieces, piece = 7, 100
		r := request{method: http.MethodPost, body: pieces * piece}.bearer(v)
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, r.wire()); err != nil {
			t.Fatal(err)
		}
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for i := range pieces {
			<-second.C
			if _, err := io.WriteString(conn, strings.Repeat("0", piece)); err != nil {
				t.Fatalf("after %d s: %v", i+1, err)
			}
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("status %d", response.StatusCode)
		}
		w.passed(t, r, v, w.app.take())
	})
}
