package linear

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

const (
	// CLOAKROOM_TORTURE_SECONDS is how long each run takes instead of 2.5 s;
	// CLOAKROOM_TORTURE_SEED is the seed of the first.
	secondsEnv, seedEnv = "CLOAKROOM_TORTURE_SECONDS", "CLOAKROOM_TORTURE_SEED"
	// aRun is how long one history is at most: another begins after it.
	aRun = 20 * time.Second
	// callers are how many calls are under way at a time.
	callers = 8
	// patience is how long it may take to put a history in order.
	patience = 2 * time.Minute
)

func number(t *testing.T, env string, otherwise int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// run makes calls for some time, and trouble, and returns what was noted.
func (a *actors) run(d time.Duration, seed uint64) (faults int) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { faults = a.trouble(ctx, rand.New(rand.NewPCG(seed, 0))) })
	for client := range callers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(client)+1))
			for ctx.Err() == nil {
				a.act(r, client)
			}
		})
	}
	all.Wait()
	return faults
}

// Three processes, one Redis, and every fault that loses no data: writes and
// fresh reads are linearizable, other reads are within the bound.
func TestI4_SessionsAreLinearizable(t *testing.T) {
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprintf("P=%d", shards), func(t *testing.T) {
			left := time.Duration(number(t, secondsEnv, 0)) * time.Second
			if left == 0 {
				left = testdepth.Of(2500*time.Millisecond, 1500*time.Millisecond)
			}
			seed := uint64(number(t, seedEnv, 1))
			w := newWorld(t, shards)
			for ; left > 0; left -= aRun {
				a := newActors(w)
				faults := a.run(min(left, aRun), seed)
				calls, unknown := a.history.Len()
				t.Logf("seed %d: %d calls, %d writes of them lost, %d faults, answers %v", seed, calls, unknown, faults, a.answers)
				for _, f := range a.faults {
					t.Errorf("seed %d: %s", seed, f)
				}
				if err := a.history.Check(bound, patience); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if calls < 100 || faults == 0 {
					t.Errorf("seed %d: this shows nothing: %d calls and %d faults", seed, calls, faults)
				}
				seed++
			}
		})
	}
}

// The same with a process that does not keep its word: the checker must notice.
func TestLiesAreFound(t *testing.T) {
	for name, lie := range map[string]func(next http.RoundTripper) http.RoundTripper{
		// As a near cache whose copies nothing removes.
		"copies for ever": func(next http.RoundTripper) http.RoundTripper {
			var copies sync.Map
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				key := req.URL.String()
				if req.Method != http.MethodGet || req.Header.Get("Session-Consistency") != "" || strings.HasSuffix(key, "/verify") {
					return next.RoundTrip(req)
				}
				if body, ok := copies.Load(key); ok {
					return say(http.StatusOK, body.(string)), nil
				}
				res, err := next.RoundTrip(req)
				if err == nil && res.StatusCode == http.StatusOK {
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					copies.Store(key, string(body))
					return say(http.StatusOK, string(body)), err
				}
				return res, err
			})
		},
		// As a write that is answered before it is done, and then lost.
		"deletes of nothing": func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodDelete {
					return say(http.StatusOK, `{}`), nil
				}
				return next.RoundTrip(req)
			})
		},
		// As a write that is repeated, although it had been done.
		"sets twice": func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPatch {
					body, err := io.ReadAll(req.Body)
					if err != nil {
						return nil, err
					}
					other := strings.Replace(string(body), `"metadata":{`, `"metadata":{"twice":"MQ==",`, 1)
					first := req.Clone(req.Context())
					first.Body, first.ContentLength = io.NopCloser(strings.NewReader(other)), int64(len(other))
					if res, err := next.RoundTrip(first); err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					req.Body = io.NopCloser(strings.NewReader(string(body)))
				}
				return next.RoundTrip(req)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			a := newActors(w)
			transport := w.http.Transport
			w.http.Transport = lie(transport)
			a.run(500*time.Millisecond, 1)
			err := a.history.Check(bound, patience)
			if err == nil {
				t.Fatal("the checker has found nothing")
			}
			if strings.Contains(err.Error(), "could not be ordered") {
				t.Error(err)
			}
			if _, page, drawn := strings.Cut(err.Error(), "\nsee "); drawn {
				if err := os.RemoveAll(filepath.Dir(page)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func say(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}
