// Command cloakroom is a session cache sidecar: it keeps authentication
// sessions in Redis and answers ZITADEL's session API over HTTP.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/redis/go-redis/v9"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the process at once, if the first takes too long.
	context.AfterFunc(ctx, stop)
	hangup := make(chan os.Signal, 1)
	// nohup ignores it, for a program that outlives its terminal.
	if reloads(os.Args[1:]) || !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangup, syscall.SIGHUP)
	}
	redis.SetLogger(noLog{})
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, hangup))
}

// noLog takes the place of go-redis' own log, which is not structured; its
// errors reach our log through the calls that meet them.
type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}
