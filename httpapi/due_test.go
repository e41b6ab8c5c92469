package httpapi

import (
	"net/http"
	"strings"
	"testing"
)

// A session that is put when it is due takes its sequence with it: nothing
// older comes back, whichever order writes arrive in. (I1)
func TestI1_PutOfADueSessionIsRemembered(t *testing.T) {
	const due = `,"expirationDate":"2050-01-01T00:00:00Z"}`
	eachShards(t, func(t *testing.T, shards int) {
		f := newFixture(t, withShards(shards))
		put := func(status int, id, body string) {
			t.Helper()
			f.want(status, "writer", "PUT", "/v2/sessions/"+id, body)
		}
		for _, stored := range []bool{true, false} {
			id := map[bool]string{true: "stored", false: "never-stored"}[stored]
			if stored {
				put(http.StatusCreated, id, `{"sequence":"1","factors":{"user":{"id":"alice"}},"userAgent":{"fingerprintId":"fp"}}`)
			}
			put(http.StatusOK, id, `{"sequence":"50"`+due)
			f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/"+id, "")
			put(http.StatusConflict, id, `{"sequence":"20"}`)
			put(http.StatusConflict, id, `{"sequence":"50"}`)
			// An older one that is due changes nothing about that.
			put(http.StatusOK, id, `{"sequence":"10"`+due)
			put(http.StatusConflict, id, `{"sequence":"50"}`)
			f.want(http.StatusNotFound, "admin", "GET", "/v2/sessions/"+id, "")
			put(http.StatusCreated, id, `{"sequence":"51"}`)
		}
		// The same in the lines of an import.
		got := f.importLines(strings.NewReader(`{"id":"i","sequence":"50"` + due + "\n" + `{"id":"i","sequence":"20"}` + "\n"))
		if got.Expired != 1 || got.Failed != 1 || got.Stored != 0 {
			t.Errorf("got %+v", got)
		}
		if ids, total := f.search("admin", `{"queries":[{"userIdQuery":{"id":"alice"}}]}`); total != 0 {
			t.Errorf("alice still has %v", ids)
		}
		// Without a sequence it is the next one.
		put(http.StatusCreated, "next", `{"sequence":"7"}`)
		put(http.StatusOK, "next", `{"creator":"c"`+due)
		put(http.StatusConflict, "next", `{"sequence":"8"}`)
		put(http.StatusCreated, "next", `{"sequence":"9"}`)
		// The largest sequence and none at all.
		put(http.StatusOK, "last", `{"sequence":"18446744073709551614"`+due)
		put(http.StatusConflict, "last", `{"sequence":"18446744073709551614"}`)
		put(http.StatusOK, "zero", `{"sequence":"0"`+due)
		put(http.StatusCreated, "zero", `{"sequence":"2"}`)
	})
}
