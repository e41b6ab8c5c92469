package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// raw is the scenario that asks Redis itself for users' sessions: ZREVRANGE and
// five HGETs in one write, as bytes, without a client library: the least that a
// search can cost Redis.
type raw struct{ scenarioConfig }

func (s raw) client(_ int, r *rand.Rand) client {
	request := resp("ZREVRANGE", evalUserKey+userPrefix+places(userDigits), "0", strconv.Itoa(perUser-1))
	t := newPattern(request)
	c := &rawSearcher{data: s.data, users: newZipf(s.data.users(), s.zipf, r), request: t}
	for range perUser {
		get := resp("HGET", evalSessionKey+sessionPrefix+places(sessionDigits), "doc")
		c.digits = append(c.digits, len(c.request.bytes)+bytes.IndexByte(get, '#'))
		c.request.bytes = append(c.request.bytes, get...)
	}
	return c
}

// resp encodes a command.
func resp(args ...string) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

type rawSearcher struct {
	data    dataset
	users   *zipf
	request pattern
	digits  []int // where the session's are in each HGET
	user    int
}

func (c *rawSearcher) next(b []byte) ([]byte, int) {
	c.user = spread(c.users.next(), c.users.n)
	c.request.put(c.user)
	for k, at := range c.digits {
		putDigits(c.request.bytes[at:], c.data.ofUser(c.user, perUser-1-k), sessionDigits)
	}
	return append(b, c.request.bytes...), 200
}

// parse reads the replies to the six commands. Each of the sessions is checked to be there.
func (c *rawSearcher) parse(b []byte, a *answer) (n, least int, err error) {
	for range 1 + perUser {
		used, err := parseReply(b[n:])
		if err != nil {
			return 0, 0, err
		}
		if used == 0 {
			return 0, len(b) + 1, nil
		}
		n += used
	}
	a.status, a.body, a.bytes, a.close = 200, b[:n], n, false
	return n, 0, nil
}

// parseReply returns the length of the reply that b begins with, 0 if it is only
// the begin of one. It knows bulk strings and arrays of them.
func parseReply(b []byte) (int, error) {
	i := bytes.Index(b, endOfLine)
	if i < 0 {
		return 0, nil
	}
	end := i + len(endOfLine)
	if b[0] != '$' && b[0] != '*' {
		return 0, fmt.Errorf("the reply %.100q", b[:i])
	}
	n, err := number(b[1:i], 10)
	if err != nil {
		return 0, fmt.Errorf("the reply %.100q", b[:i])
	}
	if b[0] == '$' {
		if end += n + len(endOfLine); end > len(b) {
			return 0, nil
		}
		return end, nil
	}
	for range n {
		used, err := parseReply(b[end:])
		if used == 0 || err != nil {
			return 0, err
		}
		end += used
	}
	return end, nil
}

func (c *rawSearcher) check(a *answer) error {
	if got := bytes.Count(a.body, []byte(`"id":"`+userID(c.user)+`"`)); got != perUser {
		return fmt.Errorf("%d documents of user %s", got, userID(c.user))
	}
	return nil
}

func (c *rawSearcher) deep() func([]byte) error { return nil }
func (c *rawSearcher) lost()                    {}

// openRaw stores users' sessions in Redis, and returns it as a source of load.
func (f *loadFlags) openRaw(ctx context.Context, users int, stderr io.Writer) (*source, error) {
	options, err := redis.ParseURL(f.redis)
	switch {
	case err != nil:
		return nil, errors.New("--redis: not a URL of a Redis")
	case options.Password != "" || options.TLSConfig != nil || options.DB != 0:
		return nil, errors.New("--redis: raw load knows no password, no TLS and no database but 0")
	}
	client, err := openRedis(f.redis, 0)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := (&evaluator{client: client}).seed(ctx, users, stderr); err != nil {
		return nil, err
	}
	c := scenarioConfig{data: dataset{sessions: users * perUser}, zipf: f.zipf}
	flags := *f
	flags.scenario = "redis-raw"
	return &source{flags: flags, target: endpoint{network: options.Network, address: options.Addr}, config: c, checking: true}, nil
}

// rawCommand measures what Redis itself can do.
func rawCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("raw", flag.ContinueOnError)
	var f loadFlags
	f.register(flags)
	users := flags.Int("seed-users", 20_000, "store five sessions for so many users first, under bench:")
	repeats := flags.Int("repeats", 1, "how many times")
	out := flags.String("out", "", "write the result to `NAME`.json and NAME-RUN.hgrm")
	if err := parse(flags, args, stderr); err != nil {
		return err
	}
	if *users < 1 {
		return fmt.Errorf("raw: --seed-users must be at least 1, not %d", *users)
	}
	s, err := f.openRaw(ctx, *users, stderr)
	if err != nil {
		return err
	}
	return s.runRepeats(ctx, "raw", flags, &f, *repeats, *out, stdout, stderr, nil)
}
