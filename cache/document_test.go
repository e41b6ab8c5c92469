package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// documents are the JSON documents whose stored forms are in testdata, by name.
// passkey has a date that AppendJSON would write otherwise.
var documents = []string{"sample", "passkey", "bare"}

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
func TestDocumentOlderVersionsStayReadable(t *testing.T) {
	for version, dictionary := range map[string]struct {
		bytes []byte
		want  string
	}{
		"v1": {dictionary1, "24963ffa40b2d5143a24b10f035824db2c0b3833f7870687d4f234daac5d8487"},
		"v2": {dictionary2, "f8899cd96df65aa88172558f79c9077e2d20cb6f8ed3c2570bad214b23e16b68"},
	} {
		if got := sha256.Sum256(dictionary.bytes); hex.EncodeToString(got[:]) != dictionary.want {
			t.Errorf("the dictionary of %s was changed: SHA-256 %x, want %s", version, got, dictionary.want)
		}
		for _, name := range documents {
			if version == "v2" && name == "passkey" {
				continue // was never stored so
			}
			stored, err := os.ReadFile(filepath.Join("testdata", name+"."+version))
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeDocument(nil, stored)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if want := readDocument(t, name); !bytes.Equal(got, want) {
				t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
			}
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
		if len(stored) > len(doc)+1 {
			t.Errorf("%.40q: %d bytes became %d", doc, len(doc), len(stored))
		}
		got, err := decodeDocument(nil, stored)
		if err != nil || !bytes.Equal(got, doc) {
			t.Errorf("%.40q came back as %.40q, %v", doc, got, err)
		}
	}
	f(readDocument(t, "sample"), storedSplit)
	f(readDocument(t, "bare"), storedSplit)
	f(readDocument(t, "passkey"), storedS2)
	// Not in the form that AppendJSON writes.
	f(append([]byte(" "), readDocument(t, "sample")...), storedS2)
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
	out := make([]byte, 0, 4096)
	got, err := decodeDocument(out, stored)
	if err != nil {
		t.Fatal(err)
	}
	if &got[0] != &out[:1][0] {
		t.Error("decodeDocument did not use dst")
	}
	plain, err := decodeDocument(nil, append([]byte{storedPlain}, doc...))
	if err != nil || !bytes.Equal(plain, doc) {
		t.Errorf("got %q, %v", plain, err)
	}
}

func TestDocumentDamaged(t *testing.T) {
	f := func(stored []byte, want string) {
		t.Helper()
		doc, err := decodeDocument(nil, stored)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20x: got %.40q, %v; want an error with %q", stored, doc, err, want)
		}
	}
	huge := binary.AppendUvarint([]byte{storedS2}, maxDocument+1)
	good := encodeDocument(nil, readDocument(t, "sample"))
	f(nil, "empty")
	f([]byte{3}, "version 3")
	f([]byte{storedSplit}, "damaged")
	f([]byte{storedSplit, 200, 1, 0}, "damaged")
	f([]byte{'{', '}'}, "version 123")
	f([]byte{storedS2}, "damaged")
	f(append(huge, 0, 'a'), "more than 1048576 bytes")
	f(append([]byte{storedPlain}, make([]byte, maxDocument+1)...), "more than 1048576 bytes")
	f(good[:len(good)-1], "damaged")
	f(append(bytes.Clone(good), 0, 'a'), "damaged")
}

func FuzzDecodeDocument(f *testing.F) {
	for _, name := range documents {
		f.Add(encodeDocument(nil, readDocument(f, name)))
	}
	f.Add([]byte{})
	f.Add([]byte{storedPlain, '{', '}'})
	f.Add([]byte{storedS2, 5, 0xfe, 0, 0})
	f.Add([]byte{storedSplit, 4, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, stored []byte) {
		doc, err := decodeDocument(nil, stored)
		if err != nil {
			return
		}
		if len(doc) > maxDocument {
			t.Fatalf("%d bytes", len(doc))
		}
		again, err := decodeDocument(nil, encodeDocument(nil, doc))
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
	stored, dst := encodeDocument(nil, readDocument(b, "sample")), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeDocument(dst, stored); err != nil {
			b.Fatal(err)
		}
	}
}
