//go:build race

package httpapi

// raceEnabled says that the race detector is on, which allocates itself.
const raceEnabled = true
