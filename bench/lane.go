package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lane is one connection and the goroutine that uses it.
type lane struct {
	load   *load
	client client
	rec    *recorder
	begin  time.Time

	request []byte
	answer  answer
	reader  *answerReader
	count   int // of answers

	// busySince is when the request was sent whose answer is awaited, from the
	// begin; 0 if none is.
	busySince atomic.Int64
	mu        sync.Mutex // conn is replaced by the lane, and cut off by the watchdog
	conn      net.Conn
}

func newLane(l *load, n int) *lane {
	r := rand.New(rand.NewPCG(l.seed, uint64(n)+1))
	return &lane{load: l, client: l.scenario.client(n, r), rec: newRecorder(l.open(), l.length)}
}

func (la *lane) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, la.load.timeout)
	defer cancel()
	conn, err := la.load.target.dial(ctx)
	if err != nil {
		return err
	}
	la.mu.Lock()
	la.conn = conn
	la.mu.Unlock()
	la.reader = newAnswerReader(conn)
	return nil
}

func (la *lane) hangUp() {
	la.mu.Lock()
	defer la.mu.Unlock()
	if la.conn != nil {
		_ = la.conn.Close()
		la.conn = nil
	}
}

// cutOff makes the lane's awaited answer fail. It is for other goroutines.
func (la *lane) cutOff() {
	la.mu.Lock()
	defer la.mu.Unlock()
	if la.conn != nil {
		_ = la.conn.SetDeadline(time.Unix(1, 0))
	}
}

// serve sends jobs until there are no more.
func (la *lane) serve(ctx context.Context, jobs <-chan job, idle *atomic.Int64) {
	// What is still in the backlog long after the end is not sent any more.
	giveUp := la.load.warmup + la.load.length + la.load.timeout
	for {
		idle.Add(1)
		j, ok := <-jobs
		idle.Add(-1)
		if !ok {
			return
		}
		measured := j.due >= la.load.warmup
		sent := time.Since(la.begin)
		if ctx.Err() != nil || sent > giveUp {
			if measured {
				la.rec.dropped++
			}
			continue
		}
		if measured && sent-j.due > lateAfter {
			la.rec.late++
			if j.ours {
				la.rec.lateOurs++
			}
		}
		la.do(ctx, j.due, sent, measured)
	}
}

// loop sends the next request when the last is answered, until the end.
func (la *lane) loop(ctx context.Context, end time.Duration) {
	for ctx.Err() == nil {
		sent := time.Since(la.begin)
		if sent >= end {
			return
		}
		la.do(ctx, sent, sent, sent >= la.load.warmup)
	}
}

// do sends one request, waits for its answer, checks and records it.
func (la *lane) do(ctx context.Context, due, sent time.Duration, measured bool) {
	want, err := la.exchange(ctx, sent)
	answered := time.Since(la.begin)
	at := due - la.load.warmup
	if err != nil {
		la.hangUp()
		la.client.lost()
		if ctx.Err() == nil {
			la.load.live.errors.Add(1)
		}
		if measured {
			la.rec.sent++
			la.rec.fail(at, err.Error())
		}
		return
	}
	la.count++
	ok, wrong := la.judge(want)
	if la.answer.close {
		la.hangUp()
	}
	if ok {
		la.load.live.answered.Add(1)
	} else {
		la.load.live.errors.Add(1)
	}
	switch {
	case !la.load.open() && answered > la.load.warmup+la.load.length: // else a short run would seem faster than it is
		return
	case !measured:
		return
	}
	la.rec.sent++
	la.rec.bytes += uint64(la.answer.bytes)
	if !ok {
		la.rec.fail(at, fmt.Sprintf("status %d, not %d: %.200s", la.answer.status, want, la.answer.body))
		return
	}
	la.rec.answer(at, answered-due, answered-sent)
	if wrong != nil {
		la.rec.wrong++
		la.rec.note("wrong: " + wrong.Error())
	}
}

// exchange sends the client's next request and reads the answer to it. It
// returns the status that the answer must have.
func (la *lane) exchange(ctx context.Context, sent time.Duration) (want int, err error) {
	if la.conn == nil {
		if err := la.dial(ctx); err != nil {
			pauseFor(ctx, watchEvery)
			return 0, err
		}
	}
	la.request, want = la.client.next(la.request[:0])
	la.busySince.Store(max(int64(sent), 1))
	_, err = la.conn.Write(la.request)
	if err == nil {
		err = la.reader.read(&la.answer)
	}
	la.busySince.Store(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errNoAnswer
	}
	return want, err
}

// judge says whether the answer has the expected status, and what of it is
// wrong if it has.
func (la *lane) judge(want int) (ok bool, wrong error) {
	a := &la.answer
	if !la.load.checking {
		return a.status/100 == 2, nil
	}
	deep := la.load.deepEvery > 0 && la.count%la.load.deepEvery == 0
	if a.status != want {
		la.client.lost()
		return false, nil
	}
	return true, la.client.check(a, deep)
}

// pauseFor waits for d or the end of ctx.
func pauseFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
