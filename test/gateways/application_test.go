package gateways

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// seen is a request as it reached the application.
type seen struct {
	method, target, host string
	header               http.Header       // names as they came; values of one name may be one, with commas
	server               map[string]string // the headers in PHP's $_SERVER
	body                 int64
}

// identity returns the values of the headers that an application could take for identity headers, by their name in lower
// case with hyphens. PHP makes no difference between -, _ and .; lighttpd, for CGI, makes _ of all that is neither a letter
// nor a digit.
func (s *seen) identity() map[string][]string {
	found := map[string][]string{}
	for name, values := range s.header {
		name = folded(name)
		if strings.HasPrefix(name, "x-session-") && name != "x-session-token" {
			found[name] = append(found[name], values...)
		}
	}
	return found
}

// folded returns a header's name in lower case, with a hyphen for each character that is neither a letter nor a digit.
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

// php returns the value of a header in $_SERVER, "" if it is not there.
func (s *seen) php(name string) string {
	return s.server["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))]
}

// application is what the gateways protect: PHP's own server with testdata/application.php, which writes down what reaches it.
type application struct {
	t    *testing.T
	addr string
	file string // has a line for each request
	read int    // the bytes of it that were taken
}

func startApplication(t *testing.T) *application {
	t.Helper()
	a := &application{t: t, addr: redistest.FreeAddr(t), file: filepath.Join(t.TempDir(), "seen")}
	programtest.Start(t, "php", "http://"+a.addr+"/", program(t, "env"), "SEEN="+a.file, program(t, "php"), "-n",
		"-d", "enable_post_data_reading=0", "-S", a.addr, "testdata/application.php")
	return a
}

// take returns what was seen since the last call.
func (a *application) take() []*seen {
	content, err := os.ReadFile(a.file)
	if err != nil {
		a.t.Error(err)
	}
	var all []*seen
	for line := range bytes.Lines(content[a.read:]) {
		var r struct {
			Method, Target string
			Header, Server map[string]string
			Body           int64
		}
		if err := json.Unmarshal(line, &r); err != nil {
			a.t.Errorf("%s: %v", line, err)
		}
		s := &seen{method: r.Method, target: r.Target, header: http.Header{}, server: r.Server, body: r.Body}
		for name, value := range r.Header {
			s.header[name] = []string{value}
		}
		s.host = s.php("Host")
		all = append(all, s)
	}
	a.read = len(content)
	return all
}

// serve serves h on a free port until the end of the test.
func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	return serveWith(t, &http.Server{Handler: h, ReadHeaderTimeout: programtest.StartTimeout})
}

// serveWith runs server on a free port until the end of the test.
func serveWith(t *testing.T, server *http.Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended // I7
	})
	return l.Addr().String()
}
