package request

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
)

func BenchmarkDecodeList(b *testing.B) {
	body := []byte(`{"query":{"offset":"0","limit":100,"asc":false},"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE","queries":[{"userIdQuery":{"id":"user-00000042"}},{"creationDateQuery":{"creationDate":"2026-11-30T04:19:01.737942Z","method":"TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS"}}]}`)
	c := &caller.Caller{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeList(body, c, false, false); err != nil {
			b.Fatal(err)
		}
	}
}
