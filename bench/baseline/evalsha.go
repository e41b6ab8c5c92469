package baseline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/source"
	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// evalBatch is how many users are seeded in one round trip.
const evalBatch = 200

// evalScript finds a user's sessions since a date, the newest first, in
// the simplest way: one script call a search.
var evalScript = redis.NewScript(`
local ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', ARGV[1])
local docs = {}
for i, id in ipairs(ids) do
  docs[i] = redis.call('HGET', ARGV[2] .. id, 'doc')
end
return {#ids, docs}
`)

// evaluator answers searches by user with a script call each, through a plain
// client.
type evaluator struct {
	client *redis.Client
	sha    string
	bytes  int // of an answer
}

// newEvaluator loads the script, and seeds users' sessions under keys of its own.
func newEvaluator(ctx context.Context, url string, users, bytes int, stderr io.Writer) (*evaluator, error) {
	client, err := source.OpenRedis(url, 0)
	if err != nil {
		return nil, err
	}
	e := &evaluator{client: client, bytes: bytes}
	if err := SeedUsers(ctx, client, users, stderr); err != nil {
		_ = client.Close()
		return nil, err
	}
	if e.sha, err = evalScript.Load(ctx, client).Result(); err != nil {
		_ = client.Close()
		return nil, err
	}
	return e, nil
}

// SeedUsers stores five sessions for each of so many users in Redis, as plain JSON,
// under scenario.RawUserKey and RawSessionKey, and shows its progress on stderr.
func SeedUsers(ctx context.Context, client *redis.Client, users int, stderr io.Writer) error {
	d := scenario.Dataset{Sessions: users * scenario.PerUser, Newest: time.Now().UTC().Add(-time.Hour).Truncate(time.Microsecond)}
	t := cli.Count{}
	defer cli.Progress(stderr, "seeding users", int64(users), t.Look)()
	for first := 0; first < users; first += evalBatch {
		pipe := client.Pipeline()
		for user := first; user < min(first+evalBatch, users); user++ {
			for k := range scenario.PerUser {
				i := d.OfUser(user, k)
				pipe.HSet(ctx, scenario.RawSessionKey+scenario.SessionID(i), "doc", bytes.TrimSpace(d.AppendSession(nil, i)))
				pipe.ZAdd(ctx, scenario.RawUserKey+scenario.UserID(user), redis.Z{Score: float64(d.Created(i).UnixMicro()), Member: scenario.SessionID(i)})
			}
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		t.Done.Store(int64(first))
	}
	return nil
}

// search answers with exactly e.bytes bytes, which begin as Cloakroom's answer
// does: the sessions, filled up or cut off.
func (e *evaluator) search(http *fasthttp.RequestCtx) {
	user := scenario.Field(http.PostBody(), `"userIdQuery":{"id":"`)
	if user == nil {
		http.Error(`{"pad":"no userIdQuery"}`, fasthttp.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	reply, err := e.client.EvalSha(ctx, e.sha, []string{scenario.RawUserKey + string(user)}, "0", scenario.RawSessionKey).Slice()
	if err != nil || len(reply) != 2 {
		http.Error(fmt.Sprintf(`{"pad":%q}`, fmt.Sprint(err)), fasthttp.StatusServiceUnavailable)
		return
	}
	docs, _ := reply[1].([]any)
	if len(docs) == 0 {
		http.Error(`{"pad":"a user without sessions"}`, fasthttp.StatusNotFound)
		return
	}
	body := fmt.Appendf(make([]byte, 0, e.bytes+4096), `{"details":{"totalResult":"%d"},"sessions":[`, reply[0])
	for i, doc := range docs {
		if i > 0 {
			body = append(body, ',')
		}
		text, _ := doc.(string)
		body = append(body, text...)
	}
	body = append(body, `]}`...)
	for len(body) < e.bytes {
		body = append(body, ' ')
	}
	http.SetContentType("application/json")
	http.Response.SetBodyRaw(body[:e.bytes])
}

func (e *evaluator) close() error { return e.client.Close() }
