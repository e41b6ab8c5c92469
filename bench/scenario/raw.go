package scenario

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// RawUserKey and RawSessionKey begin the Redis keys that redis-raw and the peers on
// Redis read: the list of a user's sessions, and a session. The ID follows.
const (
	RawUserKey    = "bench:u:{0}:"
	RawSessionKey = "bench:s:{0}:"
)

// raw is the scenario that asks Redis itself for users' sessions: ZREVRANGE and
// five HGETs in one write, as bytes, without a client library: the least that a
// search can cost Redis.
type raw struct{ Config }

func (s raw) Client(_ int, r *rand.Rand) load.Client {
	request := resp("ZREVRANGE", RawUserKey+userPrefix+places(userDigits), "0", strconv.Itoa(PerUser-1))
	t := newPattern(request)
	c := &rawSearcher{data: s.Data, users: newZipf(s.Data.Users(), s.Zipf, r), request: t}
	for range PerUser {
		get := resp("HGET", RawSessionKey+sessionPrefix+places(sessionDigits), "doc")
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
	data    Dataset
	users   *zipf
	request pattern
	digits  []int // where the session's are in each HGET
	user    int
}

func (c *rawSearcher) Next(b []byte) ([]byte, int) {
	c.user = spread(c.users.next(), c.users.n)
	c.request.put(c.user)
	for k, at := range c.digits {
		putDigits(c.request.bytes[at:], c.data.OfUser(c.user, PerUser-1-k), sessionDigits)
	}
	return append(b, c.request.bytes...), 200
}

// Parse reads the replies to the six commands. Each of the sessions is checked to be there.
func (c *rawSearcher) Parse(b []byte, a *load.Answer) (n, least int, err error) {
	for range 1 + PerUser {
		used, err := load.ParseReply(b[n:])
		if err != nil {
			return 0, 0, err
		}
		if used == 0 {
			return 0, len(b) + 1, nil
		}
		n += used
	}
	a.Status, a.Body, a.Bytes, a.Close = 200, b[:n], n, false
	return n, 0, nil
}

func (c *rawSearcher) Check(a *load.Answer) error {
	if got := bytes.Count(a.Body, []byte(`"id":"`+UserID(c.user)+`"`)); got != PerUser {
		return fmt.Errorf("%d documents of user %s", got, UserID(c.user))
	}
	return nil
}

func (c *rawSearcher) Deep() func([]byte) error { return nil }
func (c *rawSearcher) Lost()                    {}
