package cache

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

func TestNearCluster_First(t *testing.T) {
	c := redistest.StartCluster(t, redistest.ClusterConfig{})
	a, b := startNear(t, c.Client(t), 32), startNear(t, c.Client(t), 32)
	for _, id := range []string{"1", "2", "3", "4"} {
		a.put(sessionOf(id, "u", 1))
	}
	b.settle()
	b.want("1", 1, false)
	b.want("1", 1, true)
	if got := b.ofUser("u"); len(got) != 4 {
		t.Fatal(got)
	}
	a.delete("1")
	b.settle()
	b.want("1", 0, false)
	t.Logf("%+v", b.NearStats())
}
