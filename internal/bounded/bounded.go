// Package bounded has caches in memory that are bounded, in bytes or in entries, and keep what is asked for most. They
// are otter's, which resists scans. They start no goroutine: upkeep is done on the goroutine that calls. (I7)
package bounded

import "github.com/maypok86/otter/v2"

// Cache is such a cache. It is safe for concurrent use.
//
// It is an interface so that otter's code for K and V, some thousand functions, is compiled only in the package that
// makes the cache, and not again in each one that imports a struct with a cache in it.
type Cache[K comparable, V any] interface {
	// GetIfPresent returns the value of a key, if there is one.
	GetIfPresent(key K) (V, bool)
	// Set keeps a value, and returns it. If there was one, it returns that, and false.
	Set(key K, value V) (V, bool)
	// Invalidate removes a key's value, and returns it if there was one.
	Invalidate(key K) (V, bool)
	// InvalidateAll removes everything.
	InvalidateAll()
	// EstimatedSize is about how many entries there are.
	EstimatedSize() int
	// WeightedSize is how many bytes all entries take, as weigh tells them; 0 without weigh.
	WeightedSize() uint64
}

// InBytes returns a cache of entries that take up to maxBytes in all, as weigh tells them.
func InBytes[K comparable, V any](maxBytes uint64, weigh func(K, V) uint32) Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{MaximumWeight: maxBytes, Weigher: weigh, Executor: runInline})
}

// InEntries returns a cache of up to that many entries.
func InEntries[K comparable, V any](maxEntries int) Cache[K, V] {
	return otter.Must(&otter.Options[K, V]{MaximumSize: maxEntries, Executor: runInline})
}

func runInline(task func()) { task() }
