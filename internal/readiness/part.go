package readiness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index/audit"
)

// Condition is how a part is.
type Condition string

// The conditions.
const (
	// Good: it does what the settings promise.
	Good Condition = "good"
	// Warn: requests are answered, and less is there than promised, or something is about to go wrong.
	Warn Condition = "warn"
	// Bad: requests are refused, or /readyz says that the program is not ready.
	Bad Condition = "bad"
)

// Part is how one part of the program is.
type Part struct {
	// Name is that of its line in /readyz?verbose.
	Name  string
	State Condition
	// Says is what is known, in one line.
	Says string
	// Do is what an operator should do; empty if and only if State is Good.
	Do string
}

// Health says how each part is: the lines of /readyz?verbose, what the last audit has found, and what the sweeper has left. While
// nothing is served it has the part "program" alone. It asks Redis, for PingTimeout at most.
func (r *Readiness) Health(ctx context.Context) []Part {
	s := r.state.Load()
	if s.Store == nil {
		return []Part{{"program", Bad, s.why.Error(), "Requests are refused until this has passed. If it stays, mend what it names: the program tries again by itself."}}
	}
	_, left := s.Store.SweepStats()
	return append(s.parts(ctx), drift(s.Store.AuditStats()), backlog(left))
}

// parts are the lines of /readyz?verbose.
func (s *State) parts(ctx context.Context) []Part {
	server := s.redis(ctx)
	all := []Part{
		server, s.master(), s.breaker(), s.Eviction.now.Load().part(s.Own), s.Rights.now.Load().part(s.Own), s.files(), s.nearCache(server.State == Bad), s.replicas(),
	}
	if s.ZITADEL != nil {
		all = append(all, s.ZITADEL.parts(time.Now())...)
	}
	return all
}

func (s *State) redis(ctx context.Context) Part {
	err := s.ping(ctx)
	if err == nil {
		return Part{"redis", Good, "answers", ""}
	}
	says := err.Error()
	if age := s.Store.NearStats().StaleAge; age >= 0 {
		says += fmt.Sprintf("; verify answers by copies that were right %s ago (--stale-if-error)", age.Round(time.Millisecond))
	}
	return Part{"redis", Bad, says, "Run `redis-cli -u URL ping` from this machine, and mend Redis or the way to it. Do not restart Cloakroom: it finds out by itself, and would lose its copies."}
}

func (s *State) master() Part {
	p := Part{Name: "master", State: Good}
	switch {
	case s.Master != nil:
		p.Says = s.Master.State()
	case s.Own:
		p.Says = "a server of this process"
	default:
		p.Says = "each node of the Cluster says what is its own"
	}
	unproven, failing := s.Master.Doubts()
	switch {
	case s.Master.Err() != nil:
		p.State, p.Do = Bad, "Run `redis-cli -h HOST ROLE`. Have the address lead to the master, or promote one with `REPLICAOF NO ONE`. No restart is needed."
	case failing != "":
		p.State, p.Do = Warn, "Mend what keeps new connections from being made. The ones that are open still serve."
	case unproven != "":
		p.State, p.Do = Warn, "Let the Redis user use HELLO, ROLE and INFO (`cloakroom acl` prints the rule): without them a failover may be seen late."
	}
	return p
}

func (s *State) breaker() Part {
	away := s.Breakers.Stats().Open
	if len(away) == 0 {
		return Part{"breaker", Good, "closed", ""}
	}
	return Part{"breaker", Bad, "open: " + strings.Join(away, ", "), "Calls to these servers fail at once. Mend Redis or the way to it: the breaker closes by itself, within a second after Redis answers."}
}

func (e *evictionState) part(own bool) Part {
	p := Part{"eviction", Good, e.says, ""}
	switch {
	case e.fault != nil:
		p.State, p.Do = Bad, "Run `CONFIG SET maxmemory-policy noeviction` on each Redis server, and set the same in redis.conf. Then run `cloakroom audit`: sessions may be gone already."
	case e.says != noEviction && !own:
		p.State, p.Do = Warn, "Make sure yourself that Redis' maxmemory-policy is noeviction: Cloakroom does not see it."
	}
	return p
}

func (r *rightsState) part(own bool) Part {
	p := Part{"rights", Good, r.says, ""}
	switch {
	case r.fault != nil:
		p.State, p.Do = Bad, "Run `cloakroom acl` with the settings of `serve`, load the rule that it prints on every Redis server, replicas included, and run `ACL SAVE`."
	case r.spare != "":
		p.State, p.Do = Warn, "Requests work. For the rest, load the rule that `cloakroom acl` prints on every Redis server."
	case r.says != allRights && !own:
		p.State, p.Do = Warn, "Compare the rights of the Redis user with what `cloakroom acl` prints: Cloakroom does not see them."
	}
	return p
}

func (s *State) files() Part {
	says, good := s.Files()
	if good {
		return Part{"files", Good, says, ""}
	}
	return Part{"files", Warn, says, "Mend the file that is named. Until then what it held before counts: a key that was taken out still works. No restart is needed, and it would fail."}
}

// nearCache has no advice of its own while Redis is away: without Redis there are no links to it.
func (s *State) nearCache(away bool) Part {
	n := s.Store.NearStats()
	p := Part{"near cache", Good, n.State, ""}
	switch {
	case !n.On || n.State == "on":
	case away, s.Own && !strings.HasPrefix(n.State, "off: "):
		p.State, p.Do = Warn, "It comes back with Redis."
	case s.Own:
		p.State, p.Do = Warn, "Every read asks the server of this process. Use a real Redis for a near cache."
	default:
		p.State, p.Do = Warn, "Answers are right and slower: every read asks Redis. Let the Redis user use CLIENT TRACKING, INFO and ROLE, and look at the network to Redis; or set --near-cache-bytes=0."
	}
	return p
}

func (s *State) replicas() Part {
	f := s.Store.FailoverStats()
	if !f.WaitFails {
		return Part{"waiting for replicas", Good, f.Wait, ""}
	}
	return Part{"waiting for replicas", Warn, f.Wait, "A failover may bring revoked sessions back. Let the Redis user use WAIT (`cloakroom acl` prints the rule), and look at `INFO replication`."}
}

// drift tells of what the last audit in the background has found.
func drift(a cache.AuditStats) Part {
	var kinds []string
	total := uint64(0)
	for _, kind := range audit.Drifts() {
		if n := a.Drift[kind]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
			total += n
		}
	}
	switch {
	case total > 0:
		return Part{"drift", Warn, "the last audit has found " + strings.Join(kinds, ", "), "Run `cloakroom audit`, then `cloakroom audit --repair`. Ask who restored Redis from an old snapshot, or let it lose keys."}
	case a.Passes == 0:
		return Part{"drift", Good, "nobody has looked yet: no audit has ended", ""}
	}
	return Part{"drift", Good, "none", ""}
}

// mostBacklog is how many sessions may wait for the sweeper before that is worth a warning; the alert has the same number.
const mostBacklog = 1000

// backlog tells of how many sessions the sweeper has left.
func backlog(left int64) Part {
	says := fmt.Sprintf("%d ended sessions wait to be swept", left)
	if left <= mostBacklog {
		return Part{"sweep backlog", Good, says, ""}
	}
	return Part{"sweep backlog", Warn, says, "Wait if the number falls: only totals of large searches are too high by as many. Else look for \"background work fails\" in the log."}
}

// lines prints parts as /readyz?verbose has them.
func lines(parts []Part) string {
	var text strings.Builder
	for _, p := range parts {
		text.WriteString(p.Name + ": " + p.Says + "\n")
	}
	return text.String()
}
