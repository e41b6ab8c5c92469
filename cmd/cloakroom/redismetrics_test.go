package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
)

// An error has the same class on a Cluster, where its kind is hidden from the client.
func TestClassOfErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{redis.ErrPoolTimeout, "pool"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{final(os.ErrDeadlineExceeded), "timeout"},
		{fmt.Errorf("more: %w", final(os.ErrDeadlineExceeded)), "timeout"},
		{final(io.EOF), "network"},
		{io.EOF, "network"},
		{errors.New("OOM command not allowed"), "full"},
		{errors.New("NOPERM this user"), "denied"},
	} {
		if got := classOf(test.err); got != test.want {
			t.Errorf("%v: got %s, want %s", test.err, got, test.want)
		}
	}
}
