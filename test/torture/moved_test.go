package torture

import (
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// What the table says of a server that is no master.
const (
	foundAtOnce = "within the bound of the move"
	notReady    = "503, and not ready, with the reason, while no master is proven"
	isReplica   = "is a replica"
	ifFenced    = "nothing, where the old master takes no writes any more and the replica has all (`min-replicas-to-write`)"
)

// moveFaults are those where an address leads to another server than before, or to one that is no master. Copies are used in
// some processes, and in others not.
func moveFaults() []*fault {
	return []*fault{
		{
			name: "endpoint moved: the old master is a replica with its link down", sees: "503 within the bound of the move, then all answers",
			outcome: ifFenced, recovery: foundAtOnce, on: movable, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				w.fence()
				w.demote(w.server)
				w.promote()
				w.execute(condemned, 0, 1, 2)
				w.served(d, 0, 1, 2)
				return nil
			},
		},
		{
			name: "endpoint moved: the old master still calls itself one", sees: "within the bound of the move 503 for writes, and fresh answers as of the move; then all answers",
			outcome: ifFenced, recovery: foundAtOnce, on: movable, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				w.fence()
				w.promote()
				w.execute(condemned, 0, 1, 2)
				w.served(d, 0, 1, 2)
				return nil
			},
		},
		{
			name: "demoted by hand, and promoted again (`READONLY`)", sees: notReady, outcome: keepsAll, recovery: atOnce, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.demote(w.server)
				w.dark(d, isReplica, 0, 1, 2)
				w.again()
				w.served(d/2, 0, 1, 2)
				return nil
			},
		},
		{
			name: "demoted by hand, then a replica promoted and the endpoint moved", sees: notReady, outcome: ifFenced, recovery: foundAtOnce, on: movable, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				w.fence()
				w.demote(w.server)
				w.dark(d, isReplica, 0, 1, 2)
				w.promote()
				w.execute(condemned, 0, 1, 2)
				w.served(d/2, 0, 1, 2)
				return nil
			},
		},
		{
			name: "URL of a replica with its link down, from the start or because the endpoint moves there", sees: notReady, outcome: keepsAll, recovery: atOnce, on: withReplica, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(2)
				w.synced()
				w.demote(w.replica)
				w.lead(w.replica)
				during(bound, 20*time.Millisecond, w.proxy.CutAll) // also those that were on their way
				late := w.late(0)
				w.serving([]int{2}, func() {
					w.execute(condemned, 2)
					w.dark(d, isReplica, 0, 1)
				})
				if ready, says := late.readiness(); ready || !strings.Contains(says, isReplica) {
					w.t.Errorf("a process that was started with the address of a replica says %q", says)
				}
				w.lead(w.server)
				w.join(late)
				w.served(d/2, 0, 1, 2)
				return nil
			},
		},
		{
			name: "balanced over master and replica, whose link goes down", sees: "503 for what was under way, then all answers, from the master", outcome: keepsAll, recovery: atOnce, on: withReplica, mixed: true, felt: redialed,
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				w.synced()
				w.demote(w.replica)
				w.lead(w.replica, w.server)
				w.proxy.CutAll()
				late := w.late(1)
				w.execute(condemned, 0, 1, 2)
				w.served(d, 0, 1, 2)
				w.join(late)
				return nil
			},
		},
		{
			name: "Sentinels: demoted by hand while they are of no use, and promoted again", sees: notReady, outcome: keepsAll, recovery: atOnce, on: watched, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				w.sentinels.NeverFailOver()
				w.demote(w.server)
				w.dark(d, isReplica, 0, 1, 2)
				w.again()
				w.served(d/2, 0, 1, 2)
				return nil
			},
		},
		{
			name: "Sentinels replace the master", sees: "503 until they have agreed, then all answers", outcome: ifFenced, recovery: foundAtOnce, on: watched, mixed: true, felt: refusals,
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				w.fence()
				begun := w.h.now()
				w.server = w.sentinels.Failover()
				w.direct = w.server.Client(w.t)
				w.moved(begun)
				w.execute(condemned, 0, 1, 2)
				w.served(d, 0, 1, 2)
				return nil
			},
		},
		{
			name: "Cluster: `CLUSTER FAILOVER` of each master", sees: "all answers; some 503 until the nodes agree", outcome: keepsAll, recovery: "within a second or two", on: clustered, mixed: true,
			felt: func(*world, *before) bool { return true }, // run waits for it
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				begun := w.h.now()
				for k := range 3 {
					w.cluster.Failover(k * redistest.Slots / 3)
				}
				w.moved(begun)
				w.execute(condemned, 0, 1, 2)
				w.served(d, 0, 1, 2)
				return nil
			},
		},
		{
			name: "Cluster: seeds are replicas, or balanced over all nodes; the replicas' links go down", sees: "all answers", outcome: keepsAll, recovery: "—", on: clustered, mixed: true,
			felt: func(*world, *before) bool { return true }, // run waits for it
			run: func(w *world, d time.Duration) *loss {
				condemned := w.condemn(0, 1, 2)
				w.serving([]int{0, 1, 2}, func() {
					for k := range 3 {
						w.cluster.Nodes[3+k].Do("CONFIG", "SET", "masterauth", "wrong")
						w.cluster.Nodes[k].Do("CLIENT", "KILL", "TYPE", "replica")
					}
					w.unlinked(w.cluster.Nodes[3:])
					w.join(w.late(0)) // its seeds are replicas
					w.join(w.late(1)) // its seed is balanced
					w.execute(condemned, 0, 1, 2)
					hold(d)
				})
				for k := range 3 {
					w.cluster.Nodes[3+k].Do("CONFIG", "SET", "masterauth", password)
				}
				return nil
			},
		},
	}
}

// unlinked waits until no replica hears of its master.
func (w *world) unlinked(replicas []*redistest.Node) {
	w.t.Helper()
	for _, r := range replicas {
		if !eventually.Within(patience, func() bool { return infoOf(r.Server, "replication")["master_link_status"] == "down" }) {
			w.t.Errorf("the link of the replica %s does not go down", r.Addr)
		}
	}
}

// late starts one more process with the URL of process n, which need not become ready.
func (w *world) late(n int) *sidecar {
	w.t.Helper()
	c := w.process(len(w.all), w.urls[n])
	if err := c.run(); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// join waits until a late process is ready, and has all that follows concern it too.
func (w *world) join(c *sidecar) {
	w.t.Helper()
	if err := c.wait(); err != nil {
		w.t.Fatal(fmt.Errorf("a process that was started while the fault lasted: %w", err))
	}
	w.all = append(w.all, c)
}
