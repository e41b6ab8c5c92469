// Package push is a connection that hears of invalidations: Redis tells it of every change of a key under some prefixes.
// Look here when no invalidation comes, when one is lost, or when Redis refuses to send any. What to forget then, and when
// to trust that nothing was missed, others decide (cache/near).
package push

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
	"github.com/redis/go-redis/v9"
)

// Link is the connection that invalidations come over: Redis tells it of every
// change of a key under our prefixes (CLIENT TRACKING, BCAST), whoever makes it.
//
// One goroutine reads, without a time-out: a message that is cut in two by a
// time-out would be lost, and nobody would know. Questions (PING) are written by
// another goroutine; an answer proves that all that Redis had sent before it
// has been applied. Any error ends the link, and Close frees it.
type Link struct {
	conn   net.Conn
	pushes resp.Reader
	server string

	mu    sync.Mutex
	sent  map[uint64]time.Duration // pings that are not answered yet
	pings uint64
}

// OffError says that there can be no near cache: for example, because the server
// cannot, or may not, send invalidations. To try again soon does not help.
type OffError struct{ Err error }

func (e *OffError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *OffError) Unwrap() error { return e.Err }

// maxPings is how many unanswered pings a link may have.
const maxPings = 1000

// Dial connects to where o says and has it send invalidations for keys
// under the prefixes, if there are any. It gives up when ctx ends, and answers an
// *OffError if the server refuses for good. key is told each key that has changed,
// which is overwritten by the next, all that everything has: both by the goroutine
// that calls Answered.
func Dial(ctx context.Context, o *redis.Options, prefixes []string, key func([]byte), all func()) (*Link, error) {
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, err
	}
	l := &Link{
		conn: conn, sent: make(map[uint64]time.Duration),
		pushes: resp.Reader{R: bufio.NewReaderSize(conn, 64<<10), Key: key, All: all},
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = l.greet(ctx, o, prefixes)
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
func (l *Link) greet(ctx context.Context, o *redis.Options, prefixes []string) error {
	name := ""
	if o.ClientName != "" {
		name = o.ClientName + "-invalidation"
	}
	hello, err := resp.Hello(ctx, o, name)
	if err != nil {
		return err
	}
	tracking := []string{"CLIENT", "TRACKING", "ON", "BCAST"}
	for _, p := range prefixes {
		tracking = append(tracking, "PREFIX", p)
	}
	questions := [][]string{hello, tracking, {"INFO", "server"}}
	if len(prefixes) == 0 {
		questions = slices.Delete(questions, 1, 2)
	}
	for _, question := range questions {
		reply, err := l.ask(question...)
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
func (l *Link) Close() { _ = l.conn.Close() }

// Ping asks for an answer. A write that has not gone through after patience is
// an error, and so are too many questions without an answer. now is the instant by
// a clock of the caller's, which Answered gives back. One goroutine may call it at
// a time, beside the one that reads.
func (l *Link) Ping(now, patience time.Duration) error {
	l.mu.Lock()
	l.pings++
	n := l.pings
	l.sent[n] = now
	waiting := len(l.sent)
	l.mu.Unlock()
	if waiting > maxPings {
		return errors.New("redis does not answer on the connection for invalidations")
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := l.conn.Write(resp.Command("PING", strconv.FormatUint(n, 10)))
	return err
}

// Answered reads until the next answer to a ping, applies what comes before it,
// and returns when that ping was sent. One goroutine may call it at a time.
func (l *Link) Answered() (sent time.Duration, err error) {
	reply, err := l.pushes.Reply()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(reply, 10, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	sent, known := l.sent[n]
	if err != nil || !known {
		return 0, errors.New("redis answered what was not asked")
	}
	delete(l.sent, n)
	return sent, nil
}
