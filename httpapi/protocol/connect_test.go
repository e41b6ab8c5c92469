package protocol

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/valyala/fasthttp"
)

// Every code has Connect's name and Connect's status.
func TestConnect_EveryCode(t *testing.T) {
	table := map[string]int{
		"canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504, "not_found": 404, "already_exists": 409, "permission_denied": 403,
		"resource_exhausted": 429, "failed_precondition": 400, "aborted": 409, "out_of_range": 400, "unimplemented": 501, "internal": 500, "unavailable": 503,
		"data_loss": 500, "unauthenticated": 401,
	}
	for code := range refusal.Code(100) {
		name, named := connectCodes[code]
		if status := code.Status(); named != (status != 0) || named && status != table[name] {
			t.Errorf("%d is %q, with the status %d, want %d", code, name, status, table[name])
		}
	}
}

// docs/clients.md has the name and the status of every code, and the headers.
func TestDocsNameConnect(t *testing.T) {
	const clientsDoc = "../../docs/clients.md"
	text, err := os.ReadFile(clientsDoc)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for code, name := range connectCodes {
		if row := fmt.Sprintf("| %d | `%s` | %d |", code, name, code.Status()); !strings.Contains(doc, row) {
			t.Errorf("%s does not have %s", clientsDoc, row)
		}
	}
	for _, name := range []string{string(connectVersionName), string(connectTimeoutName)} {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("%s does not have %s", clientsDoc, name)
		}
	}
}

// Headers are taken, or refused with a status that the protocol has for that.
func FuzzConnectHeaders(f *testing.F) {
	f.Add("1", "application/json", "", "1000")
	f.Add("2", "application/json; charset=utf-8", "gzip", "0")
	f.Add("", "text/plain", "identity", "+1")
	f.Add("", "application/json; charset=\xff;;=", "br", "9999999999")
	f.Fuzz(func(t *testing.T, version, contentType, encoding, timeout string) {
		h := new(fasthttp.RequestHeader)
		h.SetMethod("POST")
		h.SetContentLength(2)
		for _, header := range [][2]string{{"Connect-Protocol-Version", version}, {"Content-Type", contentType}, {"Content-Encoding", encoding}, {"Connect-Timeout-Ms", timeout}} {
			h.Set(header[0], header[1])
		}
		waits, err := Connect.Check(h)
		if e, ok := errors.AsType[*refusal.Error](err); ok {
			if status := connectStatus(e); status != http.StatusBadRequest && status != http.StatusUnsupportedMediaType && status != http.StatusNotImplemented {
				t.Errorf("%v has the status %d", err, status)
			}
			return
		}
		if err != nil || waits < 0 || waits > 1e10*time.Millisecond || (waits == 0) != (timeout == "") {
			t.Errorf("%q became %s, %v", timeout, waits, err)
		}
	})
}
