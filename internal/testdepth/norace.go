//go:build !race

package testdepth

// rarer is 1 without the race detector.
const rarer = 1
