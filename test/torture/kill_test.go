package torture

import "time"

type killed struct {
	Shards, Kills, RedisKills, Seen, Wrong, Live int
	Calls, Acked, Maybes                         int64
	Took                                         time.Duration
}
