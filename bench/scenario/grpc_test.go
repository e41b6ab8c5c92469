package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"golang.org/x/net/http2/hpack"
)

// answerOf is what a server sends for the first call of a connection.
func answerOf(t *testing.T, message string, trailers ...string) []byte {
	t.Helper()
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSize(0)
	headers := func(flags byte, fields ...string) []byte {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			if err := e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
				t.Fatal(err)
			}
		}
		return appendFrame(nil, frameHeaders, flags|flagAllHeaders, 1, []byte(block.String())...)
	}
	b := appendFrame(nil, frameSettings, 0, 0, 0, 3, 0, 0, 0, 250)
	b = appendFrame(b, frameSettings, flagEnd, 0)
	b = append(b, headers(0, ":status", "200", "content-type", "application/grpc+proto")...)
	framed := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	b = appendFrame(b, frameData, 0, 1, framed[:3]...)
	b = appendFrame(b, framePing, 0, 0, []byte("12345678")...)
	b = appendFrame(b, frameData, 0, 1, framed[3:]...)
	return append(b, headers(flagEnd, trailers...)...)
}

// An answer is known to be whole at its last byte and not before; the server's settings and
// pings are acknowledged with the next call.
func TestGRPC_Parse(t *testing.T) {
	d := Dataset{Sessions: 10, Newest: time.Unix(1, 0)}
	c := newGetGRPC(Config{Data: d, Host: "h", Key: "k"}).Client(0, load.NewRand(1, 1)).(*grpcGetter)
	for range 2 {
		c.Connected()
		request, want := c.Next(nil)
		if !strings.HasPrefix(string(request), preface) || !strings.Contains(string(request), "Bearer k") || want != 200 {
			t.Fatalf("%q", request)
		}
		var a load.Answer
		whole := answerOf(t, SessionID(c.current), "grpc-status", "0")
		for n := range whole {
			if got, least, err := c.Parse(whole[:n], &a); got != 0 || least <= n || err != nil {
				t.Fatalf("%d of %d bytes: %d, %d, %v", n, len(whole), got, least, err)
			}
		}
		if n, _, err := c.Parse(whole, &a); n != len(whole) || err != nil || a.Status != 200 || c.Check(&a) != nil {
			t.Fatalf("%d of %d, %v, %+v", n, len(whole), err, a)
		}
		if !c.Unasked(appendFrame(nil, frameWindow, 0, 0, 0, 0, 0, 9)) || c.Unasked(appendFrame(nil, frameData, 0, 1)) || c.Unasked([]byte("x")) {
			t.Error("what is asked for is not told from what is not")
		}
		request, _ = c.Next(nil)
		owed := string(appendFrame(appendFrame(nil, frameSettings, flagEnd, 0), framePing, flagEnd, 0, []byte("12345678")...))
		if !strings.HasPrefix(string(request), owed) || c.stream != 3 {
			t.Errorf("the second call begins with %x", request[:40])
		}
	}
	c.Connected()
	c.Next(nil)
	var a load.Answer
	if n, _, err := c.Parse(answerOf(t, "", "grpc-status", "5", "grpc-message", "no such session"), &a); n == 0 || err != nil || a.Status != 500 || !strings.Contains(string(a.Body), "no such session") {
		t.Errorf("%d, %v, %+v: %s", n, err, a, a.Body)
	}
}
