package scenario

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"golang.org/x/net/http2/hpack"
)

// grpcCaller makes unary calls of gRPC over one connection, one at a time. It speaks no
// more HTTP/2 (RFC 9113) than that needs, because generator and server share the cores:
// its headers are the same bytes for each call, it allows the server all that it may ever
// send, and has it keep no state for headers, so that each answer's are read by themselves.
type grpcCaller struct {
	// headers is the block of a call's headers, message what is sent.
	headers []byte
	message pattern
	stream  uint32 // of the last call; 0 on a new connection
	// owed are frames that the server has asked for, and that go before the next call;
	// Parse, which may be called several times for an answer, has those from kept on from
	// the one that it reads.
	owed []byte
	kept int
	body []byte
}

const (
	preface        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHead      = 9
	frameData      = 0
	frameHeaders   = 1
	frameSettings  = 4
	framePing      = 6
	frameWindow    = 8
	flagEnd        = 1 // of a stream; of settings and pings: acknowledged
	flagAllHeaders = 4
	longestWindow  = 1<<31 - 1
	firstWindow    = 65_535
	messageHead    = 5
)

// newGRPCCaller calls a procedure, with the API key of c unless that is "", and headers as
// name and value by turns. message is a pattern.
func newGRPCCaller(c Config, procedure string, message []byte, headers ...string) *grpcCaller {
	block := []byte{0x83, 0x86} // :method POST, :scheme http, as the static table has them
	block = appendHeader(append(block, 0x04), "", procedure)
	block = appendHeader(append(block, 0x01), "", c.Host)
	headers = append(headers, "content-type", "application/grpc+proto", "te", "trailers")
	if c.Key != "" {
		headers = append(headers, "authorization", "Bearer "+c.Key)
	}
	for i := 0; i < len(headers); i += 2 {
		block = appendHeader(append(block, 0), headers[i], headers[i+1])
	}
	return &grpcCaller{headers: block, message: newPattern(message)}
}

// appendHeader appends a header that is kept in no table (RFC 7541, 6.2.2); the name is
// left out if it is "".
func appendHeader(b []byte, name, value string) []byte {
	for i, text := range []string{name, value} {
		if i == 0 && text == "" {
			continue
		}
		if n := len(text); n < 127 {
			b = append(b, byte(n))
		} else {
			b = binary.AppendUvarint(append(b, 127), uint64(n-127))
		}
		b = append(b, text...)
	}
	return b
}

func appendFrame(b []byte, kind, flags byte, stream uint32, payload ...byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// Connected tells that the next call is the first of a connection.
func (g *grpcCaller) Connected() { g.stream, g.owed, g.kept = 0, g.owed[:0], 0 }

// next appends the next call.
func (g *grpcCaller) next(b []byte) []byte {
	if g.stream == 0 {
		b = append(b, preface...)
		settings := []byte{0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4} // no table, no push, and the window of a stream
		b = appendFrame(b, frameSettings, 0, 0, binary.BigEndian.AppendUint32(settings, longestWindow)...)
		b = appendFrame(b, frameWindow, 0, 0, binary.BigEndian.AppendUint32(nil, longestWindow-firstWindow)...)
		g.stream = 1
	} else {
		g.stream += 2
	}
	b = append(b, g.owed...)
	g.owed, g.kept = g.owed[:0], 0
	b = appendFrame(b, frameHeaders, flagAllHeaders, g.stream, g.headers...)
	n := len(g.message.bytes)
	b = append(b, byte((n+messageHead)>>16), byte((n+messageHead)>>8), byte(n+messageHead), frameData, flagEnd)
	b = binary.BigEndian.AppendUint32(b, g.stream)
	b = binary.BigEndian.AppendUint32(append(b, 0), uint32(n))
	return append(b, g.message.bytes...)
}

// good is the block of trailers' header that says that a call went well.
var good = func() string {
	var b strings.Builder
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	b.Reset()
	_ = e.WriteField(hpack.HeaderField{Name: "grpc-status", Value: "0"}) // into memory
	// Only what stands behind a change of the table's size, and how the name is written.
	text := b.String()
	return text[strings.IndexByte(text, 0)+1:]
}()

// frame is one frame of HTTP/2.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// nextFrame returns the frame that b begins with and its length, 0 if b has not all of it.
func nextFrame(b []byte) (f frame, n int) {
	if len(b) < frameHead {
		return f, 0
	}
	n = frameHead + (int(b[0])<<16 | int(b[1])<<8 | int(b[2]))
	if len(b) < n {
		return f, 0
	}
	return frame{b[3], b[4], binary.BigEndian.Uint32(b[5:]), b[frameHead:n]}, n
}

// Parse implements what load.Client may have. The status is 200 if that of the call is 0.
func (g *grpcCaller) Parse(b []byte, a *load.Answer) (n, least int, err error) {
	g.body, g.owed = g.body[:0], g.owed[:g.kept]
	headers, ended := 0, false
	for {
		f, length := nextFrame(b[n:])
		if length == 0 {
			break
		}
		n += length
		switch {
		case f.stream == 0:
			err = g.control(f)
		case f.stream != g.stream || f.kind == frameWindow:
		case f.kind == frameData:
			g.body = append(g.body, f.payload...)
		case f.kind == frameHeaders && f.flags&flagAllHeaders != 0:
			if headers++; headers == 1 && f.flags&flagEnd == 0 {
				break
			}
			if a.Status = 200; !strings.Contains(string(f.payload), good) {
				a.Status, a.Body = 500, fmt.Appendf(nil, "%v", decoded(f.payload))
			}
		default:
			err = fmt.Errorf("a frame of type %d with the flags %d: %x", f.kind, f.flags, f.payload)
		}
		if err != nil {
			return 0, 0, err
		}
		ended = ended || f.stream == g.stream && f.kind <= frameHeaders && f.flags&flagEnd != 0
	}
	if !ended || n < len(b) {
		return 0, len(b) + 1, nil
	}
	a.Head, a.Bytes, a.Close = nil, n, false
	g.kept = len(g.owed)
	if a.Status == 200 {
		a.Body, err = unframed(g.body)
	}
	return n, 0, err
}

// control takes a frame that is about the connection, and owes what it asks for.
func (g *grpcCaller) control(f frame) error {
	switch acknowledges := f.flags&flagEnd != 0; {
	case f.kind == frameSettings && !acknowledges:
		g.owed = appendFrame(g.owed, frameSettings, flagEnd, 0)
	case f.kind == framePing && !acknowledges:
		g.owed = appendFrame(g.owed, framePing, flagEnd, 0, f.payload...)
	case f.kind != frameSettings && f.kind != framePing && f.kind != frameWindow:
		return fmt.Errorf("a frame of type %d for the connection: %x", f.kind, f.payload)
	}
	return nil
}

// Unasked implements what load.Client may have: between two calls only frames about the
// connection may come.
func (g *grpcCaller) Unasked(b []byte) bool {
	for len(b) > 0 {
		f, n := nextFrame(b)
		if n == 0 || f.kind != frameWindow && (f.stream != 0 || g.control(f) != nil) {
			return false
		}
		b = b[n:]
	}
	g.kept = len(g.owed)
	return true
}

// unframed returns the only message of a body.
func unframed(body []byte) ([]byte, error) {
	if len(body) < messageHead || body[0] != 0 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-messageHead {
		return nil, fmt.Errorf("not one message: %.20x", body)
	}
	return body[messageHead:], nil
}

// decoded returns the headers of a block, as text.
func decoded(block []byte) (fields []string) {
	d := hpack.NewDecoder(0, func(f hpack.HeaderField) { fields = append(fields, f.Name+": "+f.Value) })
	if _, err := d.Write(block); err != nil {
		fields = append(fields, err.Error())
	}
	return fields
}
