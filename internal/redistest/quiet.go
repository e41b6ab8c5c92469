package redistest

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Quiet keeps clients that are meant to fail from logging, in the whole program. It must be called before there are any.
func Quiet() { redis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
