//go:build race

package deadline

// raceEnabled says that the race detector is on, which allocates itself.
const raceEnabled = true
