package peers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/redis/go-redis/v9"
)

// searchScript finds a user's sessions since a date, the newest first, in the simplest way.
var searchScript = redis.NewScript(`
local ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[1])
local docs = {}
for i, id in ipairs(ids) do
  docs[i] = redis.call('HGET', ARGV[2] .. id, 'doc')
end
return {#ids, docs}
`)

// evalsha searches with one script call, through a plain client.
type evalsha struct {
	goRedis
	sha string
}

func openEvalsha(ctx context.Context, urls URLs) (Peer, error) {
	client, err := source.OpenRedis(urls.Redis, 0)
	if err != nil {
		return nil, err
	}
	sha, err := searchScript.Load(ctx, client).Result()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return &evalsha{goRedis{client}, sha}, nil
}

// Search implements Peer.
func (e *evalsha) Search(ctx context.Context, user string, since time.Time) (Found, error) {
	reply, err := e.client.EvalSha(ctx, e.sha, []string{userKey(user)}, score(since), scenario.RawSessionKey).Slice()
	if err != nil {
		return Found{}, err
	}
	if len(reply) != 2 {
		return Found{}, fmt.Errorf("the script's reply has %d parts", len(reply))
	}
	total, _ := reply[0].(int64)
	documents, _ := reply[1].([]any)
	found := Found{Total: int(total)}
	for _, d := range documents {
		text, _ := d.(string)
		found.Sessions = append(found.Sessions, text)
	}
	return found, nil
}
