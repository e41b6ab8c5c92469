// Package push is a connection that hears of invalidations: Redis tells it of every change of a key under some prefixes, or of
// those that were read over it.
// Look here when no invalidation comes, when one is lost, or when Redis refuses to send any. What to forget then, and when
// to trust that nothing was missed, others decide (cache/near).
package push

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// Link is the connection that invalidations come over: Redis tells it of every
// change of a key (CLIENT TRACKING), whoever makes it. With prefixes these are all
// keys under them (BCAST); without, those that were read over the link (Ask).
//
// One goroutine reads, without a time-out: a message that is cut in two by a
// time-out would be lost, and nobody would know. Questions (PING, reads) are written by
// other goroutines; an answer proves that all that Redis had sent before it
// has been applied. Any error ends the link, and Close frees it.
type Link struct {
	conn   net.Conn
	pushes resp.Reader
	server string

	mu        sync.Mutex
	rtt       time.Duration // that of the newest ping; before, the shortest while the link was made
	answered  time.Time     // when the newest reply came
	questions []*question   // those that are not answered yet, in their order
	out       []byte        // what is not written yet
	writing   bool          // somebody writes
	pings     uint64        // how many were asked
	waiting   int           // how many of them are not answered
	err       error         // why nothing can be asked any more
}

// question is a ping, or reads.
type question struct {
	begun time.Time
	// ping is the number of a ping, and now when it was sent, by a clock of the caller's; 0 if
	// these are reads.
	ping uint64
	now  time.Duration
	// replies is how many replies to reads are still to come, and take where they go; nil if
	// nobody waits for them any more.
	replies int
	take    func(reply []byte)
	done    chan struct{} // closed when all have come, or none will
	err     error         // why they have not; set before done is closed
}

// OffError says that there can be no near cache: for example, because the server
// cannot, or may not, send invalidations. To try again soon does not help.
type OffError struct{ Err error }

func (e *OffError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *OffError) Unwrap() error { return e.Err }

// maxPings is how many unanswered pings a link may have.
const maxPings = 1000

// Tracking says which invalidations a link gets.
type Tracking struct {
	// Prefixes of the keys whose changes are told; none has it tell of keys that were read
	// over the link.
	Prefixes []string
	// Key is told each key that has changed, which is overwritten by the next, All that
	// everything has: both by the goroutine that calls Answered.
	Key func([]byte)
	All func()
}

// Dial connects to where o says and has it send invalidations, unless t is nil. It gives up when ctx ends, and answers an
// *OffError if the server refuses for good.
func Dial(ctx context.Context, o *redis.Options, t *Tracking) (*Link, error) {
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, err
	}
	l := &Link{conn: conn, pushes: resp.Reader{R: bufio.NewReaderSize(conn, 64<<10)}}
	if t != nil {
		l.pushes.Key, l.pushes.All = t.Key, t.All
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = l.greet(ctx, o, t)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

// greet authenticates, turns invalidations on, and asks who answers.
func (l *Link) greet(ctx context.Context, o *redis.Options, t *Tracking) error {
	name := ""
	if o.ClientName != "" {
		name = o.ClientName + "-invalidation"
	}
	hello, err := resp.Hello(ctx, o, name)
	if err != nil {
		return err
	}
	questions := [][]string{hello}
	if t != nil {
		questions = append(questions, t.command())
	}
	questions = append(questions, []string{"INFO", "server"})
	for _, question := range questions {
		begun := time.Now()
		reply, err := l.ask(question...)
		if took := time.Since(begun); l.rtt == 0 || took < l.rtt {
			l.rtt = took
		}
		if refusal, refused := errors.AsType[resp.ReplyError](err); refused && question[0] != "INFO" && !refusal.Passes() {
			// The text may name the user, and never the password. (I6)
			return &OffError{fmt.Errorf("the server has no client tracking: %s: %w", question[0], err)}
		}
		if err != nil {
			return err
		}
		if question[0] == "INFO" {
			l.server = redisinfo.Field(reply, "run_id")
		}
	}
	return nil
}

// command has Redis track keys.
func (t *Tracking) command() []string {
	words := []string{"CLIENT", "TRACKING", "ON"}
	if len(t.Prefixes) > 0 {
		words = append(words, "BCAST")
	}
	for _, p := range t.Prefixes {
		words = append(words, "PREFIX", p)
	}
	return words
}

// ask writes a command and reads the answer. It is for the greeting only.
func (l *Link) ask(words ...string) (string, error) {
	if _, err := l.conn.Write(resp.Command(words...)); err != nil {
		return "", err
	}
	return l.pushes.Reply()
}

// Server is the run ID of the Redis process at the other end, "" if it does not say.
func (l *Link) Server() string { return l.server }

// Address is where the other end is: "10.0.0.1:6379".
func (l *Link) Address() string { return l.conn.RemoteAddr().String() }

// Close closes the connection, and ends reading from it. It may be called by any
// goroutine, and more than once.
func (l *Link) Close() {
	_ = l.conn.Close()
	l.fail(errClosed)
}

var (
	errClosed  = errors.New("the connection for invalidations has ended")
	errSilent  = errors.New("redis does not answer on the connection for invalidations")
	errSurplus = errors.New("redis answered what was not asked")
)

// fail ends all questions: nothing is asked any more.
func (l *Link) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = cmp.Or(l.err, err)
	for _, q := range l.questions {
		if q.ping == 0 {
			q.take, q.err = nil, l.err
			close(q.done)
		}
	}
	l.questions = nil
}

// Ping asks for an answer. A write that has not gone through after patience is
// an error, and so are too many questions without an answer. now is the instant by
// a clock of the caller's, which Answered gives back. One goroutine may call it at
// a time, beside the one that reads.
func (l *Link) Ping(now, patience time.Duration) error {
	l.mu.Lock()
	if l.waiting == maxPings {
		l.mu.Unlock()
		return errSilent
	}
	l.waiting++
	l.pings++
	q := &question{ping: l.pings, now: now}
	return l.send(q, resp.Command("PING", strconv.FormatUint(q.ping, 10)), patience)
}

const (
	// A link is silent that owes answers and has not given one for so long, or for so many
	// times the RTT of the newest ping.
	leastSilence = 50 * time.Millisecond
	silentRTTs   = 3
	// askWrite bounds the writing of reads.
	askWrite = 3 * time.Second
)

// Ask reads: it sends n commands and gives their replies to take, as they come, in their
// order; take must be quick, and keep nothing. An error says that not all have come, and
// none will any more: that is so when the link is silent, and at the latest when ctx ends.
// It may be called concurrently, while a goroutine calls Answered.
func (l *Link) Ask(ctx context.Context, commands []byte, n int, take func(reply []byte)) error {
	q := &question{replies: n, take: take, done: make(chan struct{})}
	l.mu.Lock()
	if len(l.questions) > 0 && l.silentIn(l.questions[0]) <= 0 {
		l.mu.Unlock()
		return errSilent
	}
	wait := l.silence()
	if err := l.send(q, commands, askWrite); err != nil {
		l.drop(q)
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-q.done:
			return q.err
		case <-ctx.Done():
			l.drop(q)
			return ctx.Err()
		case <-timer.C:
			l.mu.Lock()
			left := l.silentIn(q)
			l.mu.Unlock()
			if left <= 0 {
				l.drop(q)
				return errSilent
			}
			timer.Reset(left)
		}
	}
}

// silence is how long the link has to give no answer to count as silent. l.mu is held.
func (l *Link) silence() time.Duration { return max(leastSilence, silentRTTs*l.rtt) }

// silentIn is in how long the link counts as silent to one who waits for the answer to q, if
// none comes. l.mu is held.
func (l *Link) silentIn(q *question) time.Duration {
	since := q.begun
	if l.answered.After(since) {
		since = l.answered
	}
	return l.silence() - time.Since(since)
}

// drop has nobody get the replies to q any more.
func (l *Link) drop(q *question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.take = nil
}

// send adds a question, and has it written. l.mu is held, and released. Whoever finds
// somebody writing leaves it to him.
func (l *Link) send(q *question, command []byte, patience time.Duration) error {
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	q.begun = time.Now()
	l.questions = append(l.questions, q)
	l.out = append(l.out, command...)
	if l.writing {
		return nil
	}
	l.writing = true
	defer func() { l.writing = false }()
	for len(l.out) > 0 {
		out := l.out
		l.out = nil
		l.mu.Unlock()
		err := l.write(out, patience)
		l.mu.Lock()
		if err != nil {
			return err
		}
		if l.out == nil && cap(out) <= memoryKept {
			l.out = out[:0]
		}
	}
	return nil
}

func (l *Link) write(b []byte, patience time.Duration) error {
	err := l.conn.SetWriteDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = l.conn.Write(b)
	}
	if err != nil {
		_ = l.conn.Close() // a half of a command may be there: so ends the one that reads, too
	}
	return err
}

// Answered reads until the next answer to a ping, applies what comes before it,
// and returns when that ping was sent. One goroutine may call it at a time. Its error
// ends the link.
func (l *Link) Answered() (sent time.Duration, err error) {
	for reply := []byte(nil); ; {
		if reply, err = l.pushes.Append(reply[:0]); err == nil {
			var q *question
			if q, err = l.answer(reply); q != nil {
				return q.now, nil
			}
		}
		if err != nil {
			l.fail(err)
			return 0, err
		}
		if cap(reply) > memoryKept {
			reply = nil
		}
	}
}

// memoryKept is how much memory for questions, or for a reply, is used again, in bytes.
const memoryKept = 256 << 10

// answer gives a reply to the question that it answers, which it returns if that is a ping.
func (l *Link) answer(reply resp.Replies) (ping *question, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.questions) == 0 {
		return nil, errSurplus
	}
	q := l.questions[0]
	l.answered = time.Now()
	if q.ping > 0 {
		text, _, err := reply.Text()
		if err != nil || string(text) != strconv.FormatUint(q.ping, 10) {
			return nil, cmp.Or(err, errSurplus)
		}
		l.waiting--
		l.rtt = l.answered.Sub(q.begun)
		l.done()
		return q, nil
	}
	if q.take != nil {
		q.take(reply)
	}
	if q.replies--; q.replies == 0 {
		l.done()
		close(q.done)
	}
	return nil, nil
}

// done takes the first question away. l.mu is held.
func (l *Link) done() {
	l.questions[0] = nil
	l.questions = l.questions[1:]
}
