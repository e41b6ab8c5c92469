package move

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/transfer"
	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/frames"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

const exportHelp = `Usage: cloakroom export --redis-url URL [--file FILE] [flags]

Writes all that must survive a move to another Redis, key prefix or number of
shards, for cloakroom import: sessions with their creators and the hashes of
their tokens, so that nobody is logged out, and what keeps revoked sessions and
JWTs from coming back. It reads Redis directly, beside live sidecars, and
changes nothing there. A line of JSON for each, and a trailer with their number.

  --file       where to write; it is made with mode 0600, and must not be there;
               default standard output
  --overwrite  write over a file that is there
  --resume     go on with a file whose export was interrupted, within 23 hours
  --compress   none, gzip or zstd; default by the end of --file: .gz, .zst
  --follow     go on with every change until SIGINT or SIGTERM, to standard
               output: cloakroom export --follow … | cloakroom import …
  --rate       how many sessions it reads in a second; default 20000, which
               takes up to a third of a Redis; 0 = as fast as it goes

The settings of serve that say where the sessions are count, from flags,
environment and --config: above all --redis-url and --redis-key-prefix.
Whoever has the file can make sessions from it, but no token: keep it as safe
as Redis. docs/moving.md has the steps of a move, with downtime and without.

Exit code: 0 all is exported; 1 something could not be read, it failed or was
interrupted; 2 it was called wrongly.
`

// exportFlags are what export has in addition to the settings of serve.
type exportFlags struct {
	file, compress            string
	overwrite, resume, follow bool
	rate                      int
}

// ExportSettings are what export has in addition to the settings of serve.
func ExportSettings() []config.Setting { return new(exportFlags).settings() }

func (f *exportFlags) settings() []config.Setting {
	return []config.Setting{
		config.Own("file", "", config.Text(&f.file, 4096), "file to write"),
		config.Own("overwrite", "false", config.Boolean(&f.overwrite), "write over it"),
		config.Own("resume", "false", config.Boolean(&f.resume), "go on with it"),
		config.Own("compress", "", config.Text(&f.compress, 10), "none, gzip or zstd"),
		config.Own("follow", "false", config.Boolean(&f.follow), "go on with every change"),
		config.Own("rate", "20000", config.Number(&f.rate, 0, 10_000_000), "sessions in a second; 0 has no limit"),
	}
}

// check says what is wrong with the flags together, and which format they ask for.
func (f *exportFlags) check() (frames.Format, error) {
	var wrong usage.Faults
	format := frames.Format(f.compress)
	switch format {
	case "":
		format = frames.FormatOf(f.file)
	case frames.Plain, frames.Gzip, frames.Zstd:
	default:
		wrong.Addf("flag: --compress must be none, gzip or zstd")
	}
	if f.file == "" && (f.overwrite || f.resume) {
		wrong.Addf("flag: --overwrite and --resume need --file")
	}
	if f.overwrite && f.resume {
		wrong.Addf("flag: --overwrite and --resume exclude each other")
	}
	if f.follow && (f.file != "" || format != frames.Plain) {
		wrong.Addf("flag: --follow writes to standard output, and not compressed: leave --file and --compress out")
	}
	return format, wrong.Err()
}

// Export is the subcommand export.
func Export(ctx context.Context, p *Program) (err error) {
	var f exportFlags
	c, err := p.Load(ctx, f.settings()...)
	if errors.Is(err, pflag.ErrHelp) {
		_, err = io.WriteString(p.Stdout, exportHelp)
		return err
	}
	if err != nil {
		return err
	}
	format, err := f.check()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // that the import has ended is an error of a write
	r, err := p.connect(ctx, c, retries)
	defer func() { err = errors.Join(err, r.parts.Stop()) }()
	if err != nil {
		return err
	}
	to, resume, err := f.open(p.Stdout, &format)
	if err != nil {
		return err
	}
	w, err := frames.NewWriter(to, format)
	if err != nil {
		return err
	}
	bar := newBar(p.Stderr, p.Name)
	began := time.Now()
	done, err := transfer.Export(ctx, transfer.ExportConfig{
		Redis: r.Costly, Prefix: c.Store.Prefix, Shards: c.Store.Shards, To: w, Rate: f.rate, Resume: resume, Follow: f.follow,
		ClientName: r.ClientName, Progress: bar.exported, Unreadable: bar.unreadable, Logger: r.log,
	})
	bar.stop()
	if file, ok := to.(*os.File); ok && f.file != "" {
		if err != nil && ctx.Err() != nil { // what is there is whole
			err = errors.Join(err, w.Flush())
		}
		err = errors.Join(err, file.Sync(), file.Close())
	}
	_, _ = fmt.Fprintln(p.Stderr, exportedText(done, time.Since(began)))
	switch {
	case err != nil && ctx.Err() != nil && f.file != "":
		return errors.New("interrupted; --resume goes on with the file")
	case err != nil && ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil && f.file != "" && !errors.Is(err, transfer.ErrComplete):
		return fmt.Errorf("%w; --resume goes on with the file", c.RedisURL.Misfit(err))
	case err != nil:
		return c.RedisURL.Misfit(err)
	case done.Unreadable > 0:
		return fmt.Errorf("%d sessions or ends could not be read, and would be lost by a move; `cloakroom audit` says more", done.Unreadable)
	}
	return nil
}

// open opens what is written to, and finds out where it goes on.
func (f *exportFlags) open(stdout io.Writer, format *frames.Format) (io.Writer, *transfer.Resume, error) {
	const mode = 0o600 // the hashes of tokens are in it
	switch {
	case f.file == "":
		return stdout, nil, nil
	case f.resume:
		return f.reopen(format)
	case f.overwrite:
		file, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
		if err == nil {
			err = file.Chmod(mode)
		}
		return file, nil, err
	}
	file, err := os.OpenFile(f.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		err = fmt.Errorf("%s is there already: --overwrite writes over it, --resume goes on with it", f.file)
	}
	return file, nil, err
}

// reopen opens a file whose export was interrupted, and cuts off what is not whole.
func (f *exportFlags) reopen(format *frames.Format) (io.Writer, *transfer.Resume, error) {
	file, err := os.OpenFile(f.file, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	resume := new(transfer.Resume)
	end, found, err := frames.Whole(file, resume.Add)
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s cannot be gone on with: %w", f.file, err), file.Close())
	}
	if end > 0 {
		*format = found
	}
	return file, resume, nil
}
