package torture

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// streamed is what TestStreams has measured.
type streamed struct {
	Half   int `json:"half"`   // calls whose message never ends
	Unread int `json:"unread"` // calls whose answer is never read, of half by the connection, of half by the call
	Ended  int `json:"ended"`
	getsBeside
}

const (
	// streamsEach is how many calls of one connection the program lets be at work.
	streamsEach = 250
	// mostOfAStream is the memory that a call may take that does not go on, and a piece of its message.
	mostOfAStream = 64 << 10
)

// TestStreams gets sessions beside very many calls of gRPC that do not go on: of half of them the message never ends, of
// the others the answer is not read. However few may be at work at a time, these keep nobody out, take little memory, and end.
func TestStreams(t *testing.T) {
	if !turnOf(t, 2) {
		return
	}
	const getters, gets = 8, 200 // at a time, and a second
	server := redistest.Start(t)
	grpc := redistest.FreeAddr(t)
	c := newSidecar(t, 0, server.URL(), "--near-cache-bytes", "0", "--max-in-flight", "16", "--log-level", "error", "--grpc-addr", grpc)
	c.bin = plainBin // the race detector's memory is not ours
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	known := store(t, c, 1000)
	getting := newGenerator(t, c, known.get)
	getting.closed(getters, overloadTime/10) // connections are made
	before := c.footprint(t)

	conns := max(crowds/120/4*4, 4)
	x := &streamed{Half: conns / 2 * streamsEach, Unread: conns / 2 * streamsEach}
	x.ResidentAlone = c.peak(t, func() { x.Alone = getting.open(gets, overloadTime, getters) })
	var all []*streams
	for i := range conns {
		all = append(all, newStreams(t, grpc, known.id(i), []kindOfStream{halfSent, windowShut, notRead, halfSent}[i%4]))
	}
	getting.closed(getters, max(overloadTime/10, time.Second/2)) // until those that could be answered have been at work
	x.ResidentBeside = c.peak(t, func() { x.Beside = getting.open(gets, overloadTime, getters) })
	x.good(t, x.ResidentAlone+64*mib+float64(conns*streamsEach*mostOfAStream))
	ended := func() (n int) {
		for _, s := range all {
			n += int(s.ended.Load())
		}
		return n
	}
	if want := 3 * conns / 4 * streamsEach; longForm() && !eventually.Within(patience, func() bool { return ended() >= want }) {
		t.Errorf("of %d calls %d have ended", want, ended())
	}
	// Of those that read nothing the program's goroutines tell.
	if most := before.Goroutines + float64(20*conns); longForm() && !eventually.Within(patience, func() bool {
		now, err := c.measure()
		return err == nil && now.Goroutines <= most
	}) {
		t.Errorf("the process has more than %.0f goroutines", most)
	}
	x.Ended = ended()
	for _, s := range all {
		s.close()
	}
	c.rests(t, &before)
	report.add(t, func(r *results) { r.Streams = append(r.Streams, x) })
	say(t, "gets alone: %v; %.0f MiB", x.Alone, x.ResidentAlone/mib)
	say(t, "gets beside %d calls whose message does not end and %d whose answer is not read, of which %d have ended: %v; %.0f MiB", x.Half, x.Unread, x.Ended, x.Beside, x.ResidentBeside/mib)
}

// streams are calls over one connection that do not go on.
type streams struct {
	conn  net.Conn
	begun chan struct{} // has one for each answer that has begun, or that there is none
	ended atomic.Int64
	wg    sync.WaitGroup
}

// kindOfStream is how a call does not go on: its message does not end, its window has no bytes for the answer, or nothing
// that comes over the connection is read.
type kindOfStream int

const (
	halfSent kindOfStream = iota
	windowShut
	notRead
)

// newStreams makes streamsEach calls for a session.
func newStreams(t *testing.T, addr, id string, kind kindOfStream) *streams {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if tcp := conn.(*net.TCPConn); kind == notRead {
		if err := tcp.SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
	}
	s := &streams{conn: conn, begun: make(chan struct{}, streamsEach+1)}
	t.Cleanup(s.close)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	window := uint32(1 << 16)
	if kind == windowShut {
		window = 0
	}
	_, err = io.WriteString(conn, http2.ClientPreface)
	if err == nil {
		err = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
	}
	var block strings.Builder
	e := hpack.NewEncoder(&block)
	if kind != notRead {
		s.wg.Go(func() { s.read(framer) })
	}
	message := append([]byte{0, 0, 0, 0, byte(len(id) + 2), 1<<3 | 2, byte(len(id))}, id...)
	if kind == halfSent { // of 200 KiB a quarter of one comes
		message = append([]byte{0, 0, 3, 0x20, 0}, make([]byte, 250)...)
	}
	for i := range streamsEach {
		block.Reset()
		for _, f := range [][2]string{
			{":method", "POST"},
			{":scheme", "http"},
			{":path", "/zitadel.session.v2.SessionService/GetSession"},
			{":authority", "h"},
			{"content-type", "application/grpc+proto"},
			{"te", "trailers"},
			{"authorization", "Bearer " + apiKey},
		} {
			if err == nil {
				err = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
			}
		}
		stream := uint32(2*i + 1)
		if err == nil {
			err = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(block.String()), EndHeaders: true})
		}
		if err == nil {
			err = framer.WriteData(stream, kind != halfSent, message)
		}
		if err != nil {
			t.Fatal(fmt.Errorf("a call of many: %w", err))
		}
		if kind != windowShut {
			continue
		}
		select { // one after the other: these are at work until their answers begin
		case <-s.begun:
		case <-time.After(patience):
			t.Fatal("a call has no answer")
		}
	}
	return s
}

// read counts the calls that end.
func (s *streams) read(framer *http2.Framer) {
	for {
		f, err := framer.ReadFrame()
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.StreamEnded() {
				s.ended.Add(1)
			} else {
				s.begun <- struct{}{}
			}
		case *http2.RSTStreamFrame:
			s.ended.Add(1)
		case *http2.GoAwayFrame:
			s.ended.Store(streamsEach)
		}
		if err != nil { // the connection has ended, and all of them
			s.ended.Store(streamsEach)
			return
		}
	}
}

func (s *streams) close() {
	s.conn.Close()
	s.wg.Wait() // I7
}

func (x *streamed) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Calls of gRPC that do not go on\n\n%d whose message never ended and %d whose answer was not read, %d of a connection; %d of these had ended. `--max-in-flight 16`, near cache off.\n\n",
		x.Half, x.Unread, streamsEach, x.Ended)
	x.table(b)
}
