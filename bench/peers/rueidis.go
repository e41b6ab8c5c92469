package peers

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// cachedFor is how long rueidis may answer from its cache; Redis tells it of changes meanwhile.
const cachedFor = time.Minute

// plainRueidis asks as goRedis does, through a client that puts the commands of concurrent callers
// into one pipeline by itself.
type plainRueidis struct{ client rueidis.Client }

// cachedRueidis also keeps the replies in the client, and drops those that Redis invalidates.
type cachedRueidis struct{ plainRueidis }

func openRueidis(_ context.Context, urls URLs) (Peer, error) {
	client, err := newRueidis(urls.Redis, false)
	if err != nil {
		return nil, err
	}
	return &plainRueidis{client}, nil
}

func openCachedRueidis(_ context.Context, urls URLs) (Peer, error) {
	client, err := newRueidis(urls.Redis, true)
	if err != nil {
		return nil, err
	}
	return &cachedRueidis{plainRueidis{client}}, nil
}

// newRueidis opens a client with its default settings.
func newRueidis(url string, cached bool) (rueidis.Client, error) {
	options, err := rueidis.ParseURL(url)
	if err != nil {
		return nil, errors.New("--redis: not a URL of a Redis") // err may hold a password
	}
	options.DisableCache = !cached
	return rueidis.NewClient(options)
}

// Search implements Peer.
func (r *plainRueidis) Search(ctx context.Context, user string, since time.Time) (Found, error) {
	ids, err := r.client.Do(ctx, r.client.B().Zrevrangebyscore().Key(userKey(user)).Max("+inf").Min(score(since)).Build()).AsStrSlice()
	if err != nil || len(ids) == 0 {
		return Found{}, err
	}
	gets := make(rueidis.Commands, len(ids))
	for i, id := range ids {
		gets[i] = r.client.B().Hget().Key(sessionKey(id)).Field(document).Build()
	}
	return foundIn(r.client.DoMulti(ctx, gets...))
}

// Search implements Peer.
func (r *cachedRueidis) Search(ctx context.Context, user string, since time.Time) (Found, error) {
	list := r.client.B().Zrevrangebyscore().Key(userKey(user)).Max("+inf").Min(score(since)).Cache()
	ids, err := r.client.DoCache(ctx, list, cachedFor).AsStrSlice()
	if err != nil || len(ids) == 0 {
		return Found{}, err
	}
	gets := make([]rueidis.CacheableTTL, len(ids))
	for i, id := range ids {
		gets[i] = rueidis.CT(r.client.B().Hget().Key(sessionKey(id)).Field(document).Cache(), cachedFor)
	}
	return foundIn(r.client.DoMultiCache(ctx, gets...))
}

// foundIn returns the sessions in the replies to their HGETs.
func foundIn(replies []rueidis.RedisResult) (Found, error) {
	found := Found{Total: len(replies), Sessions: make([]string, len(replies))}
	for i := range replies {
		var err error
		if found.Sessions[i], err = replies[i].ToString(); err != nil {
			return Found{}, err
		}
	}
	return found, nil
}

// Get implements Peer.
func (r *plainRueidis) Get(ctx context.Context, id string) (string, error) {
	return sessionIn(r.client.Do(ctx, r.client.B().Hget().Key(sessionKey(id)).Field(document).Build()))
}

// Get implements Peer.
func (r *cachedRueidis) Get(ctx context.Context, id string) (string, error) {
	return sessionIn(r.client.DoCache(ctx, r.client.B().Hget().Key(sessionKey(id)).Field(document).Cache(), cachedFor))
}

// sessionIn returns the session in the reply to its HGET.
func sessionIn(reply rueidis.RedisResult) (string, error) {
	text, err := reply.ToString()
	if rueidis.IsRedisNil(err) {
		return "", ErrNotFound
	}
	return text, err
}

// Close implements Peer.
func (r *plainRueidis) Close() { r.client.Close() }
