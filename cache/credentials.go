package cache

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// credentials returns the user and the password that a connection made now
// authenticates with, "" for none: asked for anew each time, where the options
// say whom to ask.
func credentials(ctx context.Context, o *redis.Options) (user, password string, err error) {
	user, password = o.Username, o.Password
	switch {
	case o.CredentialsProviderContext != nil:
		user, password, err = o.CredentialsProviderContext(ctx)
	case o.CredentialsProvider != nil:
		user, password = o.CredentialsProvider()
	}
	if user == "" && password != "" {
		user = "default"
	}
	return user, password, err
}
