package main

import (
	"fmt"
	"os"
	"testing"
)

// The connections of a Cluster hide the kind of their errors from go-redis, and
// not from the metrics.
func TestClassOfALostReply(t *testing.T) {
	if got := classOf(fmt.Errorf("a node: %w", final(os.ErrDeadlineExceeded))); got != "timeout" {
		t.Errorf("a time-out on a Cluster is counted as %q", got)
	}
}
