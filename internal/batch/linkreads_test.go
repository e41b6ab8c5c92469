package batch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/resp"
)

// echo answers each command with its second word, but "refuse" with an error, and a trip that
// asks for "away" with none.
type echo struct {
	name  string
	mu    sync.Mutex
	trips int
}

func (e *echo) Ask(ctx context.Context, commands []byte, n int, take func([]byte)) error {
	e.mu.Lock()
	e.trips++
	e.mu.Unlock()
	if strings.Contains(string(commands), "away") {
		<-ctx.Done()
		return ctx.Err()
	}
	words := resp.Replies(commands)
	for range n {
		if _, err := words.Array(); err != nil {
			return err
		}
		_, _, _ = words.Text()
		key, _, err := words.Text()
		if err != nil {
			return err
		}
		if string(key) == "refuse" {
			take([]byte("-ERR no\r\n"))
		} else {
			take(fmt.Appendf(nil, "+%s %s\r\n", e.name, key))
		}
	}
	return nil
}

// readOver has keys read, and returns the replies.
func readOver(ctx context.Context, do func(context.Context, *batch.Call) error, keys ...string) (string, error) {
	call := batch.NewCall()
	defer call.Release()
	for _, k := range keys {
		call.Add("get", k)
	}
	if err := do(ctx, call); err != nil {
		return "", err
	}
	var all []string
	replies := call.Replies()
	for range keys {
		text, _, err := replies.Text()
		if err != nil {
			return "", err
		}
		all = append(all, string(text))
	}
	return strings.Join(all, ","), nil
}

func TestLinkReads(t *testing.T) {
	t.Parallel()
	r := batch.NewLinkReads(&echo{name: "a"}, batch.Config{Timeout: 20 * time.Millisecond})
	defer r.Close()
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			k := fmt.Sprint(i)
			if got, err := readOver(t.Context(), r.Do, k, k+"x"); got != "a "+k+",a "+k+"x" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	group.Wait()
	if _, err := readOver(t.Context(), r.Do, "1", "refuse"); err == nil {
		t.Error("a refused read has succeeded")
	}
	if _, err := readOver(t.Context(), r.Do, "away"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got, err := readOver(t.Context(), r.Do, "2"); got != "a 2" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestSpread(t *testing.T) {
	t.Parallel()
	a, b := &echo{name: "a"}, &echo{name: "b"}
	to := map[byte]*batch.LinkReads{'a': batch.NewLinkReads(a, batch.Config{}), 'b': batch.NewLinkReads(b, batch.Config{})}
	defer to['a'].Close()
	defer to['b'].Close()
	none := errors.New("nobody has it")
	do := func(ctx context.Context, call *batch.Call) error {
		return batch.Spread(ctx, call, func(key string) (*batch.LinkReads, error) {
			if r := to[key[0]]; r != nil {
				return r, nil
			}
			return nil, none
		})
	}
	f := func(want string, wantErr error, keys ...string) {
		t.Helper()
		if got, err := readOver(t.Context(), do, keys...); got != want || !errors.Is(err, wantErr) {
			t.Errorf("%q: got %q, %v, want %q, %v", keys, got, err, want, wantErr)
		}
	}
	f("a a1", nil, "a1")
	f("a a1,b b1,a a2,b b2", nil, "a1", "b1", "a2", "b2")
	if a.trips != 2 || b.trips != 1 {
		t.Errorf("%d and %d trips", a.trips, b.trips)
	}
	f("", none, "a1", "c1")
	f("", nil)
	if a.trips != 2 {
		t.Error("something was read though not all could be")
	}
}
