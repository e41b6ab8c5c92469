package doctor

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// leastVersion is the first major version of Redis and Valkey that will do.
const leastVersion = 7

// checkServer looks at what answers: which server, which version, a master.
func (e *examination) checkServer(_ context.Context, n *node) []Finding {
	var found []Finding
	what := "this server"
	if n.infoErr == nil {
		name, version := "Redis", n.info["redis_version"]
		if v := n.info["valkey_version"]; v != "" {
			name, version = "Valkey", v
		}
		what = name + " " + version
		major, _, _ := strings.Cut(version, ".")
		if v, err := strconv.Atoi(major); err != nil || v < leastVersion {
			return []Finding{fail(fmt.Sprintf("%s is too old", what), remedy("upgrade to Redis %d or Valkey 7.2 at least: cloakroom uses CLIENT TRACKING, ACLs and commands of it", leastVersion))}
		}
	} else {
		found = append(found, unseen("which server answers", n.infoErr))
	}
	switch {
	case n.role == "slave" && n.master != "":
		found = append(found, fail(what+" is a replica of "+n.master+", and takes no writes", mustBeMaster(n.master)))
	case redis.HasErrorPrefix(n.pingErr, "MASTERDOWN"):
		found = append(found, fail(what+" is a replica that has lost its master", mustBeMaster("")))
	case n.role == "slave":
		found = append(found, fail(what+" is a replica, and takes no writes", mustBeMaster("")))
	case n.role == "" && !isReply(n.infoErr): // it does not answer at all
	case n.role == "", n.byHello:
		text := "HELLO, ROLE and INFO tell nothing: nothing proves that a master answers, and after a failover a revoked session may pass"
		if n.byHello {
			text = fmt.Sprintf("it is a %s by HELLO alone, for user %s may neither ROLE nor INFO: nothing tells which server it is, so that a replaced master may be taken for the present one", n.role, e.user())
		}
		found = append(found, warn(text, remedy("ACL SETUSER %s +role +info, or use a Redis that allows them", e.user())))
	case n.infoErr != nil:
		found = append(found, ok("it is a %s", n.role))
	default:
		up := time.Duration(n.number("uptime_in_seconds")) * time.Second
		mode := cmp.Or(n.info["server_mode"], n.info["redis_mode"]) // Valkey 8 has the first
		found = append(found, ok("%s, %s master, up for %s", what, mode, up))
	}
	return found
}

// mustBeMaster says where the URL must lead, if not to a replica of master.
func mustBeMaster(master string) advice {
	return remedy("--redis-url must lead to the master%s; if it may change, name the Sentinels or the Cluster", ifKnown(master))
}

func ifKnown(addr string) string {
	if addr == "" {
		return ""
	}
	return ", " + addr
}

// checkEviction makes sure that no session is thrown out.
func checkEviction(_ context.Context, n *node) []Finding {
	policy := n.info["maxmemory_policy"]
	if policy == "" {
		policy = n.config["maxmemory-policy"]
	}
	var found []Finding
	switch policy {
	case "":
		return []Finding{unseen("maxmemory-policy", n.infoErr)}
	case "noeviction":
		found = append(found, ok("maxmemory-policy noeviction"))
	default:
		found = append(found, fail("maxmemory-policy is "+policy+": a full Redis throws sessions out, and their users are logged out",
			setting("maxmemory-policy", "noeviction")))
	}
	if evicted := n.number("evicted_keys"); evicted > 0 {
		found = append(found, warn(fmt.Sprintf("%d keys were evicted since Redis started; sessions may be among them", evicted),
			remedy("`cloakroom audit --repair` removes what they have left behind; then CONFIG RESETSTAT sets the count to 0")))
	}
	return found
}

const (
	// Shares of maxmemory, or of the machine's memory, in percent.
	fullSoon, full = 80, 95
)

// checkMemory looks how much of it is left.
func (e *examination) checkMemory(_ context.Context, n *node) []Finding {
	if n.infoErr != nil {
		return []Finding{unseen("the memory in use", n.infoErr)}
	}
	used, most, machine := n.number("used_memory"), n.number("maxmemory"), n.number("total_system_memory")
	if most == 0 && e.Private {
		return []Finding{ok("%s used", bytes(used))}
	}
	if most == 0 {
		return []Finding{warn(fmt.Sprintf("%s used, and maxmemory is 0: Redis grows until the machine is out of memory and its kernel ends it", bytes(used)),
			setting("maxmemory", suggested(used, machine)))}
	}
	share := used * 100 / most
	what := fmt.Sprintf("%s used of maxmemory %s (%d %%)", bytes(used), bytes(most), share)
	fix := []advice{setting("maxmemory", suggested(most, machine)), remedy("or shorter lifetimes of sessions, or a Redis of its own for cloakroom")}
	switch {
	case share >= full || n.refusedFull: // buffers may take what seems to be left
		return []Finding{fail(what+": new sessions are refused, or soon will be", fix...)}
	case share >= fullSoon:
		return []Finding{warn(what, fix...)}
	case machine > 0 && most > machine:
		return []Finding{warn(what+", more than the machine has: "+bytes(machine), setting("maxmemory", suggested(used, machine)))}
	}
	return []Finding{ok("%s", what)}
}

// suggested is a maxmemory: twice what is used, half the machine at least, and
// room for the copies that saving makes.
func suggested(used, machine int64) string {
	const mib = 1 << 20
	want := max(2*used, machine/2, 100*mib)
	if machine > 0 {
		want = min(want, machine/4*3)
	}
	return strconv.FormatInt(want/mib, 10) + "mb"
}

// mendSaving is about snapshots that fail.
var mendSaving = remedy("its log says why: a full disk, a directory that is not there or may not be written (CONFIG GET dir), or no memory for the fork (sysctl vm.overcommit_memory=1); mend that, then BGSAVE")

// checkPersistence looks at whether Redis can save, and what is left after a crash.
func (e *examination) checkPersistence(_ context.Context, n *node) []Finding {
	says := ""
	if redis.HasErrorPrefix(n.pingErr, "MISCONF") {
		says = "; it refuses writes, and says: " + plain(n.pingErr)
	}
	if n.infoErr != nil && says != "" {
		return []Finding{fail("Redis cannot save"+says, mendSaving)}
	}
	if n.infoErr != nil {
		return []Finding{unseen("persistence", n.infoErr)}
	}
	var found []Finding
	switch {
	case n.info["rdb_last_bgsave_status"] != "err":
	case says == "" || n.info["aof_last_write_status"] == "err":
		found = append(found, warn("the last snapshot failed (rdb_last_bgsave_status is err): nothing newer is on disk than the one before", mendSaving))
	default:
		found = append(found, fail("the last snapshot failed (rdb_last_bgsave_status is err, stop-writes-on-bgsave-error yes)"+says, mendSaving))
	}
	if n.info["aof_last_write_status"] == "err" {
		found = append(found, fail("the last write to the append-only file failed (aof_last_write_status is err)"+says,
			remedy("its log says why: most likely the disk is full; make room, and Redis tries again by itself, or has a new file with BGREWRITEAOF")))
	}
	if n.info["aof_last_bgrewrite_status"] == "err" {
		found = append(found, warn("the last rewrite of the append-only file failed (aof_last_bgrewrite_status is err): it grows and grows", remedy("its log says why: mend that, then BGREWRITEAOF")))
	}
	if e.Private { // its settings are ours
		return found
	}
	save, seen := n.config["save"]
	aof := []advice{setting("appendonly", "yes"), setting("appendfsync", "everysec")}
	switch fsync := n.config["appendfsync"]; {
	case n.info["aof_enabled"] == "1" && fsync == "no":
		found = append(found, warn("appendonly yes, but appendfsync no: a crash of the machine may lose half a minute", setting("appendfsync", "everysec")))
	case n.info["aof_enabled"] == "1" && fsync == "":
		found = append(found, ok("appendonly yes"))
	case n.info["aof_enabled"] == "1":
		found = append(found, ok("appendonly yes, appendfsync %s", fsync))
	case seen && save == "":
		found = append(found, warn("nothing is kept on disk: after a restart of Redis nobody has a session", aof...))
	default:
		age := time.Since(time.Unix(n.number("rdb_last_save_time"), 0)).Round(time.Second)
		found = append(found, warn(fmt.Sprintf("appendonly no: a crash loses all sessions, and all revocations, since the last snapshot or the start, %s ago", age), aof...))
	}
	return found
}

// checkSettings looks at what costs memory or cuts connections.
func (e *examination) checkSettings(_ context.Context, n *node) []Finding {
	if n.configErr != nil {
		if e.Private {
			return nil
		}
		return []Finding{unseen("hash-max-listpack-value, timeout, tcp-keepalive and busy-reply-threshold", n.configErr)}
	}
	var found []Finding
	if v, known := n.setting("hash-max-listpack-value"); known && v < 4096 {
		found = append(found, warn(fmt.Sprintf("hash-max-listpack-value is %d: a session takes 160 bytes more than it must", v), setting("hash-max-listpack-value", "4096")))
	}
	if v, known := n.setting("timeout"); known && v > 0 && v < 60 {
		found = append(found, warn(fmt.Sprintf("timeout is %d: Redis cuts connections that rest for so many seconds, and the next request pays for a new one", v), setting("timeout", "0")))
	}
	if v, known := n.setting("tcp-keepalive"); known && v == 0 {
		found = append(found, warn("tcp-keepalive is 0: connections of dead machines stay for ever", setting("tcp-keepalive", "300")))
	}
	busy, known := n.setting("busy-reply-threshold")
	if known && (busy <= 0 || busy > 5000) {
		found = append(found, warn(fmt.Sprintf("busy-reply-threshold is %d ms: while somebody's script hangs, nobody gets an answer, and nobody can end it", busy), setting("busy-reply-threshold", "5000")))
	}
	if len(found) == 0 {
		found = append(found, ok("hash-max-listpack-value %s, timeout %s, tcp-keepalive %s, busy-reply-threshold %s", n.config["hash-max-listpack-value"],
			n.config["timeout"], n.config["tcp-keepalive"], n.config["busy-reply-threshold"]))
	}
	return found
}
