package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// sender sends one request at a time over one connection, and takes a new one when
// that ends.
type sender struct {
	engine *engine
	n      int
	client Client
	parse  parser
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

func newSender(e *engine, n int) *sender {
	r := NewRand(e.load.Seed, uint64(n)+1)
	client := e.load.Scenario.Client(n, r)
	return &sender{engine: e, n: n, client: client, parse: parserOf(client), socket: noSocket, buf: make([]byte, 0, 16<<10)}
}

// connected gives the sender a connection.
func (sr *sender) connected(s socket) error {
	if err := sr.engine.poll.add(s, sr.n); err != nil {
		s.close()
		return err
	}
	sr.socket = s
	if own, ok := sr.client.(interface{ Connected() }); ok {
		own.Connected()
	}
	sr.engine.release(sr)
	return nil
}

func (sr *sender) disconnect() {
	if sr.socket != noSocket {
		sr.socket.close()
		sr.socket = noSocket
	}
}

// send sends the client's next request.
func (sr *sender) send(due, now time.Duration) {
	sr.request, sr.want = sr.client.Next(sr.request[:0])
	sr.due, sr.sent, sr.busy = due, now, true
	sr.buf, sr.least = sr.buf[:0], 0
	sr.engine.busy++
	if sr.engine.load.Open() && sr.engine.measured(due) && now-due > lateAfter {
		sr.engine.rec.late++
	}
	if err := sr.socket.write(sr.request); err != nil {
		sr.fail(err.Error())
	}
}

// ready reads what has come.
func (sr *sender) ready() {
	if sr.socket == noSocket {
		return // failed in this round
	}
	if len(sr.buf) == cap(sr.buf) || sr.least > cap(sr.buf) {
		sr.buf = append(make([]byte, 0, max(2*cap(sr.buf), sr.least)), sr.buf...)
	}
	n, err := sr.socket.read(sr.buf[len(sr.buf):cap(sr.buf)])
	switch {
	case err != nil && !sr.busy:
		sr.idleEnd()
		return
	case errors.Is(err, io.EOF):
		sr.fail(fmt.Sprintf("the connection was closed after %d bytes of the answer", len(sr.buf)))
		return
	case err != nil:
		sr.fail(err.Error())
		return
	}
	sr.buf = sr.buf[:len(sr.buf)+n]
	if n == 0 || len(sr.buf) < sr.least {
		return
	}
	if !sr.busy {
		if own, ok := sr.client.(interface{ Unasked(b []byte) bool }); !ok || !own.Unasked(sr.buf[len(sr.buf)-n:]) {
			sr.fail("bytes that no request asked for")
		}
		return
	}
	n, sr.least, err = sr.parse(sr.buf, &sr.answer)
	switch {
	case err != nil:
		sr.fail(err.Error())
	case n > 0 && n < len(sr.buf):
		sr.fail("bytes after the answer")
	case n > 0:
		sr.answered(sr.engine.now())
	}
}

// idleEnd is called when the server closes a connection on which no answer is due.
func (sr *sender) idleEnd() {
	sr.disconnect()
	for i, free := range sr.engine.free {
		if free == sr {
			sr.engine.free = append(sr.engine.free[:i], sr.engine.free[i+1:]...)
			break
		}
	}
	sr.engine.redial(sr, 0)
}

// counts says whether the request counts: if it was due while the load was
// measured, and, in a closed loop, also answered then; else a short run would
// seem faster than it is.
func (sr *sender) counts(now time.Duration) bool {
	e := sr.engine
	return e.measured(sr.due) && (e.load.Open() || now <= e.end)
}

// fail ends a request that has no answer, and connects again.
func (sr *sender) fail(cause string) {
	e := sr.engine
	sr.disconnect()
	if sr.busy {
		sr.busy = false
		e.busy--
		e.load.Live.Errors.Add(1)
		sr.client.Lost()
		if now := e.now(); sr.counts(now) {
			e.rec.sent++
			e.rec.fail(sr.due-e.load.Warmup, cause)
		}
	} else {
		e.rec.note(cause)
	}
	e.redial(sr, redialAfter)
}

// answered checks and records an answer.
func (sr *sender) answered(now time.Duration) {
	e := sr.engine
	sr.busy = false
	e.busy--
	sr.count++
	wrong, ok := sr.judge()
	if ok {
		e.load.Live.Answered.Add(1)
	} else {
		e.load.Live.Errors.Add(1)
	}
	if sr.counts(now) {
		at := sr.due - e.load.Warmup
		e.rec.sent++
		e.rec.bytes += uint64(sr.answer.Bytes)
		switch {
		case ok:
			e.rec.answer(at, now-sr.due, now-sr.sent)
		case e.load.Shedding && sr.answer.sheds():
			e.rec.refused(now - sr.sent)
		default:
			e.rec.fail(at, fmt.Sprintf("status %d, not %d: %.200s", sr.answer.Status, sr.want, sr.answer.Body))
		}
		if wrong != nil {
			e.rec.wrong++
			e.rec.note("wrong: " + wrong.Error())
		}
	}
	if sr.answer.Close {
		sr.disconnect()
		e.redial(sr, 0)
		return
	}
	e.release(sr)
}

// judge says whether the answer has the expected status, and what of it is
// wrong if it has. One in so many is also checked in full, on another goroutine.
func (sr *sender) judge() (wrong error, ok bool) {
	l, a := sr.engine.load, &sr.answer
	switch {
	case !l.Checking && a.Status/100 != 2:
		return nil, false
	case l.Checking && a.Status != sr.want:
		sr.client.Lost()
		return nil, false
	}
	if l.DeepEvery > 0 && sr.count%l.DeepEvery == 0 && len(sr.engine.deep) < cap(sr.engine.deep) {
		if check := sr.client.Deep(); check != nil {
			body := bytes.Clone(a.Body)
			sr.engine.deep <- func() error {
				if err := check(body); l.Checking {
					return err
				}
				return nil // it was checked so that both sides of a pair have this work beside them
			}
		}
	}
	if !l.Checking {
		return nil, true
	}
	return sr.client.Check(a), true
}
