package redistest_test

import (
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func TestSentinels_ReplicaTakesOver(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t, redistest.SentinelConfig{Replicas: 2})
	first := s.Master()
	if first != s.Servers[0] {
		t.Error("the master is not the first server")
	}
	client := s.Client(t)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	// WAIT may go over another connection here: it counts what all clients have written.
	if n, err := client.Wait(t.Context(), 2, 5*time.Second).Result(); n != 2 || err != nil {
		t.Fatalf("%d replicas have it: %v", n, err)
	}
	second := s.Failover()
	if second == first || second != s.Master() {
		t.Error("the master is another than Failover says")
	}
	second.Kill()
	third := s.WaitPromoted(second)
	if v, err := third.Client(t).Get(t.Context(), "k").Result(); v != "v" || err != nil {
		t.Errorf("after two failovers: %q, %v", v, err)
	}
	second.Restart()
	s.WaitReady()
	if n := len(s.Servers); n != 3 || s.Master() != third {
		t.Error("who was killed is the master again")
	}
}
