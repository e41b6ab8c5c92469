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

	"github.com/cloakroom-dev/cloakroom/internal/packed"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"pgregory.net/rapid"
)

// documents are the JSON documents of testdata, by name, with the version that
// they are stored in. The stored forms of those that are taken apart are in
// testdata too. The dates of "passkey" are not in canonical form.
var documents = map[string]byte{"sample": storedSplit, "mixed": storedSplit, "bare": storedSplit, "passkey": storedPlain}

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

// A stored document stays readable: neither the dictionary nor the golden files
// ever change.
func TestStoredDocumentsStayReadable(t *testing.T) {
	const want = "f8899cd96df65aa88172558f79c9077e2d20cb6f8ed3c2570bad214b23e16b68"
	if got := sha256.Sum256(dictionary); hex.EncodeToString(got[:]) != want {
		t.Errorf("the dictionary was changed: SHA-256 %x, want %s", got, want)
	}
	files, err := filepath.Glob("testdata/*.stored")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		stored, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unpacked("", stored)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".stored")
		want := readDocument(t, name)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
		if again := appendDocument(nil, want); !bytes.Equal(again, stored) {
			t.Errorf("%s is now stored as %x, want %x", name, again, stored)
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
		stored := appendDocument(nil, doc)
		if stored[0] != version {
			t.Errorf("%.40q is stored in version %d, want %d", doc, stored[0], version)
		}
		got, err := unpacked("", stored)
		if err != nil || !bytes.Equal(got, doc) {
			t.Errorf("%.40q came back as %.40q, %v", doc, got, err)
		}
	}
	for name, version := range documents {
		f(readDocument(t, name), version)
		f(append(readDocument(t, name), ' '), storedPlain)
	}
	f(bytes.Replace(readDocument(t, "sample"), []byte("Z"), []byte("+00:00"), 1), storedPlain)
	f(bytes.Repeat([]byte(`{"id":"1"}`), 2000), storedPlain)
	f(random, storedPlain)
	f([]byte("{}"), storedPlain)
	f(nil, storedPlain)
}

func TestDocumentIsAppended(t *testing.T) {
	for name := range documents {
		doc := readDocument(t, name)
		want := append([]byte("head"), appendDocument(nil, doc)...)
		if got := appendDocument([]byte("head"), doc); !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestDocumentBehindAHead(t *testing.T) {
	for name := range documents {
		doc := readDocument(t, name)
		want := append([]byte("head"), doc...)
		if got, err := unpacked("head", appendDocument(nil, doc)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestDocumentDamaged(t *testing.T) {
	f := func(stored []byte, want string) {
		t.Helper()
		doc, err := unpacked("", stored)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20x: got %.40q, %v; want an error with %q", stored, doc, err, want)
		}
	}
	f(nil, "empty")
	f([]byte{1, 5, 0xfe, 0, 0}, "version 1")
	f([]byte{3}, "version 3")
	f([]byte{'{', '}'}, "version 123")
	f(append([]byte{storedPlain}, make([]byte, maxDocument+1)...), "more than 1048576 bytes")

	split := appendDocument(nil, readDocument(t, "sample"))
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
	f(appendDocument(nil, append(metadata, `"}}`...)), "damaged")
}

// TestDocumentWithAnyByteDamaged changes every byte in every way: what comes
// of it is an error or some document, never a panic or one that is too long.
func TestDocumentWithAnyByteDamaged(t *testing.T) {
	for name := range documents {
		good := appendDocument(nil, readDocument(t, name))
		for i := range good {
			for change := 1; change < 256; change++ {
				bad := bytes.Clone(good)
				bad[i] ^= byte(change)
				compareFacts(t, bad)
				if doc, err := unpacked("", bad); err == nil && len(doc) > maxDocument {
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
		stored := appendDocument(nil, doc)
		if stored[0] != storedSplit {
			t.Fatalf("%s\nis stored in version %d", doc, stored[0])
		}
		if got, err := unpacked("", stored); err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%s\ncame back as\n%s, %v", doc, got, err)
		}
		compareFacts(t, stored)
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
		if got, err := unpacked("", appendDocument(nil, doc)); err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("%q came back as %q, %v", doc, got, err)
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	for name := range documents {
		f.Add(appendDocument(nil, readDocument(f, name)))
		f.Add(appendDocument(nil, append(readDocument(f, name), ' ')))
	}
	f.Add([]byte{})
	f.Add([]byte{storedPlain, '{', '}'})
	f.Add([]byte{1, 5, 0xfe, 0, 0})
	f.Add([]byte{storedSplit, 4, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stored []byte) {
		compareFacts(t, stored)
		doc, err := unpacked("", stored)
		if err != nil {
			return
		}
		if len(doc) > maxDocument {
			t.Fatalf("%d bytes", len(doc))
		}
		again, err := unpacked("", appendDocument(nil, doc))
		if err != nil || !bytes.Equal(again, doc) {
			t.Fatalf("%q came back as %q, %v", doc, again, err)
		}
	})
}

func BenchmarkAppendDocument(b *testing.B) {
	doc, dst := readDocument(b, "sample"), make([]byte, 0, 4096)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = len(appendDocument(dst[:0], doc))
	}
	b.ReportMetric(float64(n), "stored-bytes")
}

func BenchmarkUnpackDocument(b *testing.B) {
	stored := appendDocument(nil, readDocument(b, "sample"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := unpacked("69629026806489455", stored); err != nil {
			b.Fatal(err)
		}
	}
}

// unpacked is what appendUnpacked writes behind head.
func unpacked(head string, stored []byte) ([]byte, error) {
	return appendUnpacked([]byte(head), stored, new(packed.Notes))
}

// compareFacts reads the facts of what is stored both ways: by what was noted as it
// was unpacked, and off the document.
func compareFacts(t interface{ Fatalf(string, ...any) }, stored []byte) {
	var notes packed.Notes
	doc, err := appendUnpacked(nil, stored, &notes)
	if err != nil {
		return
	}
	noted, read := session.Facts{Creator: "c"}, session.Facts{Creator: "c"}
	notedErr, readErr := factsOf(doc, &notes, &noted), session.FactsOf(doc, &read)
	if (notedErr == nil) != (readErr == nil) || notedErr == nil && noted != read {
		t.Fatalf("%q: noted %+v, %v; read %+v, %v", doc, noted, notedErr, read, readErr)
	}
}
