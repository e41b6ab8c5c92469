package redistest_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// A server of a test's own against one that is emptied: docs/decisions.md.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		server := redistest.Start(b)
		b.StopTimer()
		server.Kill()
		b.StartTimer()
	}
}

func BenchmarkFlush(b *testing.B) {
	client := redistest.Start(b).Client(b)
	for b.Loop() {
		b.StopTimer()
		for key := range 100 {
			if err := client.Set(b.Context(), string(rune('a'+key)), "", 0).Err(); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if err := client.FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
	}
}
