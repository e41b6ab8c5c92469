package redistest

import (
	"fmt"
	"strconv"
	"strings"
)

// clusterView is what one node says of its cluster.
type clusterView struct {
	owner  []string          // the ID of the master, by slot
	master map[string]string // the ID of a node's master, by the node's ID; "-" is a master itself
}

// view asks the node.
func (n *Node) view() (*clusterView, error) {
	reply, err := n.ask("CLUSTER", "NODES")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Addr, err)
	}
	text, _ := reply.(string)
	v := &clusterView{owner: make([]string, Slots), master: map[string]string{}}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			return nil, fmt.Errorf("%s: a line of CLUSTER NODES: %q", n.Addr, line)
		}
		v.master[fields[0]] = fields[3]
		for _, slots := range fields[8:] {
			if strings.HasPrefix(slots, "[") {
				continue // on its way
			}
			first, last, isRange := strings.Cut(slots, "-")
			if !isRange {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 != nil || err2 != nil || from < 0 || to >= Slots {
				return nil, fmt.Errorf("%s: slots %q", n.Addr, slots)
			}
			for slot := from; slot <= to; slot++ {
				v.owner[slot] = fields[0]
			}
		}
	}
	return v, nil
}
