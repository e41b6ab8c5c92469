package resp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// pushed reads stream to its end and returns what came.
func pushed(stream io.Reader) (events []string, err error) {
	p := Reader{
		R:   bufio.NewReader(stream),
		Key: func(key []byte) { events = append(events, "key "+string(key)) },
		All: func() { events = append(events, "all") },
	}
	for {
		reply, err := p.Reply()
		if refused, ok := err.(ReplyError); ok {
			events = append(events, "error "+string(refused))
			continue
		}
		if err != nil {
			return events, err
		}
		events = append(events, "reply "+reply)
	}
}

func TestReader(t *testing.T) {
	f := func(stream string, want ...string) {
		t.Helper()
		for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream)), iotest.DataErrReader(strings.NewReader(stream))} {
			got, err := pushed(r)
			if err != io.EOF || !slices.Equal(got, want) {
				t.Errorf("%q: got %q, %v, want %q", stream, got, err, want)
			}
		}
	}
	const keys = ">2\r\n$10\r\ninvalidate\r\n*2\r\n$6\r\ncr:s:1\r\n$3\r\n\r\na\r\n"
	f("+OK\r\n", "reply OK")
	f("$1\r\n7\r\n", "reply 7")
	f(keys+"$1\r\n7\r\n", "key cr:s:1", "key \r\na", "reply 7")
	f("$1\r\n6\r\n"+keys+keys+"$1\r\n7\r\n", "reply 6", "key cr:s:1", "key \r\na", "key cr:s:1", "key \r\na", "reply 7")
	f(">2\r\n$10\r\ninvalidate\r\n_\r\n:1\r\n", "all", "reply 1")
	f(">2\r\n+invalidate\r\n*-1\r\n", "all")
	f(">2\r\n+invalidate\r\n*0\r\n")
	f(">3\r\n$7\r\nmessage\r\n$1\r\na\r\n*2\r\n:1\r\n%1\r\n+b\r\n_\r\n+OK\r\n", "reply OK")
	f("|1\r\n+ttl\r\n:3\r\n+OK\r\n", "reply OK")
	f("-NOPERM no\r\n+OK\r\n", "error NOPERM no", "reply OK")
	f("!5\r\nERR x\r\n", "error ERR x")
	f("%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n", "reply server redis proto 3 ")
	f("=8\r\ntxt:a:b\n\r\n", "reply txt:a:b\n")
	f("$-1\r\n", "reply ")
}

// Append gives each answer as it came, whatever is pushed in between, and however it is cut into pieces.
func TestReader_Append(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream, want []byte
		var keys []string
		for range rapid.IntRange(1, 5).Draw(t, "replies") {
			for i := range rapid.IntRange(0, 2).Draw(t, "pushes") {
				key := fmt.Sprint("key ", len(keys), i)
				keys = append(keys, key)
				stream = fmt.Appendf(stream, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$%d\r\n%s\r\n", len(key), key)
			}
			from := len(stream)
			stream = drawReply(t, stream, 3)
			want = append(want, stream[from:]...)
		}
		var told []string
		var r io.Reader = bytes.NewReader(stream)
		if rapid.Bool().Draw(t, "bytes come one by one") {
			r = iotest.OneByteReader(r)
		}
		p := Reader{R: bufio.NewReader(r), Key: func(key []byte) { told = append(told, string(key)) }}
		var got []byte
		for {
			next, err := p.Append(got)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = next
		}
		if !bytes.Equal(got, want) || !slices.Equal(told, keys) {
			t.Fatalf("%q: got %q, told of %q", stream, got, told)
		}
	})
}

func TestReader_RefusesWhatIsNotRESP3(t *testing.T) {
	f := func(stream string) {
		t.Helper()
		if got, err := pushed(strings.NewReader(stream)); err == nil || err == io.EOF {
			t.Errorf("%q: got %q, %v", stream, got, err)
		}
		p := Reader{R: bufio.NewReader(strings.NewReader(stream))}
		if got, err := p.Append(nil); (err == nil || err == io.EOF) && stream != "$1048577\r\n" { // it is not too much
			t.Errorf("%q: appended %q, %v", stream, got, err)
		}
	}
	f("x\r\n")
	f("\r\n")
	f("OK\n")
	f("$5\r\nab")
	f("$1\r\nabc\r\n")
	f("$99999999\r\n")
	f("$1048577\r\n")
	f("*2\r\n$9000000\r\n" + strings.Repeat("x", 9_000_000) + "\r\n$9000000\r\n" + strings.Repeat("x", 9_000_000) + "\r\n")
	f("$x\r\n")
	f("$\r\n")
	f(">0\r\n")
	f(">2\r\n$10\r\ninvalidate\r\n:1\r\n")
	f(">2\r\n$10\r\ninvalidate\r\n*1\r\n:1\r\n")
	f(strings.Repeat("*1\r\n", 10) + "+a\r\n")
	f("+" + strings.Repeat("a", 70<<10) + "\r\n")
}

// Whatever comes, reading it ends, and in pieces it reads the same.
func FuzzReader(f *testing.F) {
	f.Add(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n$1\r\n7\r\n")
	f.Add(">2\r\n$10\r\ninvalidate\r\n_\r\n")
	f.Add("%1\r\n+a\r\n*2\r\n:1\r\n_\r\n-ERR\r\n")
	f.Fuzz(func(t *testing.T, stream string) {
		whole, err := pushed(strings.NewReader(stream))
		pieces, err2 := pushed(iotest.OneByteReader(strings.NewReader(stream)))
		if !slices.Equal(whole, pieces) || (err == io.EOF) != (err2 == io.EOF) {
			t.Errorf("at once %q, %v; in pieces %q, %v", whole, err, pieces, err2)
		}
	})
}
