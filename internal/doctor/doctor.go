// Package doctor looks at a Redis that is to keep sessions, at issuers of tokens and at a ZITADEL, and says what is
// wrong with them and what to do. It changes nothing that stays: one key is set
// and deleted in one transaction, to see whether Redis tells of it.
//
// It reports everything that it cannot see. A check that fails or hangs hides no other.
package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/acl"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/redis/go-redis/v9"
)

// checkTimeout bounds each check of each server.
const checkTimeout = 5 * time.Second

// Status is how a check ended.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, and will not always
	Fail Status = "fail" // sessions are refused, lost or late
	Skip Status = "skip" // it could not be seen
)

// Finding is the result of one check, of one server or of all.
type Finding struct {
	Check string `json:"check"`
	// Node is the server, "" if there is one, or if it holds for all.
	Node string `json:"node,omitempty"`
	// Issuer is the name of the issuer of tokens that was examined, "" if none was.
	Issuer string `json:"issuer,omitempty"`
	// Section is "zitadel" if a ZITADEL was examined whose sessions are cached.
	Section string `json:"section,omitempty"`
	Status  Status `json:"status"`
	Found   string `json:"found"`
	// Fix says what to do, a step each; none if there is nothing to do.
	Fix []string `json:"fix,omitempty"`
}

// Address is one of the URL: of a Redis, of a node of a Cluster, or of a
// Sentinel. TLS is nil where there is none.
type Address struct {
	Network, Addr string // "tcp" or "unix"
	TLS           *tls.Config
}

// Config says what to examine. Client, Options and Addresses are required.
type Config struct {
	// Client is as serve has it.
	Client redis.UniversalClient
	// Options say how to connect and log in, TLS included; the address does not
	// count.
	Options *redis.Options
	// User is who logs in, "" for the default user; Password says that one is
	// given.
	User      string
	Password  bool
	Addresses []Address
	// Master is what the addresses, which are of Sentinels then, call the master, and
	// Sentinel says how to log in at them.
	Master   string
	Sentinel *redis.Options
	// Private says that the server is one of our own, whose settings are
	// nobody's to change.
	Private bool
	// Prefix begins every key, Shards is P as it is configured: 0 takes what
	// is recorded.
	Prefix string
	Shards int
	// Rights are those that serve needs, Near says that it has a near cache, NearByKey that
	// this has Redis track keys.
	Rights    []acl.Right
	Near      bool
	NearByKey bool
}

// examination is a Config while it is worked through.
type examination struct {
	Config
	tell   func(Finding)
	server Address // outside of a Cluster: the master
	nodes  []*node
	space  *keys.Space // with the number of shards that is recorded, or would be
}

// InMemory is the finding where sessions are in the process.
func InMemory() Finding {
	f := warn("memory: keeps sessions in the process, to try out; there is no Redis to look at", remedy("--redis-url redis://HOST:PORT"))
	f.Check = "server"
	return f
}

// Examine does all checks, one after the other, and tells what each has found.
// It returns when ctx ends, at the latest.
func Examine(ctx context.Context, c Config, tell func(Finding)) {
	e := &examination{Config: c, tell: tell}
	if !e.reach(ctx) {
		return
	}
	if !e.findNodes(ctx) {
		return
	}
	defer e.close()
	if !e.checkKind(ctx) {
		return
	}
	e.each(ctx, "server", e.checkServer)
	if e.cluster() == nil && e.Master == "" && !e.Private {
		e.once(ctx, "server", e.checkEndpoint)
	}
	if e.cluster() != nil {
		e.once(ctx, "cluster", e.checkCluster)
	}
	e.once(ctx, "shards", e.checkShards)
	e.each(ctx, "rights", e.checkRights)
	if e.Near {
		e.each(ctx, "tracking", e.checkTracking)
	}
	e.each(ctx, "eviction", checkEviction)
	e.each(ctx, "memory", e.checkMemory)
	e.each(ctx, "persistence", e.checkPersistence)
	if !e.Private {
		e.each(ctx, "replicas", e.checkReplicas)
	}
	e.each(ctx, "settings", e.checkSettings)
	e.each(ctx, "clock", checkClock)
	if len(e.nodes) > 1 {
		e.once(ctx, "clock", e.checkClocks)
	}
	e.each(ctx, "latency", checkLatency)
	e.once(ctx, "sessions", e.checkSessions)
	if !e.Private {
		e.each(ctx, "clients", e.checkClients)
	}
}

// check is one check of one server.
type check func(ctx context.Context, n *node) []Finding

// each does a check on every server at the same time. What is the same on all
// is told once.
func (e *examination) each(ctx context.Context, name string, do check) {
	found := make([][]Finding, len(e.nodes))
	var all sync.WaitGroup
	for i, n := range e.nodes {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			found[i] = do(ctx, n)
		})
	}
	all.Wait() // I7
	alike := func(a, b Finding) bool {
		return a.Status == b.Status && a.Found == b.Found && slices.Equal(a.Fix, b.Fix)
	}
	first := found[0]
	same := !slices.ContainsFunc(found, func(f []Finding) bool { return !slices.EqualFunc(f, first, alike) })
	for i, n := range e.nodes {
		for _, f := range found[i] {
			if f.Check = name; len(e.nodes) > 1 && !same {
				f.Node = n.name
			}
			e.tell(f)
		}
		if same {
			return
		}
	}
}

// once does a check that is not about one server.
func (e *examination) once(ctx context.Context, name string, do func(context.Context) []Finding) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for _, f := range do(ctx) {
		f.Check = name
		e.tell(f)
	}
}

func ok(format string, args ...any) Finding {
	return Finding{Status: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(found string, fix ...advice) Finding { return advise(Warn, found, fix) }

func fail(found string, fix ...advice) Finding { return advise(Fail, found, fix) }

func advise(s Status, found string, fix []advice) Finding {
	f := Finding{Status: s, Found: found}
	for _, a := range fix {
		f.Fix = append(f.Fix, a.text)
	}
	return f
}
