package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// SentinelRule is what a Sentinel must allow a client that asks it for the master, and
// wants to be told of another one.
const SentinelRule = "resetchannels &+switch-master &+replica-reconf-done -@all " +
	"+client|setname +ping +sentinel|get-master-addr-by-name +sentinel|replicas +sentinel|sentinels +subscribe"

// askSentinel asks a Sentinel where the master is.
func (e *examination) askSentinel(ctx context.Context, p *Address) Finding {
	o := *e.Sentinel
	o.Network, o.Addr = p.Network, p.Addr
	sentinel := redis.NewSentinelClient(&o)
	defer sentinel.Close()
	addr, err := sentinel.GetMasterAddrByName(ctx, e.Master).Result()
	switch {
	case err == nil && len(addr) == 2:
	case errors.Is(err, redis.Nil):
		return fail("this Sentinel knows no master "+e.Master, remedy("correct the name at the end of --redis-url: SENTINEL MASTERS lists them"))
	case err != nil && strings.Contains(err.Error(), "WRONGPASS"), redis.HasErrorPrefix(err, "NOAUTH"):
		return fail("this Sentinel wants another user or password", remedy("--redis-sentinel-username and --redis-sentinel-password-file; those of the URL are for Redis"))
	case redis.HasErrorPrefix(err, "NOPERM"):
		return fail("this Sentinel does not let its user ask: "+strings.TrimPrefix(plain(err), "NOPERM "), remedy("the second line of `cloakroom acl --sentinel` is what it must allow"))
	case isTimeout(err):
		return fail(fmt.Sprintf("this Sentinel takes connections and does not answer within %v", reachTimeout), remedy("does it hang? its log says; if it is the port of something else, correct --redis-url"))
	default:
		if said, fix := standing(e.greeting(ctx, p, err)); said != "" {
			return fail(strings.Replace(said, "Redis", "this Sentinel", 1), fix...)
		}
		return fail("what answers is no Sentinel: "+plain(err), remedy("--redis-url has the addresses of Sentinels after redis+sentinel://, by default at port 26379"))
	}
	master := net.JoinHostPort(addr[0], addr[1])
	if e.server.Addr != "" && e.server.Addr != master {
		return warn(fmt.Sprintf("the master is %s, and another Sentinel says %s", master, e.server.Addr), remedy("if that lasts, the Sentinels do not reach each other: SENTINEL CKQUORUM %s", e.Master))
	}
	e.server = Address{Network: "tcp", Addr: master, TLS: p.TLS}
	return ok("Sentinel: the master %s is %s", e.Master, master)
}
