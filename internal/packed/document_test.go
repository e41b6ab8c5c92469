package packed

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

const most = 1 << 20

func sample(tb testing.TB) []byte {
	tb.Helper()
	doc, err := os.ReadFile("../session/testdata/sample.json")
	if err != nil {
		tb.Fatal(err)
	}
	return bytes.TrimSpace(doc)
}

const (
	dates = `"creationDate":"2026-11-23T12:00:00Z","changeDate":"2026-11-23T12:00:00.500Z","sequence":"1"`
	user  = `{` + dates + `,"factors":{"user":{"loginName":"`
)

// usual are documents that are taken apart and put together again.
var usual = []string{
	`{` + dates + `}`,
	`{"id":"s1",` + dates + `}`,
	`{"id":"",` + dates + `}`,
	`{"id":"0123456789",` + dates + `}`,
	`{"id":"1877000000000000000",` + dates + `}`,
	`{"id":"9223372036854775807",` + dates + `}`,
	`{"id":"3f9d2c7a-7c1e-4f0a-9b57-1de0ab43c982",` + dates + `}`,
	`{"creationDate":"0001-01-01T00:00:00Z","changeDate":"9999-12-31T23:59:59.999999Z","sequence":"18446744073709551615","expirationDate":"0001-01-01T00:00:00Z"}`,
	`{"creationDate":"1969-12-31T23:59:59.999999Z","changeDate":"1970-01-01T00:00:00.000001Z","sequence":"0","expirationDate":"1969-12-31T00:00:00Z"}`,
	`{"creationDate":"2024-02-29T23:59:59.120Z","changeDate":"2024-03-01T00:00:00Z","sequence":"0"}`,
	user + `a","displayName":"\u0001 \"d\" \\"}}}`,
	`{` + dates + `,"factors":{"user":{}}}`,
	`{` + dates + `,"factors":{"user":{"id":"u"},"password":{},"webAuthN":{"userVerified":false},"intent":{},"totp":{},"otpSms":{},"otpEmail":{},"recoveryCode":{}}}`,
	`{` + dates + `,"factors":{"user":{"id":"u"},"webAuthN":{"verifiedAt":"2026-11-23T12:00:00Z","userVerified":true},"recoveryCode":{"verifiedAt":"2026-11-24T12:00:00Z"}}}`,
	`{` + dates + `,"metadata":{"a":"","b":"AAE=","c":"dGV4dA==","d":"w6k=","e":"/+8="}}`,
	`{` + dates + `,"userAgent":{"fingerprintId":""}}`,
	`{` + dates + `,"userAgent":{"fingerprintId":"abcdef0123456789","ip":"0.0.0.0","description":"255.255.255.255"}}`,
	`{` + dates + `,"userAgent":{"fingerprintId":"ABCDEF0123456789","ip":"1.2.3.04","description":"1.2.3.256"}}`,
	`{` + dates + `,"userAgent":{"ip":"1.2.3","description":"1.2.3.4.5"}}`,
	`{` + dates + `,"userAgent":{"ip":"....","description":"1..2.3.4"}}`,
	`{` + dates + `,"userAgent":{"header":{"a":{},"b":{"values":["x"]},"c":{"values":["1234567890","1.2.3.4",""]},"d":{"values":["abcdef0123456789"]}}}}`,
	`{` + dates + `,"metadata":{` + strings.Repeat(`"k":"dg==",`, 299) + `"k":"dg=="}}`,
	`{` + dates + `,"userAgent":{"header":{"a":{"values":[` + strings.Repeat(`"1.2.3.4",`, 299) + `"v"]}}}}`,
	`{` + dates + `,"userAgent":{"header":{` + strings.Repeat(`"a":{"values":["1.2.3.4"]},`, 199) + `"a":{}}}}`,
}

// unusual are documents that are refused, or not given back as they were.
var unusual = []string{
	``, `{`, `{}`, `{` + dates, `{` + dates + `}}`, `{` + dates + `} `, ` {` + dates + `}`, `{` + dates + `,}`, `{,` + dates + `}`,
	user + "\n" + `"}}}`, user + "\\\n" + `"}}}`, user + `a`, user + `a\"}}}`, user + `a"}}`,
	`{"creationDate":"2026-11-23T12:00:00+01:00","changeDate":"2026-11-23T12:00:00Z","sequence":"1"}`,
	`{"creationDate":"2026-11-23T12:00:00.500000Z","changeDate":"2026-11-23T12:00:00Z","sequence":"1"}`,
	`{"creationDate":"2026-11-23T12:00:00.123456Z","changeDate":"2026-11-23T99:99:99.1x3456Z","sequence":"1"}`,
	`{"creationDate":"2026-11-23T12:00:00.123456789Z","changeDate":"2026-11-23T12:00:00Z","sequence":"1"}`,
	`{"creationDate":"2026-11-23T12:00:00Z","changeDate":"2026-11-23T12:00:00Z","sequence":"01"}`,
	`{"creationDate":"2026-11-23T12:00:00Z","changeDate":"2026-11-23T12:00:00Z","sequence":1}`,
	`{"creationDate":"2026-11-23T12:00:00Z","sequence":"1"}`,
	`{` + dates + `,"metadata":{}}`,
	`{` + dates + `,"metadata":{"k":"dh=="}}`,
	`{` + dates + `,"metadata":{"k":{}}}`,
	`{` + dates + `,"userAgent":{"header":{"a":{"values":[]}}}}`,
	`{` + dates + `,"userAgent":{"header":{"a":{"values":[1]}}}}`,
	`{` + dates + `,"factors":{"user":{},"webAuthN":{"userVerified":1}}}`,
	`{` + dates + `,"factors":{"user":{},"webAuthN":{}}}`,
	`{` + dates + `,"more":1}`,
}

func roundTrip(doc []byte) (bin, text, got []byte, same bool) {
	bin, text, ok := SplitDocument(nil, nil, doc)
	if !ok {
		return nil, nil, nil, false
	}
	got, err := JoinDocument(nil, bin, text, most, new(Notes))
	return bin, text, got, err == nil && bytes.Equal(got, doc)
}

func TestSplitAndJoin(t *testing.T) {
	for _, doc := range append(usual, string(sample(t))) {
		if _, _, got, same := roundTrip([]byte(doc)); !same {
			t.Errorf("%.400s\ncame back as\n%.400s", doc, got)
		}
	}
	for _, doc := range unusual {
		if _, _, _, same := roundTrip([]byte(doc)); same {
			t.Errorf("%.400s\nwas taken for canonical", doc)
		}
	}
}

// Of a document that was taken apart, no part is of use without the others.
func TestJoinDamaged(t *testing.T) {
	for _, doc := range append(usual, string(sample(t))) {
		bin, text, _, _ := roundTrip([]byte(doc))
		f := func(bin, text []byte, what string) {
			if got, err := JoinDocument(nil, bin, text, most, new(Notes)); err == nil {
				t.Errorf("%.200s\n%s, became %.200s", doc, what, got)
			}
		}
		for n := range bin {
			f(bin[:n], text, "bin cut")
		}
		for n := range text {
			f(bin, text[:n], "text cut")
		}
		f(append(bytes.Clone(bin), 0), text, "more bin")
		f(bin, append(bytes.Clone(text), 0), "more text")
		if _, err := JoinDocument(nil, bin, text, len(doc)-1, new(Notes)); err == nil {
			t.Errorf("%.200s\nis longer than it may be", doc)
		}
	}
}

func TestJoinAppends(t *testing.T) {
	bin, text, _, _ := roundTrip(sample(t))
	got, err := JoinDocument([]byte("before"), bin, text, len(sample(t)), new(Notes))
	if err != nil || string(got) != "before"+string(sample(t)) {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzSplitDocument(f *testing.F) {
	f.Add(sample(f))
	for _, doc := range append(usual, unusual...) {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		_, _, once, _ := roundTrip(doc)
		if once == nil {
			return
		}
		if len(once) > 2*len(doc)+64 {
			t.Fatalf("%q became %q", doc, once)
		}
		// What JoinDocument writes is canonical.
		if _, _, twice, same := roundTrip(once); !same {
			t.Fatalf("%q became %q, and that %q", doc, once, twice)
		}
	})
}

func FuzzJoinDocument(f *testing.F) {
	for _, doc := range append(usual, string(sample(f))) {
		bin, text, _, _ := roundTrip([]byte(doc))
		f.Add(bin, text)
	}
	f.Fuzz(func(t *testing.T, bin, text []byte) {
		const most = 4000
		if doc, err := JoinDocument(nil, bin, text, most, new(Notes)); err == nil && len(doc) > most {
			t.Fatalf("%d bytes", len(doc))
		}
	})
}

func BenchmarkSplitDocument(b *testing.B) {
	doc, bin, text := sample(b), make([]byte, 0, 4096), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := SplitDocument(bin, text, doc); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkJoinDocument(b *testing.B) {
	bin, text, _ := SplitDocument(nil, nil, sample(b))
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := JoinDocument(dst, bin, text, 4096, new(Notes)); err != nil {
			b.Fatal(err)
		}
	}
}
