package protojson

import (
	"math"
	"math/big"
	"regexp"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	good := func(in string, want time.Time) {
		t.Helper()
		if got, ok := ParseTime([]byte(in)); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", in, got, ok, want)
		}
	}
	utc := func(year, month, day, hour, minute, second, nanos int) time.Time {
		return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	}
	good("1970-01-01T00:00:00Z", utc(1970, 1, 1, 0, 0, 0, 0))
	good("2026-03-04T05:06:07.8Z", utc(2026, 3, 4, 5, 6, 7, 800_000_000))
	good("2026-03-04T05:06:07.123456789Z", utc(2026, 3, 4, 5, 6, 7, 123_456_789))
	good("2026-03-04T05:06:07.000000001Z", utc(2026, 3, 4, 5, 6, 7, 1))
	good("2026-03-04T00:30:00+01:00", utc(2026, 3, 3, 23, 30, 0, 0))
	good("2026-12-31T23:30:00-01:00", utc(2027, 1, 1, 0, 30, 0, 0))
	good("2026-03-04T05:06:07-00:00", utc(2026, 3, 4, 5, 6, 7, 0))
	good("2026-03-04T05:06:07+23:59", utc(2026, 3, 3, 5, 7, 7, 0))
	good("2024-02-29T00:00:00Z", utc(2024, 2, 29, 0, 0, 0, 0))
	good("2000-02-29T00:00:00Z", utc(2000, 2, 29, 0, 0, 0, 0))
	good("0001-01-01T00:00:00Z", utc(1, 1, 1, 0, 0, 0, 0))
	good("9999-12-31T23:59:59.999999999Z", utc(9999, 12, 31, 23, 59, 59, 999_999_999))

	for _, in := range []string{
		"", "Z", "2026-03-04", "2026-03-04T05:06:07", "2026-03-04 05:06:07Z", "2026-03-04t05:06:07Z", "2026-03-04T05:06:07z",
		"2026-3-4T05:06:07Z", "2026-03-04T5:06:07Z", "26-03-04T05:06:07Z", "+2026-03-04T05:06:07Z", "-026-03-04T05:06:07Z", "12026-03-04T05:06:07Z",
		"2026-00-04T05:06:07Z", "2026-13-04T05:06:07Z", "2026-03-00T05:06:07Z", "2026-03-32T05:06:07Z", "2026-02-29T05:06:07Z", "1900-02-29T05:06:07Z",
		"2026-04-31T05:06:07Z", "2026-03-04T24:00:00Z", "2026-03-04T05:60:07Z", "2026-03-04T05:06:60Z", "2026-03-04T05:06:61Z",
		"2026-03-04T05:06:07.Z", "2026-03-04T05:06:07,5Z", "2026-03-04T05:06:07.1234567890Z", "2026-03-04T05:06:07.5", "2026-03-04T05:06:07.-5Z",
		"2026-03-04T05:06:07+0100", "2026-03-04T05:06:07+01", "2026-03-04T05:06:07+1:00", "2026-03-04T05:06:07+24:00", "2026-03-04T05:06:07+01:60",
		"2026-03-04T05:06:07+01:00Z", "2026-03-04T05:06:07ZZ", "2026-03-04T05:06:07Z ", " 2026-03-04T05:06:07Z", "2026-03-04T05:06:07+0a:00",
		"0000-12-31T23:59:59Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "２026-03-04T05:06:07Z",
	} {
		if got, ok := ParseTime([]byte(in)); ok {
			t.Errorf("%q: got %v, want a refusal", in, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	good := func(in string, want time.Duration) {
		t.Helper()
		if got, ok := parseDuration([]byte(in)); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", in, got, ok, want)
		}
	}
	good("0s", 0)
	good("-0s", 0)
	good("18000s", 5*time.Hour)
	good("1.5s", 1500*time.Millisecond)
	good("-1.5s", -1500*time.Millisecond)
	good("-0.000000001s", -1)
	good("1.000000001s", time.Second+1)
	good("007s", 7*time.Second)
	good("9223372035.999999999s", 9223372035999999999)
	good("9223372036s", 9223372036*time.Second)
	good("9223372036.854775807s", math.MaxInt64)
	good("9223372036.854775808s", math.MaxInt64)
	good("9223372037s", math.MaxInt64)
	good("315576000000s", math.MaxInt64)
	good("-315576000000.000s", -math.MaxInt64)

	for _, in := range []string{
		"", "s", "-s", ".s", "1", "1.5", "1S", "1 s", " 1s", "1s ", "1ss", "1ms", "1m", "+1s", "--1s", ".5s", "1.s", "1.0000000001s", "1e3s", "0x1s", "1_0s", "1,5s",
		"315576000001s", "315576000000.000000001s", "-315576000001s", "99999999999999999999999s", "Infinitys", "１s",
	} {
		if got, ok := parseDuration([]byte(in)); ok {
			t.Errorf("%q: got %v, want a refusal", in, got)
		}
	}
}

// rfc3339 is the strict shape, with offsets below a day, where time.Parse is lax.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{
		"2026-03-04T05:06:07Z", "2024-02-29T23:59:59.999999999-12:34", "2026-02-29T00:00:00Z", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01",
		"2026-03-04T05:06:60Z", "2026-03-04T5:06:07Z", "2026-03-04T05:06:07,5Z", "2026-03-04T05:06:07+24:60", "1969-12-31T23:59:59.000000001+00:00", "0000-01-01T00:00:00Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := ParseTime([]byte(in))
		want, err := time.Parse(time.RFC3339Nano, in)
		want = want.UTC()
		good := err == nil && rfc3339.MatchString(in) && want.Year() >= 1 && want.Year() <= 9999
		if ok != good || ok && got != want {
			t.Errorf("%q: got %v, %v; time.Parse says %v, %v", in, got, ok, want, err)
		}
	})
}

var durationShape = regexp.MustCompile(`^-?\d+(\.\d{1,9})?s$`)

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"0s", "1.5s", "-18000s", "9223372036.854775807s", "9223372037s", "-315576000000s", "315576000000.000000001s", "1.0000000001s", ".5s", "1e3s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := parseDuration([]byte(in))
		if !durationShape.MatchString(in) {
			if ok {
				t.Errorf("%q: got %v, want a refusal", in, got)
			}
			return
		}
		seconds, _ := new(big.Rat).SetString(in[:len(in)-1])
		limit := new(big.Rat).SetInt64(maxSeconds)
		if inside := new(big.Rat).Abs(seconds).Cmp(limit) <= 0; ok != inside {
			t.Fatalf("%q: accepted: %v, in range: %v", in, ok, inside)
		}
		if !ok {
			return
		}
		nanos := new(big.Rat).Mul(seconds, new(big.Rat).SetInt64(1e9)).Num()
		longest := big.NewInt(math.MaxInt64)
		if nanos.CmpAbs(longest) > 0 {
			if nanos.Sign() < 0 {
				longest.Neg(longest)
			}
			nanos = longest
		}
		if nanos.Int64() != int64(got) {
			t.Errorf("%q: got %d ns, want %v", in, got, nanos)
		}
	})
}
