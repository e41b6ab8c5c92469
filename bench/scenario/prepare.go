package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

// Prepare makes the target ready for a scenario. Of one that has sessions of its own
// it asks for each, so that a near cache can have them, and stores them all before
// if one is not there. For others it does nothing.
func Prepare(ctx context.Context, name string, target load.Endpoint, c Config) error {
	switch name {
	case "verify-jwt":
		return verifyAll(ctx, target, c, c.Live.Len(), func(i int) string {
			token, _ := c.Live.At(i)
			return string(token)
		})
	case "verify":
		return warmCreated(ctx, target, c, len(c.Created.Sessions))
	case "upstream-mix":
		return warmCreated(ctx, target, c, c.Hot)
	case "verify-steady", "verify-grpc":
	default:
		return nil
	}
	err := verifyAll(ctx, target, c, c.VerifySessions, verifyToken)
	if !errors.Is(err, errNotGood) {
		return err
	}
	n := c.VerifySessions
	report, err := Import(ctx, target, c.Key, func(w io.Writer) error {
		return writeLines(ctx, w, n, appendVerifySession, func(int) {})
	})
	if err != nil {
		return err
	}
	if report.Stored != n {
		return fmt.Errorf("%d of %d sessions for verify are stored: %v", report.Stored, n, report.Errors)
	}
	return verifyAll(ctx, target, c, n, verifyToken)
}

// verifyAsks is over how many connections verifyAll asks.
const verifyAsks = 8

var errNotGood = errors.New("a token for verify is not good")

// verifyAll verifies each of n tokens once. It returns errNotGood if one is refused.
func verifyAll(ctx context.Context, target load.Endpoint, c Config, n int, token func(i int) string) error {
	var asking sync.WaitGroup
	errs := make([]error, verifyAsks)
	for first := range errs {
		asking.Go(func() { errs[first] = verifyEach(ctx, target, c, first, n, token) })
	}
	asking.Wait()
	return cmp.Or(errs...)
}

// verifyEach verifies each verifyAsks-th of n tokens from the first. That the store is
// late with one does not matter here.
func verifyEach(ctx context.Context, target load.Endpoint, config Config, first, n int, token func(i int) string) error {
	c, err := NewCaller(ctx, target, config)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := first; i < n; i += verifyAsks {
		c.Config.Key = token(i)
		a, err := c.Call("GET", "/verify", "")
		if err != nil {
			return err
		}
		if a.Status != 200 && a.Status != 503 {
			return fmt.Errorf("%w: number %d, status %d: %.200s", errNotGood, i, a.Status, a.Body)
		}
	}
	return nil
}
