package resp

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Command is a command as RESP.
func Command(words ...string) []byte {
	b := append(strconv.AppendInt([]byte{'*'}, int64(len(words)), 10), '\r', '\n')
	for _, w := range words {
		b = append(strconv.AppendInt(append(b, '$'), int64(len(w)), 10), '\r', '\n')
		b = append(append(b, w...), '\r', '\n')
	}
	return b
}

// Hello are the words of the HELLO that a connection begins with: RESP3, the user
// and password that o says, asked for anew each time where o says whom to ask,
// and the connection's name, "" for none. To name it so takes no right, as CLIENT
// SETNAME does.
func Hello(ctx context.Context, o *redis.Options, name string) ([]string, error) {
	words := []string{"HELLO", "3"}
	user, password, err := Credentials(ctx, o)
	if err != nil {
		return nil, err
	}
	if password != "" {
		words = append(words, "AUTH", user, password)
	}
	if name != "" {
		words = append(words, "SETNAME", name)
	}
	return words, nil
}

// Credentials returns the user and the password that a connection made now
// authenticates with, "" for none.
func Credentials(ctx context.Context, o *redis.Options) (user, password string, err error) {
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

// HelloField returns a field of what HELLO answers a go-redis client, in RESP2 or
// RESP3, "" if it is not there.
func HelloField(reply any, name string) string {
	switch fields := reply.(type) {
	case map[any]any:
		if v, ok := fields[name]; ok {
			return fmt.Sprint(v)
		}
	case []any:
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == name {
				return fmt.Sprint(fields[i+1])
			}
		}
	}
	return ""
}
