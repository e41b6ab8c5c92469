package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

// documents are the JSON documents of testdata, by name, with the version that
// they are stored in now. Their stored forms are in testdata too. The dates of
// "passkey" are not in canonical form.
var documents = map[string]byte{"sample": storedSplit, "mixed": storedSplit, "bare": storedSplit, "passkey": storedS2}

func readDocument(t testing.TB, name string) []byte {
	t.Helper()
	path := filepath.Join("testdata", name+".json")
	if name == "sample" {
		path = "../internal/session/testdata/sample.json"
	}
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// A document that was stored by any earlier program stays readable: neither
// the dictionaries nor the golden files ever change.
func TestDocumentVersionsStayReadable(t *testing.T) {
	for i, dictionary := range [][]byte{dictionary1, dictionary2} {
		want := []string{
			"24963ffa40b2d5143a24b10f035824db2c0b3833f7870687d4f234daac5d8487",
			"f8899cd96df65aa88172558f79c9077e2d20cb6f8ed3c2570bad214b23e16b68",
		}[i]
		if got := sha256.Sum256(dictionary); hex.EncodeToString(got[:]) != want {
			t.Errorf("dictionary %d was changed: SHA-256 %x, want %s", i+1, got, want)
		}
	}
	files, err := filepath.Glob("testdata/*.v*")
	if err != nil || len(files) != 6 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		stored, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, version, _ := strings.Cut(filepath.Base(file), ".v")
		if stored[0]+'0' != version[0] {
			t.Errorf("%s has version %d", file, stored[0])
		}
		got, err := decodeDocument("", stored)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if want := readDocument(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestDocumentRoundTrip(t *testing.T) {
	random := make([]byte, 500)
	for i := range random {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		random[i] = sum[0]
	}
	f := func(doc []byte, version byte) {
		t.Helper()
		stored := encodeDocument(nil, doc)
		if stored[0] != version {
			t.Errorf("%.40q is stored in version %d, want %d", doc, stored[0], version)
		}
		if version != storedSplit && len(stored) > len(doc)+1 {
			t.Errorf("%.40q: %d bytes became %d", doc, len(doc), len(stored))
		}
		got, err := decodeDocument("", stored)
		if err != nil || !bytes.Equal(got, doc) {
			t.Errorf("%.40q came back as %.40q, %v", doc, got, err)
		}
	}
	for name, version := range documents {
		f(readDocument(t, name), version)
		f(append(readDocument(t, name), ' '), storedS2)
	}
	f(bytes.Replace(readDocument(t, "sample"), []byte("Z"), []byte("+00:00"), 1), storedS2)
	f(bytes.Repeat([]byte(`{"id":"1"}`), 2000), storedS2)
	f(random, storedPlain)
	f([]byte("{}"), storedPlain)
	f(nil, storedPlain)
}

func TestDocumentUsesTheMemoryGiven(t *testing.T) {
	doc := readDocument(t, "sample")
	dst := make([]byte, 0, 4096)
	stored := encodeDocument(dst, doc)
	if &stored[0] != &dst[:1][0] {
		t.Error("encodeDocument did not use dst")
	}
}

func TestDocumentBehindAHead(t *testing.T) {
	doc := readDocument(t, "sample")
	for _, stored := range [][]byte{encodeDocument(nil, doc), encodeDocument(nil, append(bytes.Clone(doc), ' ')), append([]byte{storedPlain}, doc...)} {
		want := append([]byte("head"), doc...)
		if stored[0] == storedS2 {
			want = append(want, ' ')
		}
		if got, err := decodeDocument("head", stored); err != nil || !bytes.Equal(got, want) {
			t.Errorf("version %d: got %q, %v", stored[0], got, err)
		}
	}
}

func TestDocumentDamaged(t *testing.T) {
	f := func(stored []byte, want string) {
		t.Helper()
		doc, err := decodeDocument("", stored)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20x: got %.40q, %v; want an error with %q", stored, doc, err, want)
		}
	}
	huge := binary.AppendUvarint([]byte{storedS2}, maxDocument+1)
	good := dict1().Encode(nil, readDocument(t, "sample"))
	good = append([]byte{storedS2}, good...)
	f(nil, "empty")
	f([]byte{3}, "version 3")
	f([]byte{'{', '}'}, "version 123")
	f([]byte{storedS2}, "damaged")
	f(append(huge, 0, 'a'), "more than 1048576 bytes")
	f(append([]byte{storedPlain}, make([]byte, maxDocument+1)...), "more than 1048576 bytes")
	f(good[:len(good)-1], "damaged")
	f(append(bytes.Clone(good), 0, 'a'), "damaged")

	split := encodeDocument(nil, readDocument(t, "sample"))
	for n := 1; n < len(split); n++ {
		f(split[:n], "damaged")
	}
	f(append(bytes.Clone(split), 0, 'a'), "damaged")
	f([]byte{storedSplit, 200, 1, 0}, "damaged")
	f(binary.AppendUvarint([]byte{storedSplit}, 1<<63), "damaged")
	hugeText := binary.AppendUvarint([]byte{storedSplit, 0}, maxDocument+1)
	f(append(hugeText, 0, 'a'), "more than 1048576 bytes")
	// 900,000 bytes of metadata are 1,200,000 in base64.
	metadata := []byte(`{"creationDate":"2026-11-23T12:00:00Z","changeDate":"2026-11-23T12:00:00Z","sequence":"1","metadata":{"k":"`)
	metadata = base64.StdEncoding.AppendEncode(metadata, bytes.Repeat([]byte("x"), 900_000))
	f(encodeDocument(nil, append(metadata, `"}}`...)), "damaged")
}

// TestDocumentWithAnyByteDamaged changes every byte in every way: what comes
// of it is an error or some document, never a panic or one that is too long.
func TestDocumentWithAnyByteDamaged(t *testing.T) {
	for name := range documents {
		good := encodeDocument(nil, readDocument(t, name))
		for i := range good {
			for change := 1; change < 256; change++ {
				bad := bytes.Clone(good)
				bad[i] ^= byte(change)
				if doc, err := decodeDocument("", bad); err == nil && len(doc) > maxDocument {
					t.Fatalf("%s, byte %d: %d bytes", name, i, len(doc))
				}
			}
		}
	}
}

// TestDocumentOfAnySession packs sessions of all shapes. All of them are taken apart.
func TestDocumentOfAnySession(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching(`[0-9]{8,21}|[0-9a-f]{16,34}|[0-9]{1,3}(\.[0-9]{1,3}){3}`),
			rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`))
		begin := session.TimeOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
		date := rapid.Custom(func(t *rapid.T) session.Time {
			return begin + session.Time(rapid.OneOf(rapid.Int64Range(-1e6, 1e6), rapid.Int64Range(-1e15, 5e15)).Draw(t, "µs"))
		})
		factor := rapid.Ptr(rapid.Custom(func(t *rapid.T) session.Factor { return session.Factor{VerifiedAt: date.Draw(t, "verified")} }), true)
		s := &session.Session{
			ID: session.ID(value.Draw(t, "id")), CreationDate: date.Draw(t, "created"), ChangeDate: date.Draw(t, "changed"),
			Sequence: rapid.Uint64().Draw(t, "sequence"), ExpirationDate: session.Never,
			Metadata: rapid.MapOf(rapid.String(), rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(value, func(s string) []byte { return []byte(s) }))).Draw(t, "metadata"),
			UserAgent: session.UserAgent{
				FingerprintID: rapid.Ptr(value, true).Draw(t, "agent"), IP: rapid.Ptr(value, true).Draw(t, "ip"), Description: rapid.Ptr(value, true).Draw(t, "description"),
				Header: rapid.MapOf(value, rapid.SliceOf(value)).Draw(t, "header"),
			},
		}
		if rapid.Bool().Draw(t, "own ID") {
			s.CreationDate = max(s.CreationDate, 0)
			s.ID = session.NewID(s.CreationDate)
		}
		if rapid.Bool().Draw(t, "ends") {
			s.ExpirationDate = date.Draw(t, "expires")
		}
		if rapid.Bool().Draw(t, "factors") {
			s.Factors = session.Factors{
				User: &session.UserFactor{
					VerifiedAt: date.Draw(t, "user at"), ID: value.Draw(t, "user"), LoginName: value.Draw(t, "login"),
					DisplayName: value.Draw(t, "name"), OrganizationID: value.Draw(t, "org"),
				},
				Password: factor.Draw(t, "password"), Intent: factor.Draw(t, "intent"), TOTP: factor.Draw(t, "totp"),
				OTPSMS: factor.Draw(t, "sms"), OTPEmail: factor.Draw(t, "email"), RecoveryCode: factor.Draw(t, "recovery"),
			}
			if rapid.Bool().Draw(t, "passkey") {
				s.Factors.WebAuthN = &session.WebAuthNFactor{VerifiedAt: date.Draw(t, "passkey at"), UserVerified: rapid.Bool().Draw(t, "verified")}
			}
		}
		doc := session.AppendJSON(nil, s)
		stored := encodeDocument(nil, doc)
		if stored[0] != storedSplit {
			t.Fatalf("%s\nis stored in version %d", doc, stored[0])
		}
		if got, err := decodeDocument("", stored); err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%s\ncame back as\n%s, %v", doc, got, err)
		}
	})
}

// FuzzDocumentRoundTrip packs whatever bytes there are.
func FuzzDocumentRoundTrip(f *testing.F) {
	for name := range documents {
		f.Add(readDocument(f, name))
	}
	f.Add([]byte{})
	f.Add([]byte("{\"id\":\"\x01\x00\"}"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if got, err := decodeDocument("", encodeDocument(nil, doc)); err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%q came back as %q, %v", doc, got, err)
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	for name := range documents {
		f.Add(encodeDocument(nil, readDocument(f, name)))
		f.Add(encodeDocument(nil, append(readDocument(f, name), ' ')))
	}
	f.Add([]byte{})
	f.Add([]byte{storedPlain, '{', '}'})
	f.Add([]byte{storedS2, 5, 0xfe, 0, 0})
	f.Add([]byte{storedSplit, 4, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stored []byte) {
		doc, err := decodeDocument("", stored)
		if err != nil {
			return
		}
		if len(doc) > maxDocument {
			t.Fatalf("%d bytes", len(doc))
		}
		again, err := decodeDocument("", encodeDocument(nil, doc))
		if err != nil || !bytes.Equal(again, doc) {
			t.Fatalf("%q came back as %q, %v", doc, again, err)
		}
	})
}

func BenchmarkEncodeDocument(b *testing.B) {
	doc, dst := readDocument(b, "sample"), make([]byte, 0, 4096)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = len(encodeDocument(dst, doc))
	}
	b.ReportMetric(float64(n), "stored-bytes")
}

func BenchmarkDecodeDocument(b *testing.B) {
	stored := encodeDocument(nil, readDocument(b, "sample"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeDocument("69629026806489455", stored); err != nil {
			b.Fatal(err)
		}
	}
}
