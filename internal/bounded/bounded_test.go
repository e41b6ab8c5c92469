package bounded_test

import (
	"runtime"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/bounded"
)

// Whatever is put in, no more than the bound is kept, and what is kept is what was put in.
func TestCache_IsBounded(t *testing.T) {
	const most, puts = 1000, 20_000
	for name, kind := range map[string]struct {
		bounded.Cache[int, int]
		bytes int // of an entry
	}{
		"in entries": {bounded.InEntries[int, int](most), 0},
		"in bytes":   {bounded.InBytes(most*8, func(int, int) uint32 { return 8 }), 8},
	} {
		t.Run(name, func(t *testing.T) {
			c := kind.Cache
			for i := range puts {
				c.Set(i, -i)
			}
			kept := 0
			for i := range puts {
				if v, ok := c.GetIfPresent(i); ok {
					kept++
					if v != -i {
						t.Fatalf("%d has %d", i, v)
					}
				}
			}
			if kept == 0 || kept > most || c.EstimatedSize() != kept {
				t.Errorf("%d of %d are kept, and %d are told", kept, puts, c.EstimatedSize())
			}
			if c.WeightedSize() != uint64(kept*kind.bytes) {
				t.Errorf("%d are kept, and take %d bytes", kept, c.WeightedSize())
			}
			c.InvalidateAll()
			if c.EstimatedSize() != 0 {
				t.Errorf("%d are left", c.EstimatedSize())
			}
		})
	}
}

func TestCache_SetAndInvalidate(t *testing.T) {
	c := bounded.InEntries[string, int](10)
	if v, fresh := c.Set("a", 1); v != 1 || !fresh {
		t.Error(v, fresh)
	}
	if v, fresh := c.Set("a", 2); v != 1 || fresh {
		t.Error(v, fresh)
	}
	if v, ok := c.Invalidate("a"); v != 2 || !ok {
		t.Error(v, ok)
	}
	if _, ok := c.GetIfPresent("a"); ok {
		t.Error("it is still there")
	}
	if _, ok := c.Invalidate("a"); ok {
		t.Error("it was removed twice")
	}
}

// A cache that nobody calls costs nothing, and has nothing to stop. (I7)
func TestI7_CacheStartsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, c := range []bounded.Cache[int, int]{bounded.InEntries[int, int](100), bounded.InBytes(800, func(int, int) uint32 { return 8 })} {
		for i := range 10_000 {
			c.Set(i, i)
			c.GetIfPresent(i)
			if n := runtime.NumGoroutine(); n > before {
				t.Fatalf("%d goroutines, %d before", n, before)
			}
		}
	}
}
