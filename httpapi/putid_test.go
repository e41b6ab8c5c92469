package httpapi

import (
	"net/http"
	"testing"
)

// An ID in the body of PUT is that of the path, or nothing is stored.
func TestPutIDInTheBody(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for body, want := range map[string]string{
		`{"session":{"id":"zz"}}`: `{"code":3,"message":"invalid id: is zz, where the path has e8: both must be the same"}`,
		`{"id":"zz"}`:             `{"code":3,"message":"invalid id: is zz, where the path has e8: both must be the same"}`,
		`{"id":"E8"}`:             `{"code":3,"message":"invalid id: is E8, where the path has e8: both must be the same"}`,
	} {
		if r := f.want(http.StatusBadRequest, "admin", "PUT", "/v2/sessions/e8", body); r.body != want {
			t.Errorf("%s: got %s, want %s", body, r.body, want)
		}
	}
	f.want(http.StatusBadRequest, "admin", "PUT", "/v2/sessions/e8", `{"id":"a b"}`)
	f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/e8", "")
	for _, body := range []string{`{"id":"e8"}`, `{"id":""}`, `{"id":null}`, `{}`, `{"session":{"id":"e8"}}`} {
		if r := f.do("admin", "PUT", "/v2/sessions/e8", body); r.status/100 != 2 {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
