package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// lane is one connection. It has at most one request on its way.
type lane struct {
	engine *engine
	n      int
	client Client
	parse  func(b []byte, a *Answer) (n, least int, err error)
	socket socket

	busy      bool          // a request is on its way
	due, sent time.Duration // of that request
	want      int           // its answer's status
	count     int           // of answers
	request   []byte
	answer    Answer
	buf       []byte // of the answer
	least     int    // how much of it is needed for another try
}

func newLane(e *engine, n int) *lane {
	r := NewRand(e.load.Seed, uint64(n)+1)
	la := &lane{engine: e, n: n, client: e.load.Scenario.Client(n, r), parse: parseAnswer, socket: noSocket, buf: make([]byte, 0, 16<<10)}
	if own, ok := la.client.(interface {
		Parse(b []byte, a *Answer) (n, least int, err error)
	}); ok {
		la.parse = own.Parse
	}
	return la
}

// connected gives the lane its connection.
func (la *lane) connected(s socket) error {
	if err := la.engine.poll.add(s, la.n); err != nil {
		s.close()
		return err
	}
	la.socket = s
	la.engine.release(la)
	return nil
}

func (la *lane) disconnect() {
	if la.socket != noSocket {
		la.socket.close()
		la.socket = noSocket
	}
}

// send sends the client's next request.
func (la *lane) send(due, now time.Duration) {
	la.request, la.want = la.client.Next(la.request[:0])
	la.due, la.sent, la.busy = due, now, true
	la.buf, la.least = la.buf[:0], 0
	la.engine.busy++
	if la.engine.load.Open() && la.engine.measured(due) && now-due > lateAfter {
		la.engine.rec.late++
	}
	if err := la.socket.write(la.request); err != nil {
		la.fail(err.Error())
	}
}

// ready reads what has come.
func (la *lane) ready() {
	if la.socket == noSocket {
		return // failed in this round
	}
	if len(la.buf) == cap(la.buf) || la.least > cap(la.buf) {
		la.buf = append(make([]byte, 0, max(2*cap(la.buf), la.least)), la.buf...)
	}
	n, err := la.socket.read(la.buf[len(la.buf):cap(la.buf)])
	switch {
	case err != nil && !la.busy:
		la.idleEnd()
		return
	case errors.Is(err, io.EOF):
		la.fail(fmt.Sprintf("the connection was closed after %d bytes of the answer", len(la.buf)))
		return
	case err != nil:
		la.fail(err.Error())
		return
	}
	la.buf = la.buf[:len(la.buf)+n]
	if n == 0 || len(la.buf) < la.least {
		return
	}
	if !la.busy {
		la.fail("bytes that no request asked for")
		return
	}
	n, la.least, err = la.parse(la.buf, &la.answer)
	switch {
	case err != nil:
		la.fail(err.Error())
	case n > 0 && n < len(la.buf):
		la.fail("bytes after the answer")
	case n > 0:
		la.answered(la.engine.now())
	}
}

// idleEnd is called when the server closes a connection that nobody waits for.
func (la *lane) idleEnd() {
	la.disconnect()
	for i, free := range la.engine.free {
		if free == la {
			la.engine.free = append(la.engine.free[:i], la.engine.free[i+1:]...)
			break
		}
	}
	la.engine.redial(la, 0)
}

// counts says whether the request counts: if it was due while the load was
// measured, and, in a closed loop, also answered then; else a short run would
// seem faster than it is.
func (la *lane) counts(now time.Duration) bool {
	e := la.engine
	return e.measured(la.due) && (e.load.Open() || now <= e.end)
}

// fail ends a request that has no answer, and connects again.
func (la *lane) fail(cause string) {
	e := la.engine
	la.disconnect()
	if la.busy {
		la.busy = false
		e.busy--
		e.load.Live.Errors.Add(1)
		la.client.Lost()
		if now := e.now(); la.counts(now) {
			e.rec.sent++
			e.rec.fail(la.due-e.load.Warmup, cause)
		}
	} else {
		e.rec.note(cause)
	}
	e.redial(la, redialAfter)
}

// answered checks and records an answer.
func (la *lane) answered(now time.Duration) {
	e := la.engine
	la.busy = false
	e.busy--
	la.count++
	wrong, ok := la.judge()
	if ok {
		e.load.Live.Answered.Add(1)
	} else {
		e.load.Live.Errors.Add(1)
	}
	if la.counts(now) {
		at := la.due - e.load.Warmup
		e.rec.sent++
		e.rec.bytes += uint64(la.answer.Bytes)
		switch {
		case ok:
			e.rec.answer(at, now-la.due, now-la.sent)
		case e.load.Shedding && la.answer.sheds():
			e.rec.refused(now - la.sent)
		default:
			e.rec.fail(at, fmt.Sprintf("status %d, not %d: %.200s", la.answer.Status, la.want, la.answer.Body))
		}
		if wrong != nil {
			e.rec.wrong++
			e.rec.note("wrong: " + wrong.Error())
		}
	}
	if la.answer.Close {
		la.disconnect()
		e.redial(la, 0)
		return
	}
	e.release(la)
}

// judge says whether the answer has the expected status, and what of it is
// wrong if it has. One in so many is also checked in full, on another goroutine.
func (la *lane) judge() (wrong error, ok bool) {
	l, a := la.engine.load, &la.answer
	switch {
	case !l.Checking:
		return nil, a.Status/100 == 2
	case a.Status != la.want:
		la.client.Lost()
		return nil, false
	}
	if l.DeepEvery > 0 && la.count%l.DeepEvery == 0 && len(la.engine.deep) < cap(la.engine.deep) {
		if check := la.client.Deep(); check != nil {
			body := bytes.Clone(a.Body)
			la.engine.deep <- func() error { return check(body) }
		}
	}
	return la.client.Check(a), true
}
