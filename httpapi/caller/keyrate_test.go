package caller

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
)

func TestKeyRate(t *testing.T) {
	now := time.Now()
	f := func(k KeyRate, burst, after int) {
		t.Helper()
		l := newKeyLimit(k)
		n := 0
		for l.take(now) == nil {
			n++
		}
		e, ok := l.take(now).(*refusal.Error)
		if n != burst || !ok || e.RetryAfter != after || e.Status() != http.StatusTooManyRequests {
			t.Errorf("%+v: took %d, %+v, want %d, again after %d", k, n, e, burst, after)
		}
		if l.take(now.Add(time.Duration(after)*time.Second)) != nil {
			t.Errorf("%+v: not even after %d seconds", k, after)
		}
	}
	f(KeyRate{PerSecond: 100, Burst: 200}, 200, 1)
	f(KeyRate{PerSecond: 100}, 200, 1)
	f(KeyRate{PerSecond: 1}, 2, 1)
	f(KeyRate{PerSecond: 0.25}, 1, 4)
	f(KeyRate{PerSecond: 0.3, Burst: 5}, 5, 4)
	if n := testing.AllocsPerRun(100, func() { _ = newLimited.take(time.Now()) }); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
}

var newLimited = newKeyLimit(KeyRate{PerSecond: MaxKeyRate})

func TestKeyRateInTheFile(t *testing.T) {
	_, hash := NewAPIKeySecret()
	f := func(want, fields string) {
		t.Helper()
		_, err := ParseAPIKeys([]byte("keys:\n  - name: k\n    userId: u\n    sha256: " + hash + "\n" + fields))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", fields, err, want)
		}
	}
	f("", "    rate: 0.5\n    burst: 1\n")
	f("", "    rate: 0\n")
	f("", "    rate: 1000000\n    burst: 1000000\n")
	for _, bad := range []string{"-1", "1000001", "0.0001", ".nan", ".inf"} {
		f("keys[0].rate: line 5: must be a number of requests a second from 0.001 to 1000000", "    rate: "+bad+"\n")
	}
	for _, bad := range []string{"0", "-1", "1000001"} {
		f("keys[0].burst: line 6: must be a whole number from 1 to 1000000", "    rate: 1\n    burst: "+bad+"\n")
	}
	f("keys[0].rate: line 5: must be a number", "    rate: fast\n")
	f("keys[0].rate: line 5: must be a number", "    rate:\n")
	f("keys[0].burst: line 6: must be a whole number", "    rate: 1\n    burst: 1.5\n")
	f("keys[0].burst: line 5: needs a rate", "    burst: 1\n")

	text, err := AppendAPIKey(nil, APIKey{Name: "k", UserID: "u", SHA256: hash, Rate: &KeyRate{PerSecond: 0.5, Burst: 7}})
	if err != nil || !strings.Contains(string(text), "rate: 0.5\n    burst: 7\n") {
		t.Errorf("got %s, %v", text, err)
	}
}
