package torture

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// crowded is what TestCrowd has measured.
type crowded struct {
	Idle int `json:"idle"`
	Slow int `json:"slow"`
	Cut  int `json:"slow_cut"`
	getsBeside
}

// getsBeside are Gets alone, and beside something else, and what memory the process took.
type getsBeside struct {
	Alone          *outcome `json:"gets_alone"`
	Beside         *outcome `json:"gets_beside"`
	ResidentAlone  float64  `json:"resident_alone_bytes"`
	ResidentBeside float64  `json:"resident_beside_bytes"`
}

// good checks that all Gets were answered, and rightly, in no more memory than most.
func (x *getsBeside) good(t *testing.T, most float64) {
	t.Helper()
	for name, got := range map[string]*outcome{"gets alone": x.Alone, "gets beside": x.Beside} {
		got.noWrong(t, name)
		if got.Shed > 0 || got.Right+got.After == 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if x.ResidentBeside > most {
		t.Errorf("the process takes %.0f MiB, more than %.0f", x.ResidentBeside/mib, most/mib)
	}
}

// table writes a row for each.
func (x *getsBeside) table(b *strings.Builder) {
	b.WriteString("| | asked | unasked | answered | late | wrong | p50, p99 | memory, MiB |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		*outcome
		resident float64
	}{{"gets alone", x.Alone, x.ResidentAlone}, {"gets beside them", x.Beside, x.ResidentBeside}} {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %.2f, %.2f ms | %.1f |\n", row.name, row.Asked, row.Unasked, row.Right+row.After, row.Late, row.Wrong, row.P50, row.P99, row.resident/mib)
	}
}

const (
	// slowPause is how long a slow connection waits before its next byte.
	slowPause = 500 * time.Millisecond
	// idleTime is for how long a process certainly leaves a connection open that sends nothing.
	idleTime = 100 * time.Second
)

// TestCrowd gets sessions beside very many connections: some that send nothing more, and some that send a byte of a request
// now and then. However few may be at work at a time, these keep nobody out.
func TestCrowd(t *testing.T) {
	if !turnOf(t, 2) {
		return
	}
	const getters, gets = 8, 200 // at a time, and a second
	server := redistest.Start(t)
	c := newSidecar(t, 0, server.URL(), "--near-cache-bytes", "0", "--max-in-flight", "16", "--log-level", "error",
		"--max-header-bytes", "16KiB") // room for 16,384 connections
	c.bin = plainBin // the race detector's memory is not ours
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	known := store(t, c, 1000)
	getting := newGenerator(t, c, known.get)
	getting.closed(getters, overloadTime/10) // connections are made
	before := c.footprint(t)

	x := &crowded{Slow: crowds / 6}
	x.Idle = crowds - x.Slow
	x.ResidentAlone = c.peak(t, func() { x.Alone = getting.open(gets, overloadTime, getters) })
	idle := newIdlers(t, c, known, x.Idle)
	idle.ask()
	slow := newSlowOnes(t, c, x.Slow)
	x.ResidentBeside = c.peak(t, func() { x.Beside = getting.open(gets, overloadTime, getters) })
	x.good(t, mostMemory(crowds))
	idle.ask() // they are still good
	idle.close()
	if longForm() && !eventually.Within(patience, func() bool { return slow.cut() == x.Slow }) {
		t.Errorf("of %d slow connections %d are cut", x.Slow, slow.cut())
	}
	x.Cut = slow.cut()
	slow.close()
	c.rests(t, &before)
	report.add(t, func(r *results) { r.Crowds = append(r.Crowds, x) })
	say(t, "gets alone: %v; %.0f MiB", x.Alone, x.ResidentAlone/mib)
	say(t, "gets beside %d idle and %d slow connections, of which %d were cut: %v; %.0f MiB", x.Idle, x.Slow, x.Cut, x.Beside, x.ResidentBeside/mib)
}

// idlers are connections that ask for a session now and then.
type idlers struct {
	t     *testing.T
	known stored
	conns []net.Conn
	asked []time.Time
}

func newIdlers(t *testing.T, c *sidecar, known stored, n int) *idlers {
	t.Helper()
	x := &idlers{t: t, known: known, conns: dial(t, c, n), asked: make([]time.Time, n)}
	t.Cleanup(x.close)
	return x
}

// ask asks once on each connection, on a few at a time, of which no two find no place.
func (x *idlers) ask() {
	x.t.Helper()
	const askers = 8
	var wg sync.WaitGroup
	for asker := range askers {
		wg.Go(func() {
			for i := asker; i < len(x.conns); i += askers {
				rested := time.Since(x.asked[i])
				err := x.askOn(i)
				if err != nil && (x.asked[i].IsZero() || rested < idleTime) {
					x.t.Errorf("connection %d, after it has rested for %v: %v", i, rested, err)
					return
				}
				x.asked[i] = time.Now()
			}
		})
	}
	wg.Wait() // I7
}

func (x *idlers) askOn(i int) error {
	q, conn := x.known.get(i), x.conns[i]
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n\r\n", q.method, q.path, apiKey); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "the session store is unavailable"):
		return nil // late
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return q.right(string(body))
}

func (x *idlers) close() {
	for _, conn := range x.conns {
		conn.Close()
	}
}

// dial opens n connections.
func dial(t *testing.T, c *sidecar, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, 0, n)
	for range n {
		conn, err := net.DialTimeout("tcp", c.api, patience)
		if err != nil {
			for _, conn := range conns {
				conn.Close()
			}
			t.Fatalf("connection %d: %v (are there %d file descriptors? ulimit -n)", len(conns)+1, err, crowds+1000)
		}
		conns = append(conns, conn)
	}
	return conns
}

// slowOnes are connections that send requests byte by byte, which never end: every other one its headers, the others a body.
type slowOnes struct {
	t     *testing.T
	conns []net.Conn
	stop  chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	ended int
}

func newSlowOnes(t *testing.T, c *sidecar, n int) *slowOnes {
	t.Helper()
	x := &slowOnes{t: t, conns: dial(t, c, n), stop: make(chan struct{})}
	for i, conn := range x.conns {
		at := "GET /v2/sessions/x HTTP/1.1\r\nX-Long: "
		if i%2 == 1 {
			at = "POST /v2/sessions/search HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + apiKey + "\r\nContent-Length: 1000\r\n\r\n"
		}
		x.wg.Go(func() { x.trickle(conn, at) })
	}
	t.Cleanup(x.close)
	return x
}

// cut returns how many the process has cut.
func (x *slowOnes) cut() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// close closes them, and waits for their goroutines.
func (x *slowOnes) close() {
	select {
	case <-x.stop:
	default:
		close(x.stop)
	}
	x.wg.Wait() // I7
}

// trickle sends a request that begins so, until the process cuts the connection.
func (x *slowOnes) trickle(conn net.Conn, begin string) {
	answered := make(chan string, 1)
	go func() {
		answer, _ := io.ReadAll(io.LimitReader(conn, 4096)) // or a reset
		answered <- string(answer)
	}()
	tick := time.NewTicker(slowPause)
	defer tick.Stop()
	for rest := begin; ; rest = " " {
		_, _ = io.WriteString(conn, rest) // the reader notices
		select {
		case <-x.stop:
			conn.Close()
			<-answered // I7
			return
		case answer := <-answered:
			conn.Close()
			x.mu.Lock()
			x.ended++
			x.mu.Unlock()
			shed := strings.HasPrefix(answer, "HTTP/1.1 503 ") && strings.Contains(answer, "\r\nRetry-After: ") // few searches may be at work
			if answer != "" && !shed && !strings.HasPrefix(answer, "HTTP/1.1 408 ") {
				x.t.Errorf("a slow request: %.300s", answer)
			}
			return
		case <-tick.C:
		}
	}
}

func (x *crowded) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Idle and slow connections\n\n%d idle and %d slow ones, which sent a byte every %v; %d of these were cut. `--max-in-flight 16`, near cache off.\n\n", x.Idle, x.Slow, slowPause, x.Cut)
	x.table(b)
}
