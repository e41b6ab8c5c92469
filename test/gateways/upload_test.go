package gateways

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Some gateways cut a request that takes longer than a few seconds, 5 s if Oathkeeper is not told.
func TestUpload_SlowOnesAreNotCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apisix{})
	v := w.ours.login(t, "upload")
	var addrs []string
	for _, g := range gateways {
		addrs = append(addrs, g.Start(t, w.verify.Addr, w.app.addr))
	}
	w.app.take() // what looked whether the gateways are there
	const seconds, piece = 7, 100
	r := request{method: http.MethodPost, body: seconds * piece}.bearer(v)
	sent := make(chan error, len(addrs))
	for i, addr := range addrs { // all at the same time
		go func() {
			if err := trickle(addr, r, piece); err != nil {
				sent <- fmt.Errorf("%s: %w", gateways[i].Name(), err)
				return
			}
			sent <- nil
		}()
	}
	for range addrs { // I7
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	reached := w.app.take()
	for _, s := range reached {
		if s.body != int64(r.body) {
			t.Errorf("the application saw %d bytes of %d", s.body, r.body)
		}
	}
	if len(reached) != len(gateways) {
		t.Errorf("the application saw %d requests of %d", len(reached), len(gateways))
	}
}

// trickle sends r, a piece of its body in each second, and returns an error if the answer is not 200.
func trickle(addr string, r request, piece int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, r.wire()); err != nil {
		return err
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for left := r.body; left > 0; left -= piece {
		<-second.C
		if _, err := io.WriteString(conn, strings.Repeat("0", piece)); err != nil {
			return err
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
