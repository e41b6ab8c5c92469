package console

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// netBurst is how many wrong keys a client's network may try at once, netRate how many a second in the long run; so all may
	// allBurst and allRate together.
	netBurst, netRate = 10, 1
	allBurst, allRate = 200, 20
	// maxNets is of how many networks the wrong keys are counted apart.
	maxNets = 1000
)

// failures limit how many wrong keys are tried. Right keys are not limited, so that nobody keeps others out by guessing. The
// zero value has counted none. It is safe for concurrent use.
type failures struct {
	mu   sync.Mutex
	all  *rate.Limiter
	nets map[netip.Prefix]*rate.Limiter
}

// allow counts a wrong key of a network, and says whether that was not one too many.
func (f *failures) allow(of netip.Prefix, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all, f.nets = rate.NewLimiter(allRate, allBurst), map[netip.Prefix]*rate.Limiter{}
	}
	net := f.nets[of]
	if net == nil {
		if len(f.nets) >= maxNets {
			f.forget(now)
		}
		net = rate.NewLimiter(netRate, netBurst)
		f.nets[of] = net
	}
	return net.AllowN(now, 1) && f.all.AllowN(now, 1)
}

// forget forgets the networks that have tried nothing for a while; if there are none, any one.
func (f *failures) forget(now time.Time) {
	var one netip.Prefix
	for of, net := range f.nets {
		one = of
		if net.TokensAt(now) >= netBurst {
			delete(f.nets, of)
		}
	}
	if len(f.nets) >= maxNets {
		delete(f.nets, one)
	}
}
