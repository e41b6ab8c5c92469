package gateways

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// What verify has said of one request does not hold for the next one on the same connection of a client, which may be
// another gateway with clients of its own.
func TestSameConnection(t *testing.T) {
	forEach(t, gateways, func(t *testing.T, g gateway) {
		w := newWorld(t, g)
		a, b := w.ours.login(t, "first"), w.ours.login(t, "second")
		requests := []struct {
			request
			of *visitor // nil is refused
		}{
			{request{}.by(a), a},
			{request{}, nil},
			{request{}.by(b), b},
			{request{}.bearer(a), a},
			{request{method: http.MethodHead}, nil},
			{request{method: http.MethodHead}.by(a), a},
			{request{}, nil},
			{request{}.by(&visitor{token: "1.x"}), nil},
			{request{}.by(b), b},
		}
		for _, pipelined := range []bool{false, true} {
			conn, err := net.Dial("tcp", w.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			if pipelined {
				for i := range requests {
					if _, err := io.WriteString(conn, requests[i].wire()); err != nil {
						t.Fatal(err)
					}
				}
			}
			for i, q := range requests {
				if !pipelined {
					if _, err := io.WriteString(conn, q.wire()); err != nil {
						t.Fatal(err)
					}
				}
				response, err := http.ReadResponse(r, &http.Request{Method: q.method})
				if err != nil {
					t.Fatalf("request %d, pipelined %v: %v", i, pipelined, err)
				}
				_, err = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if err != nil {
					t.Fatalf("request %d, pipelined %v: %v", i, pipelined, err)
				}
				if want := q.of != nil; (response.StatusCode == http.StatusOK) != want || response.StatusCode != http.StatusOK && response.StatusCode != http.StatusUnauthorized {
					t.Errorf("request %d, pipelined %v: status %d", i, pipelined, response.StatusCode)
				}
			}
			reached := w.app.take()
			for _, q := range requests {
				if q.of == nil {
					continue
				}
				if len(reached) == 0 {
					t.Fatal("the application has not seen all that pass")
				}
				w.known(t, q.of, reached[0])
				reached = reached[1:]
			}
			if len(reached) != 0 {
				t.Errorf("the application saw %d more requests", len(reached))
			}
		}
	})
}
