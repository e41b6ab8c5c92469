package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/cache/transfer"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/frames"
	"github.com/cloakroom-dev/cloakroom/internal/oidc"
	"github.com/cloakroom-dev/cloakroom/internal/terminal"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

const importHelp = `Usage: cloakroom import --redis-url URL [--file FILE] [flags]

Stores what cloakroom export has written: in another Redis, under another key
prefix, in another number of shards. It writes to Redis directly, beside live
sidecars. What is stored already is not written again, so that an import can be
repeated: an older version replaces no newer one, and nothing that was revoked
comes back.

  --file       what to read, compressed or not; default standard input
  --from-line  the first line to import; those before are only counted. An
               import that is interrupted says where to go on
  --old        take an export that is more than 23 hours old, though what was
               revoked since may come back
  --rate       how many lines it takes in a second; default 20000, which can
               keep a Redis busy: give less, such as 5000, beside live
               sidecars; 0 = as fast as it goes

The settings of serve that say where the sessions are, and which, count, from
flags, environment and --config: --redis-url, --redis-key-prefix,
--redis-shards, --max-session-bytes, --auth-issuers-file, --upstream-url. No
limit on the sessions of a user is kept.

From a pipe it reads on until the export has ended, up to 5 s after SIGINT.

Exit code: 0 all is imported; 1 lines are missing or could not be imported, it
failed or was interrupted; 2 it was called wrongly.
`

const (
	// openWithin bounds the opening of the store.
	openWithin = 10 * time.Second
	// readOn is how long a pipe is read on after a signal, and pollEvery how often it is looked whether that is over.
	readOn, pollEvery = 5 * time.Second, 100 * time.Millisecond
)

// importFlags are what import has in addition to the settings of serve.
type importFlags struct {
	file           string
	fromLine, rate int
	old            bool
}

// ImportSettings are what import has in addition to the settings of serve.
func ImportSettings() []config.Setting { return new(importFlags).settings() }

func (f *importFlags) settings() []config.Setting {
	return []config.Setting{
		config.Own("file", "", config.Text(&f.file, 4096), "file to read"),
		config.Own("from-line", "1", config.Number(&f.fromLine, 1, 1<<53), "first line to import"),
		config.Own("old", "false", config.Boolean(&f.old), "take an old export"),
		config.Own("rate", "20000", config.Number(&f.rate, 0, 10_000_000), "lines in a second; 0 has no limit"),
	}
}

// Import is the subcommand import.
func Import(ctx context.Context, p *Program) (err error) {
	var f importFlags
	c, err := p.Load(ctx, f.settings()...)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.Stdout, importHelp)
		return err
	}
	if err != nil {
		return err
	}
	from, signalled := p.Stdin, ctx
	if f.file == "" {
		var stop func()
		ctx, stop = later(ctx, readOn)
		defer stop()
	} else {
		file, err := os.Open(f.file)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		from = file
	}
	r, err := p.connect(ctx, c, -1) // a write that may have happened is repeated by who knows how
	defer func() { err = errors.Join(err, r.parts.Stop()) }()
	if err != nil {
		return err
	}
	lines, err := frames.NewReader(interruptible(ctx, from))
	if err != nil {
		return fmt.Errorf("what is to be imported cannot be read: %w", err)
	}
	defer func() { _ = lines.Close() }()
	store, err := r.open(ctx)
	if err != nil {
		return c.RedisURL.Misfit(err)
	}
	bar := newBar(p.Stderr, p.Name)
	began := time.Now()
	done, err := transfer.Import(ctx, transfer.ImportConfig{
		Store: store, Redis: r.Client, Prefix: c.Store.Prefix, MaxSessionBytes: c.API.MaxSessionBytes, From: lines, FromLine: uint64(f.fromLine),
		Rate: f.rate, Copies: c.Copies(), Old: f.old, Progress: bar.imported, Failed: bar.failedLine,
	})
	bar.stop()
	if _, printErr := fmt.Fprintln(p.Stdout, importedText(done, time.Since(began))); err == nil {
		err = printErr
	}
	switch {
	case err != nil && ctx.Err() != nil || errors.Is(err, errInterrupted):
		return fmt.Errorf("interrupted; --from-line %d goes on there", done.Lines+1)
	case errors.Is(err, transfer.ErrCutOff), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w; what is above is imported, and the whole export can be imported again", transfer.ErrCutOff)
	case err != nil:
		return fmt.Errorf("%w; --from-line %d goes on there", err, done.Lines+1)
	case done.Failed > 0:
		return fmt.Errorf("%s could not be imported", terminal.Count(done.Failed, "line"))
	case signalled.Err() != nil && f.file != "":
		return errors.New("interrupted")
	}
	return nil
}

// open opens the store for an import, and runs what it does in the background: the clock, and the sweeping of what has ended.
func (r *connected) open(ctx context.Context) (*cache.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	c := r.c.Store
	c.Redis, c.Searches, c.Costly = r.Client, r.Searches, r.Costly
	c.ClientName, c.Logger = r.ClientName, r.log
	// An import has no copies, and no limits of its own: it keeps what the other store has.
	c.NearBytes, c.AuditEvery, c.RememberDeletions, c.RevokeWaitReplicas, c.MaxSessionsPerUser, c.StaleIfError = 0, 0, 0, 0, 0, 0
	store, err := cache.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	r.parts.OnStop("session store", store.Close)
	if r.c.Issuers != nil {
		v := oidc.New(oidc.Config{Clock: func() time.Time { return store.Now().Std() }, Logger: r.log})
		v.Set(r.c.Issuers.Value())
		store.SetEndsFor(v.EndsFor)
	}
	r.parts.Start("session store", store.Run)
	return store, nil
}

// later returns a context that ends a while after ctx.
func later(ctx context.Context, d time.Duration) (_ context.Context, stop func()) {
	delayed, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var mu sync.Mutex
	var timer *time.Timer
	release := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if delayed.Err() == nil {
			timer = time.AfterFunc(d, cancel)
		}
	})
	return delayed, func() {
		release()
		cancel()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
	}
}

// errInterrupted says that reading has ended with its context.
var errInterrupted = errors.New("interrupted")

// interruptible returns a reader whose reads end with ctx.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	if f, ok := r.(*os.File); ok {
		return &polled{ctx, f}
	}
	return r
}

// polled reads from a file that may be a pipe to which nobody writes.
type polled struct {
	ctx context.Context
	f   *os.File
}

// Read is io.Reader's.
func (p *polled) Read(b []byte) (int, error) {
	for p.ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(p.f.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(pollEvery.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return 0, err
		case err == nil && n > 0:
			return p.f.Read(b)
		}
	}
	return 0, errInterrupted
}
