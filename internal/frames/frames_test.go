package frames

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// lines makes n lines of different lengths.
func lines(n int) string {
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		fmt.Fprintf(&b, `{"line":%d,"text":"%x"}`+"\n", i, r.Perm(r.IntN(20)))
	}
	return b.String()
}

// framed writes text in frames of about n lines.
func framed(t *testing.T, f Format, text string, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, f)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for line := range strings.Lines(text) {
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if i++; i%n == 0 {
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var formats = []Format{Plain, Gzip, Zstd}

// What is written is read back, in each format, which is found out by its first bytes.
func TestReader_ReadsWhatWasWritten(t *testing.T) {
	for _, f := range formats {
		for _, n := range []int{0, 1, 1000, 100_000} {
			text := lines(n)
			r, err := NewReader(bytes.NewReader(framed(t, f, text, 3000)))
			if n == 0 && f != Plain { // an empty file has no format
				f = Plain
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if string(got) != text || err != nil {
				t.Errorf("%s, %d lines: %d bytes, want %d; %v", f, n, len(got), len(text), err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if FormatOf("a.ndjson.gz") != Gzip || FormatOf("a.zst") != Zstd || FormatOf("zst") != Plain {
		t.Error("a name's end does not say the format")
	}
}

// Wherever a file is cut off, its whole frames are found, and it can be gone on with from there.
func TestWhole_FindsWhereAFileWasCutOff(t *testing.T) {
	for _, f := range formats {
		text := lines(60)
		all := framed(t, f, text, 7)
		last := int64(-1)
		for cut := range len(all) + 1 {
			var got strings.Builder
			end, found, err := Whole(bytes.NewReader(all[:cut]), func(lines []byte) (bool, error) {
				got.Write(lines)
				return true, nil
			})
			if err != nil || end > int64(cut) || end < last || !strings.HasPrefix(text, got.String()) || got.Len() > 0 && !strings.HasSuffix(got.String(), "\n") {
				t.Fatalf("%s, cut at %d: ends at %d, %v", f, cut, end, err)
			}
			if cut == len(all) && (got.String() != text || found != f || end != int64(cut)) {
				t.Errorf("%s: %q, %s, %d", f, got.String(), found, end)
			}
			if end > last { // then it can be gone on with
				r, err := NewReader(io.MultiReader(bytes.NewReader(all[:end]), bytes.NewReader(framed(t, f, text[got.Len():], 5))))
				if err != nil {
					t.Fatal(err)
				}
				again, err := io.ReadAll(r)
				if string(again) != text || err != nil {
					t.Errorf("%s, cut at %d: gone on with it is %q, %v", f, cut, again, err)
				}
			}
			last = end
		}
	}
}

// A damaged frame ends what is whole; whoever reads past it gets an error.
func TestWhole_StopsAtWhatIsDamaged(t *testing.T) {
	text := lines(60)
	for _, f := range []Format{Gzip, Zstd} {
		all := framed(t, f, text, 7)
		for at := 0; at < len(all); at += 3 {
			damaged := bytes.Clone(all)
			damaged[at] ^= 0x5a
			var got strings.Builder
			end, _, err := Whole(bytes.NewReader(damaged), func(lines []byte) (bool, error) {
				got.Write(lines)
				return true, nil
			})
			if at > 4 && (err != nil || !strings.HasPrefix(text, got.String()) && end > int64(at)) {
				t.Errorf("%s, damaged at %d: whole up to %d, %v", f, at, end, err)
			}
		}
	}
}

// Errors of the reader, and of who is shown the lines, are told.
func TestWhole_TellsErrors(t *testing.T) {
	wrong := errors.New("wrong")
	for _, f := range formats {
		all := framed(t, f, lines(20), 5)
		if _, _, err := Whole(io.MultiReader(bytes.NewReader(all[:len(all)/2]), errorReader{wrong}), func([]byte) (bool, error) { return true, nil }); !errors.Is(err, wrong) {
			t.Errorf("%s: got %v", f, err)
		}
		if _, _, err := Whole(bytes.NewReader(all), func([]byte) (bool, error) { return false, wrong }); !errors.Is(err, wrong) {
			t.Errorf("%s: got %v", f, err)
		}
	}
}

// Only where the lines are good, they can be gone on with.
func TestWhole_EndsWhereTheLinesAreGood(t *testing.T) {
	n := 0
	end, _, err := Whole(strings.NewReader("a\nb\nc\n"), func([]byte) (bool, error) {
		n++
		return n < 2, nil
	})
	if end != 2 || err != nil {
		t.Errorf("got %d, %v", end, err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func FuzzWhole(f *testing.F) {
	for _, format := range formats {
		var out bytes.Buffer
		w, _ := NewWriter(&out, format)
		_, _ = w.Write([]byte(lines(20)))
		_ = w.Flush()
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		end, _, err := Whole(bytes.NewReader(data), func([]byte) (bool, error) { return true, nil })
		if end > int64(len(data)) || err != nil {
			t.Errorf("ends at %d of %d, %v", end, len(data), err)
		}
	})
}
