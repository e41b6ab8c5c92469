package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/httpapi/server"
	"github.com/valyala/fasthttp"
)

//go:embed page
var page embed.FS

// types are the content types of files, by extension. Other files are not served.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	"":      "text/plain; charset=utf-8", // a licence
}

// file is a file of the page.
type file struct {
	contentType string
	// plain and zipped are made when they are first asked for.
	plain, zipped func() representation
}

// representation is a file as it is sent.
type representation struct {
	body []byte
	etag string
}

// embedded returns the files of the page, by their paths below /console/; that of index.html is "".
func embedded() map[string]*file {
	files := map[string]*file{}
	_ = fs.WalkDir(page, "page", func(name string, d fs.DirEntry, err error) error { // what is embedded can be read
		if contentType, known := types[path.Ext(name)]; err == nil && !d.IsDir() && known {
			files[strings.TrimPrefix(strings.TrimPrefix(name, "page/"), "index.html")] = newFile(name, contentType)
		}
		return err
	})
	return files
}

func newFile(name, contentType string) *file {
	made := func(body []byte) representation {
		hash := sha256.Sum256(body)
		return representation{body, `"` + hex.EncodeToString(hash[:16]) + `"`}
	}
	f := &file{contentType: contentType}
	f.plain = sync.OnceValue(func() representation {
		body, _ := page.ReadFile(name)
		return made(body)
	})
	f.zipped = sync.OnceValue(func() representation {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		_, _ = w.Write(f.plain().body) // a buffer takes all
		_ = w.Close()
		return made(b.Bytes())
	})
	return f
}

// send answers with the file, or that the client has it.
func (f *file) send(http *fasthttp.RequestCtx) error {
	h := &http.Response.Header
	if !http.IsGet() && !http.IsHead() {
		h.Set(fasthttp.HeaderAllow, "GET, HEAD")
		return refusal.NoMethod
	}
	h.Set(fasthttp.HeaderCacheControl, "no-cache")
	h.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	sent := f.plain()
	zip := http.Request.Header.HasAcceptEncoding("gzip")
	if zip {
		sent = f.zipped()
	}
	h.Set(fasthttp.HeaderETag, sent.etag)
	if server.HasETag(string(http.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)), sent.etag) {
		h.SetNoDefaultContentType(true)
		http.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	if zip {
		h.SetContentEncoding("gzip")
	}
	h.SetContentType(f.contentType)
	http.SetBody(sent.body)
	return nil
}
