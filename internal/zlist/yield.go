package zlist

import "runtime"

// Yield lets requests in that came meanwhile. Where Redis shares a processor
// with this process, its answer is often there when the read for it begins, so
// that a search may read thousands of documents without once waiting; and a
// goroutine that came from a wait for the network, and never waits again, leaves
// nobody to look for what else the network brings, except the runtime itself
// every 10 ms. (I10) docs/benchmarks.md has what it does for a Get meanwhile.
func Yield() { runtime.Gosched() }
