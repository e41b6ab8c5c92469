package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/keys"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
)

// soakNear is the near cache's budget in a soak: small, so that it is full all the time.
const soakNear = 1 * mib

// soaking is what TestSoak has measured.
type soaking struct {
	Ops     int64         `json:"operations"`
	Creates int64         `json:"creates"`
	Sets    int64         `json:"sets"`
	Deletes int64         `json:"deletes"`
	Expired int64         `json:"expired"`
	Took    time.Duration `json:"took_ns"`
	Half    footprint     `json:"half"`
	End     footprint     `json:"end"`
}

// TestSoak lets a process work for long: creates, sets, deletes and expiries. What it takes stays the same, and there is an
// entry in every list for each live session, and no other.
func TestSoak(t *testing.T) {
	if !turnOf(t, 3) {
		return
	}
	begun := time.Now()
	server := redistest.Start(t, "hash-max-listpack-value 4096")
	c := newSidecar(t, 0, server.URL(), "--near-cache-bytes", fmt.Sprint(soakNear), "--redis-shards", "1", "--log-level", "error")
	c.bin = plainBin // the race detector's memory is not ours
	if err := c.start(); err != nil {
		t.Fatal(err)
	}
	s := &soak{t: t, c: c, client: server.Client(t), http: &fasthttp.HostClient{Addr: c.api, MaxConns: 64, ReadTimeout: patience}}
	defer s.http.CloseIdleConnections()
	s.run(int64(soakOps) / 2)
	half := s.quiet()
	say(t, "half: %+v", half)
	s.run(int64(soakOps))
	end := s.quiet()
	say(t, "end: %+v", end)

	if end.Goroutines > half.Goroutines+20 || end.FDs > half.FDs+20 {
		t.Errorf("goroutines and file descriptors grow: %+v, %+v", half, end)
	}
	if end.Resident > 1.25*half.Resident+32*mib {
		t.Errorf("memory grows: %+v, %+v", half, end)
	}
	for _, f := range []*footprint{&half, &end} {
		if f.Near > 1.1*soakNear {
			t.Errorf("the near cache takes %.0f bytes of %d", f.Near, soakNear)
		}
	}
	x := &soaking{
		Creates: s.created.Load(), Sets: s.sets.Load(), Deletes: s.deleted.Load(), Expired: s.shortLived.Load(),
		Took: time.Since(begun), Half: half, End: end,
	}
	x.Ops = x.Creates + x.Sets + x.Deletes + x.Expired
	report.add(t, func(r *results) { r.Soaks = append(r.Soaks, x) })
	say(t, "%+v", x)
}

// soak is the load of TestSoak.
type soak struct {
	t      *testing.T
	c      *sidecar
	client *redis.Client
	http   *fasthttp.HostClient

	created, sets, deleted, shortLived atomic.Int64
	live                               [soakers][]live // of each worker
}

// live is a session that does not expire.
type live struct{ id, token string }

const soakers = 12

// run works until there were so many operations in all.
func (s *soak) run(ops int64) {
	var wg sync.WaitGroup
	for worker := range soakers {
		wg.Go(func() {
			r := chance(fmt.Sprint("soak ", ops), worker)
			for s.created.Load()+s.sets.Load()+s.deleted.Load()+s.shortLived.Load() < ops && !s.t.Failed() {
				s.step(worker, r)
			}
		})
	}
	wg.Wait() // I7
}

func (s *soak) step(worker int, r *rand.Rand) {
	const most = 1000
	own := &s.live[worker]
	user := fmt.Sprintf("user-%d-%d", worker, r.IntN(1000))
	at := 0
	if len(*own) > 0 {
		at = r.IntN(len(*own))
	}
	p := r.IntN(100)
	if len(*own) >= most && p < 20 {
		p = 80
	}
	switch {
	case p < 20 || len(*own) == 0: // for ever
		id, token := s.create(user, 0)
		*own = append(*own, live{id, token})
	case p < 50: // for a while
		s.create(user, 500*time.Millisecond+rand.N(2500*time.Millisecond))
		s.shortLived.Add(1)
	case p < 75:
		_, token := s.ask(http.MethodPatch, "/v2/sessions/"+(*own)[at].id, apiKey, fmt.Sprintf(`{"metadata":{"n":"%08d"}}`, r.IntN(1e8)))
		(*own)[at].token = token
		s.sets.Add(1)
	case p < 90:
		s.ask(http.MethodDelete, "/v2/sessions/"+(*own)[at].id, apiKey, "")
		s.deleted.Add(1)
		(*own)[at] = (*own)[len(*own)-1]
		*own = (*own)[:len(*own)-1]
	case p < 94:
		s.ask(http.MethodGet, "/v2/sessions/"+(*own)[at].id, apiKey, "")
	case p < 98:
		s.ask(http.MethodGet, "/verify", (*own)[at].token, "")
	default:
		s.ask(http.MethodPost, "/v2/sessions/search", apiKey, `{"queries":[{"userIdQuery":{"id":"`+user+`"}}]}`)
	}
}

func (s *soak) create(user string, lifetime time.Duration) (id, token string) {
	body := `{"checks":{"user":{"userId":"` + user + `"}},"factors":{"password":{}},"userAgent":{"fingerprintId":"` + agentOf(user) + `"}`
	if lifetime > 0 {
		body += fmt.Sprintf(`,"lifetime":"%.3fs"`, lifetime.Seconds())
	}
	id, token = s.ask(http.MethodPost, "/v2/sessions", apiKey, body+"}")
	s.created.Add(1)
	return id, token
}

// ask makes a request, which must succeed.
func (s *soak) ask(method, path, bearer, body string) (id, token string) {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod(method)
	request.SetRequestURI("http://" + s.c.api + path)
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.SetBodyString(body)
	if err := s.http.Do(request, response); err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return "", ""
	}
	text := string(response.Body())
	if response.StatusCode()/100 != 2 {
		s.t.Errorf("%s %s: status %d: %s", method, path, response.StatusCode(), text)
	}
	return member(text, "sessionId"), member(text, "sessionToken")
}

// member is a member of a JSON object whose value is a plain string.
func member(object, name string) string {
	_, rest, _ := strings.Cut(object, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// quiet waits until what is to expire has, and is cleared, compares what is in Redis with what should be, and measures.
func (s *soak) quiet() footprint {
	s.t.Helper()
	live := s.created.Load() - s.deleted.Load() - s.shortLived.Load()
	why := ""
	if !eventually.Within(patience, func() bool {
		why = s.differs(live)
		return why == ""
	}) {
		s.t.Fatal(why)
	}
	f := s.c.footprint(s.t)
	f.Live = live
	return f
}

// differs says which list or count in Redis is not that of so many sessions; "" is none.
func (s *soak) differs(live int64) string {
	ctx := context.Background()
	space, err := keys.NewSpace(keys.DefaultPrefix, 1)
	if err != nil {
		return err.Error()
	}
	for name, key := range map[string]string{"catalogue": space.Catalogue(0), "list by creation": space.Created(0), "creator's list": space.Creator(0, creator)} {
		if n, err := s.client.ZCard(ctx, key).Result(); err != nil || n != live {
			return fmt.Sprintf("the %s has %d entries, %v, for %d live sessions", name, n, err, live)
		}
	}
	count := func(kind string, of func(key string) (int64, error)) (total int64, err error) {
		iter := s.client.Scan(ctx, 0, keys.DefaultPrefix+kind+":*", 10_000).Iterator()
		for iter.Next(ctx) {
			n, err := of(iter.Val())
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, iter.Err()
	}
	one := func(string) (int64, error) { return 1, nil }
	card := func(key string) (int64, error) { return s.client.ZCard(ctx, key).Result() }
	for kind, of := range map[string]func(string) (int64, error){"s": one, "u": card, "a": card} {
		if n, err := count(kind, of); err != nil || n != live {
			return fmt.Sprintf("the keys cr:%s have %d entries, %v, for %d live sessions", kind, n, err, live)
		}
	}
	return ""
}
