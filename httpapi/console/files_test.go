package console

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"
)

func TestFiles_AreServedAsTheyAre(t *testing.T) {
	f := newFixture(t)
	served := 0
	err := fs.WalkDir(page, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		contentType, known := types[path.Ext(name)]
		if !known {
			t.Errorf("%s has no content type", name)
			return nil
		}
		want, err := page.ReadFile(name)
		if err != nil {
			return err
		}
		served++
		url := "/console/" + strings.TrimPrefix(strings.TrimPrefix(name, "page/"), "index.html")
		plain := f.send("GET", url, "")
		if plain.status != 200 || plain.body != string(want) || plain.header.Get("Content-Type") != contentType || plain.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: got %d %v", url, plain.status, plain.header)
		}
		plain.secured(t, url)
		zipped := f.send("GET", url, "", "Accept-Encoding", "br, gzip")
		r, err := gzip.NewReader(strings.NewReader(zipped.body))
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) || zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: got %d bytes, %v, %v", url, len(got), err, zipped.header)
		}
		etag := zipped.header.Get("Etag")
		if etag == "" || etag == plain.header.Get("Etag") {
			t.Errorf("%s: both forms have the entity tag %s", url, etag)
		}
		same := f.send("GET", url, "", "Accept-Encoding", "gzip", "If-None-Match", `"x", W/`+etag)
		if same.status != 304 || same.body != "" || same.header.Get("Etag") != etag {
			t.Errorf("%s: got %d %v", url, same.status, same.header)
		}
		same.secured(t, url)
		if other := f.send("GET", url, "", "If-None-Match", etag); other.status != 200 {
			t.Errorf("%s: got %d for the entity tag of the other form", url, other.status)
		}
		head := f.send("HEAD", url, "")
		if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != plain.header.Get("Content-Length") || head.header.Get("Etag") != plain.header.Get("Etag") {
			t.Errorf("%s: got %d %v for HEAD", url, head.status, head.header)
		}
		return nil
	})
	if err != nil || served == 0 {
		t.Fatal(served, err)
	}
}

func TestFiles_NothingElseIsServed(t *testing.T) {
	f := newFixture(t)
	r := f.send("GET", "/console", "")
	if r.status != 302 || r.header.Get("Location") != "/console/" {
		t.Errorf("got %d %v", r.status, r.header)
	}
	r.secured(t, "/console")
	for _, p := range []string{"/console/no.js", "/console/page/index.html", "/console/../livez2", "/console/console.go", "/console/vendor", "/console/vendor/", "/console/%2e%2e/console.go"} {
		got := f.send("GET", p, "")
		if got.status != 404 {
			t.Errorf("%s: got %d %v", p, got.status, got.header)
		}
	}
	index, err := page.ReadFile("page/index.html")
	if got := f.send("GET", "/console//", ""); err != nil || got.status != 200 || got.body != string(index) {
		t.Errorf("got %d %s %v", got.status, got.body, err)
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE"} {
		r := f.send(method, "/console/", "")
		if r.status != 405 || r.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d %v", method, r.status, r.header)
		}
		r.secured(t, method)
	}
	large := f.send("GET", "/console/", "", "X-Large", strings.Repeat("x", 20<<10))
	if large.status != 431 {
		t.Errorf("got %d", large.status)
	}
	large.secured(t, "large headers")
}

// The page loads over a slow link, too.
func TestFiles_AreSmall(t *testing.T) {
	const most = 150 << 10
	sum := 0
	for _, f := range embedded() {
		sum += len(f.zipped().body)
	}
	if sum > most {
		t.Errorf("the page takes %d bytes compressed, at most %d are allowed", sum, most)
	}
}
