package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

const (
	// lateReplica is how many seconds a replica may not have answered.
	lateReplica = 10
	// farReplica is how many bytes a replica may be behind.
	farReplica = 16 << 20
)

// checkReplicas looks at which replica would take over, and how much would be lost.
func (e *examination) checkReplicas(_ context.Context, n *node) []Finding {
	if n.infoErr != nil {
		return []Finding{unseen("replicas", n.infoErr)}
	}
	var found []Finding
	good := 0
	for i := range n.number("connected_slaves") {
		r := fields(n.info[fmt.Sprintf("slave%d", i)])
		name := r["ip"] + ":" + r["port"]
		offset, _ := strconv.ParseInt(r["offset"], 10, 64)
		lag, _ := strconv.ParseInt(r["lag"], 10, 64)
		behind := n.number("master_repl_offset") - offset
		switch {
		case r["state"] != "online":
			found = append(found, warn(fmt.Sprintf("the replica %s is not ready: %s", name, r["state"]), remedy("if that lasts, its log says why; repl-backlog-size may be too small")))
		case lag > lateReplica || behind > farReplica:
			found = append(found, warn(fmt.Sprintf("the replica %s is %s and %d s behind: a failover to it loses what it has not got", name, bytes(behind), lag), remedy("its machine, its disk or the network is too slow, or it hangs")))
		default:
			good++
		}
	}
	least, known := n.setting("min-replicas-to-write")
	switch {
	case known && int64(good) < least:
		found = append(found, fail(fmt.Sprintf("%d replicas are ready, and min-replicas-to-write is %d: Redis refuses writes", good, least),
			remedy("bring the replicas back, or CONFIG SET min-replicas-to-write %d", good)))
	case good > 0:
		f := ok("%d ready", good)
		if known {
			f.Found += fmt.Sprintf(", min-replicas-to-write %d", least)
		}
		found = append(found, f)
	case len(found) > 0:
	case e.failsOver():
		found = append(found, warn("there is none: if this master dies, its sessions are away until it is back", remedy("add a replica on another machine: REPLICAOF, or redis-cli --cluster add-node … --cluster-slave")))
	default:
		found = append(found, ok("there is none: while Redis is away, so are the sessions"))
	}
	return found
}

// fields takes "ip=…,port=…" apart.
func fields(text string) map[string]string {
	m := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(part, "="); ok {
			m[name] = value
		}
	}
	return m
}
