package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

const (
	maxHead = 64 << 10
	maxBody = 256 << 20

	fetchTimeout = 10 * time.Second
)

// Answer is one HTTP answer. The engine reads the next one into the same memory, so
// Head and Body are valid only until then.
type Answer struct {
	Status int
	Head   []byte // status line and headers
	Body   []byte
	Bytes  int  // received, headers and all
	Close  bool // the server closes the connection after it
}

var (
	endOfLine = []byte("\r\n")
	version11 = []byte("HTTP/1.1 ")

	errChunk = errors.New("malformed chunk")
)

// parseAnswer reads the HTTP/1.1 answer that b begins with into a, and returns
// how long it is; 0 if b is only the begin of one. least is how many bytes b
// must have before another try is worth while. It knows no more of HTTP than
// the programs that are measured send, and costs much less than a client
// library: generator and server share the cores.
func parseAnswer(b []byte, a *Answer) (n, least int, err error) {
	end, length, chunked, err := parseHead(b, a)
	if err == nil && end == 0 {
		if len(b) > maxHead {
			return 0, 0, fmt.Errorf("headers of more than %d bytes", maxHead)
		}
		return 0, len(b) + 1, nil
	}
	switch {
	case err != nil:
		return 0, 0, err
	case a.Status < 200: // 100 Continue
		n, least, err = parseAnswer(b[end:], a)
		if n > 0 {
			n += end
			a.Bytes = n
		}
		return n, least + end, err
	case a.Status == 204 || a.Status == 304:
		length = 0
	case chunked:
		return parseChunks(b, end, a)
	case length < 0:
		return 0, 0, errors.New("an answer with neither Content-Length nor chunks")
	}
	if n = end + length; len(b) < n {
		return 0, n, nil
	}
	a.Body, a.Bytes = b[end:n], n
	return n, 0, nil
}

// parseHead takes the status, and what ends the body, from an answer's head,
// and returns where that ends; 0 if b does not have all of it. An answer with
// many headers must not cost the generator much more than one with few.
func parseHead(b []byte, a *Answer) (end, length int, chunked bool, err error) {
	a.Status, a.Close, length = 0, false, -1
	for {
		i := bytes.IndexByte(b[end:], '\n')
		if i < 0 {
			return 0, 0, false, nil
		}
		line := b[end : end+i]
		if i == 0 || line[i-1] != '\r' {
			return 0, 0, false, fmt.Errorf("a line does not end with CR LF: %.40q", line)
		}
		line = line[:i-1]
		first := end == 0
		end += i + 1
		switch {
		case first:
			if a.Status, err = parseStatus(line); err != nil {
				return 0, 0, false, err
			}
		case len(line) == 0:
			a.Head = b[:end]
			return end, length, chunked, nil
		case line[0]|0x20 != 'c' && line[0]|0x20 != 't':
		case headerIs(line, "content-length"):
			if length, err = number(line[len("content-length:"):], 10); err != nil {
				return 0, 0, false, fmt.Errorf("bad Content-Length: %w", err)
			}
		case headerIs(line, "transfer-encoding"):
			chunked = bytes.EqualFold(bytes.TrimSpace(line[len("transfer-encoding:"):]), []byte("chunked"))
		case headerIs(line, "connection"):
			a.Close = bytes.EqualFold(bytes.TrimSpace(line[len("connection:"):]), []byte("close"))
		}
	}
}

func parseStatus(line []byte) (status int, err error) {
	if len(line) < len(version11)+3 || !bytes.HasPrefix(line, version11) {
		return 0, fmt.Errorf("not an HTTP/1.1 status line: %.40q", line)
	}
	for _, c := range line[len(version11) : len(version11)+3] {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("not an HTTP/1.1 status line: %.40q", line)
		}
		status = status*10 + int(c-'0')
	}
	return status, nil
}

// headerIs reports whether line is the header with that name, in lower case.
func headerIs(line []byte, name string) bool {
	return len(line) > len(name) && line[len(name)] == ':' && line[0]|0x20 == name[0] && bytes.EqualFold(line[:len(name)], []byte(name))
}

func number(b []byte, base int) (int, error) {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), base, 31)
	if err == nil && n > maxBody {
		err = fmt.Errorf("a body of %d bytes", n)
	}
	return int(n), err
}

// parseChunks reads a chunked body, which begins at b[at], into bytes of its own.
func parseChunks(b []byte, at int, a *Answer) (n, least int, err error) {
	var body []byte
	for ending := false; ; {
		i := bytes.Index(b[at:], endOfLine)
		if i < 0 {
			if len(b)-at > maxHead {
				return 0, 0, errChunk
			}
			return 0, len(b) + 1, nil
		}
		line := b[at : at+i]
		at += i + len(endOfLine)
		if ending { // trailers
			if i == 0 {
				a.Body, a.Bytes = body, at
				return at, 0, nil
			}
			continue
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		length, err := number(size, 16)
		if err != nil {
			return 0, 0, errors.Join(errChunk, err)
		}
		if length == 0 {
			ending = true
			continue
		}
		end := at + length + len(endOfLine)
		switch {
		case len(body)+length > maxBody:
			return 0, 0, errChunk
		case len(b) < end:
			return 0, end, nil
		case !bytes.HasSuffix(b[:end], endOfLine):
			return 0, 0, errChunk
		}
		body = append(body, b[at:at+length]...)
		at = end
	}
}

// Fetch sends one request on a connection of its own, and waits for the answer,
// ten seconds at most. Any status is an answer.
func Fetch(ctx context.Context, e Endpoint, request []byte) (a *Answer, err error) {
	err = connected(ctx, e, func(conn io.ReadWriter) error {
		a, err = Exchange(conn, request)
		return err
	})
	return a, err
}

// Ask sends the next request of a client as Fetch does, and returns also the status that
// its answer must have.
func Ask(ctx context.Context, e Endpoint, c Client) (a *Answer, want int, err error) {
	if own, ok := c.(interface{ Connected() }); ok {
		own.Connected()
	}
	request, want := c.Next(nil)
	err = connected(ctx, e, func(conn io.ReadWriter) error {
		a, err = exchange(conn, request, parserOf(c))
		return err
	})
	return a, want, err
}

// connected hands a connection to do, for ten seconds at most.
func connected(ctx context.Context, e Endpoint, do func(io.ReadWriter) error) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	conn, err := e.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return do(conn)
}

// parser reads the answer that b begins with, as Client says.
type parser func(b []byte, a *Answer) (n, least int, err error)

// parserOf returns what reads a client's answers.
func parserOf(c Client) parser {
	if own, ok := c.(interface {
		Parse(b []byte, a *Answer) (n, least int, err error)
	}); ok {
		return own.Parse
	}
	return parseAnswer
}

// Exchange sends a request and waits for its answer as long as conn does.
func Exchange(conn io.ReadWriter, request []byte) (*Answer, error) {
	return exchange(conn, request, parseAnswer)
}

func exchange(conn io.ReadWriter, request []byte, parse parser) (*Answer, error) {
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	a, b := new(Answer), make([]byte, 0, 16<<10)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if n, _, perr := parse(b, a); perr != nil || n > 0 {
			return a, perr
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// sheds says whether an answer refuses a request because there are too many.
func (a *Answer) sheds() bool { return a.Status == 503 }
