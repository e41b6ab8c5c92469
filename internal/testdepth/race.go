//go:build race

package testdepth

// rarer is how many times fewer cases are done with the race detector, which makes each several times slower. Most of them have
// one writer at a time, and show it little.
const rarer = 4
