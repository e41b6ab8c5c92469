package session

import (
	"crypto/sha256"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTimeOf(t *testing.T) {
	f := func(in time.Time, want Time) {
		t.Helper()
		if got := TimeOf(in); got != want {
			t.Errorf("%v: got %d, want %d", in, got, want)
		}
	}
	epoch := time.Unix(0, 0)
	f(epoch, 0)
	f(epoch.Add(1999), 1)
	f(epoch.Add(999), 0)
	f(epoch.Add(-1), -1) // truncated towards the past, not towards zero
	f(epoch.Add(-1000), -1)
	f(epoch.Add(-1001), -2)
	f(time.Date(2255, 1, 1, 0, 0, 0, 0, time.UTC), MaxScore)
	f(time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), maxDate)
	f(time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600)), TimeOf(time.Date(2026, 3, 4, 4, 6, 7, 0, time.UTC)))
}

func TestTime(t *testing.T) {
	at := TimeOf(time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC))
	if got := at.Std(); !got.Equal(time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)) || got.Location() != time.UTC {
		t.Errorf("Std: %v", got)
	}
	if got := at.Add(time.Second + 1999); got != at+1_000_001 {
		t.Errorf("Add: %d", got-at)
	}
	if got := Never.Add(-time.Hour); got != Never {
		t.Errorf("Never.Add: %d", got)
	}
	if got := (at + 1).Sub(at); got != time.Microsecond {
		t.Errorf("Sub: %v", got)
	}
	// Every score below MaxScore is exact in a double.
	if n := int64(MaxScore); int64(float64(n-1)) != n-1 || float64(n) >= 1<<53 {
		t.Error("MaxScore is too large for a double")
	}
}

func TestI1_Due(t *testing.T) {
	f := func(expiration, now Time, want bool) {
		t.Helper()
		facts := Facts{Expiration: expiration}
		if got := facts.Due(now); got != want {
			t.Errorf("expiration %d, now %d: got %v", expiration, now, got)
		}
	}
	f(10, 9, false)
	f(10, 10, true) // due at its instant
	f(10, 11, true)
	f(Never, MaxScore, false)
	f(0, 0, true)
}

func TestNewID(t *testing.T) {
	now := TimeOf(time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC))
	a, b, later := NewID(now), NewID(now), NewID(now+1000)
	for _, id := range []ID{a, b, later, NewID(TimeOf(time.Date(2247, 12, 31, 0, 0, 0, 0, time.UTC)))} {
		if len(id) != 19 || strings.Trim(string(id), "0123456789") != "" {
			t.Errorf("%q is not 19 digits", id)
		}
		if _, err := ParseID(string(id)); err != nil {
			t.Error(err)
		}
	}
	if a >= later || b >= later {
		t.Errorf("%s and %s do not sort before %s", a, b, later)
	}
	seen := map[ID]bool{}
	for range 100 {
		seen[NewID(now)] = true
	}
	if len(seen) < 90 {
		t.Errorf("100 IDs of one millisecond are only %d different ones", len(seen))
	}
}

func TestParseID(t *testing.T) {
	good := func(s string) {
		t.Helper()
		if id, err := ParseID(s); err != nil || string(id) != s {
			t.Errorf("%q: got %q, %v", s, id, err)
		}
	}
	bad := func(s, problem string) {
		t.Helper()
		_, err := ParseID(s)
		var e *InvalidError
		if !errors.As(err, &e) || e.Field != "id" || !strings.Contains(e.Problem, problem) {
			t.Errorf("%q: got the error %v, want one with %q", s, err, problem)
		}
	}
	good("0")
	good("313920475938062345")
	good("AZaz09._~:-")
	good("...")
	good(strings.Repeat("x", 128))
	bad("", "1 to 128 characters")
	bad(strings.Repeat("x", 129), "1 to 128 characters")
	bad(".", "must not be")
	bad("..", "must not be")
	for _, c := range " /%{}*?[]\\\"'@+=,;\x00\n\x7fé" {
		bad("a"+string(c), "only the characters")
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"", "1", ".", "..", "a.b", "313920475938062345", "a b", "é", strings.Repeat("x", 129), "a\n"} {
		f.Add(s)
	}
	shape := regexp.MustCompile(`\A[A-Za-z0-9._~:-]{1,128}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if want := shape.MatchString(s) && s != "." && s != ".."; (err == nil) != want {
			t.Fatalf("%q: got %v", s, err)
		}
		if err == nil && string(id) != s {
			t.Fatalf("%q became %q", s, id)
		}
	})
}

func TestToken(t *testing.T) {
	token, hash := NewToken("a.b")
	if !regexp.MustCompile(`^a\.b\.[A-Za-z0-9_-]{43}$`).MatchString(token) {
		t.Errorf("token of %d characters", len(token))
	}
	if hash != sha256.Sum256([]byte(token)) || hash.IsZero() {
		t.Error("the hash is not the token's SHA-256")
	}
	if id, ok := SplitToken(token); !ok || id != "a.b" {
		t.Errorf("SplitToken: %q, %v", id, ok)
	}
	other, _ := NewToken("a.b")
	if other == token {
		t.Error("two tokens are equal")
	}
	if !hash.Matches(token) || hash.Matches(other) || hash.Matches("") {
		t.Error("Matches")
	}
	// What has no token lets nobody in, not even one whose hash were zero.
	if (TokenHash{}).Matches(token) || (TokenHash{}).Matches("") {
		t.Error("a token matches the zero hash")
	}
}

func TestSplitToken(t *testing.T) {
	secret := strings.Repeat("s", 43)
	for _, token := range []string{
		"", ".", secret, "." + secret, ".." + secret, "..." + secret, "a." + secret + "s", "a." + secret[1:], "a b." + secret,
		secret + ".a", "a." + secret + ".", strings.Repeat("x", 129) + "." + secret, "eyJh.eyJz.c2ln",
	} {
		if id, ok := SplitToken(token); ok {
			t.Errorf("%q: got the ID %q", token, id)
		}
	}
	if id, ok := SplitToken("a.b.." + secret); !ok || id != "a.b." {
		t.Errorf("got %q, %v", id, ok)
	}
}

func FuzzSplitToken(f *testing.F) {
	secret := strings.Repeat("s", 43)
	for _, s := range []string{"", "a." + secret, "a.b." + secret, ".." + secret, "é." + secret, secret, "a." + secret + "."} {
		f.Add(s)
	}
	shape := regexp.MustCompile(`\A([A-Za-z0-9._~:-]{1,128})\.([^.]{43})\z`)
	f.Fuzz(func(t *testing.T, token string) {
		id, ok := SplitToken(token)
		// The secret is 43 bytes, not characters, so bytes above ASCII are made one character each.
		flat := []rune{}
		for _, b := range []byte(token) {
			flat = append(flat, rune(b))
		}
		m := shape.FindStringSubmatch(string(flat))
		want := m != nil && m[1] != "." && m[1] != ".."
		if ok != want || ok && string(id) != m[1] {
			t.Fatalf("%q: got %q, %v, want %v", token, id, ok, m)
		}
		if parsed, err := ParseID(token); err == nil {
			made, hash := NewToken(parsed)
			if id, ok := SplitToken(made); !ok || id != parsed || !hash.Matches(made) {
				t.Fatalf("a new token of %q is split into %q, %v", parsed, id, ok)
			}
		}
	})
}

func TestFacts(t *testing.T) {
	s := sample()
	s.Creator = "creator"
	want := Facts{
		ID: "313920475938062345", Creation: s.CreationDate, Expiration: s.ExpirationDate, Sequence: 4,
		UserID: "281740196538417163", OrgID: "281739955209961483", AgentID: "7c1f0a94e2b84d6b9a35c8d1f06e27b4", Creator: "creator",
	}
	if got := s.Facts(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (&Session{ID: "a", ExpirationDate: math.MaxInt64}).Facts(); got != (Facts{ID: "a", Expiration: Never}) {
		t.Errorf("got %+v", got)
	}
}
