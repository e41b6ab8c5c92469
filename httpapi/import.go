package httpapi

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// importWorkers is how many sessions of an import are written at a time.
	importWorkers = 16
	// importQueue is how many decoded sessions wait for each worker. Reading
	// stops when a queue is full, so an import takes the same memory whatever
	// its length.
	importQueue = 16
	// maxImports is how many imports run at a time.
	maxImports = 2
	// The log tells how far an import is after so many lines, or so long.
	progressLines = 100_000
	progressPause = 5 * time.Second
)

// importLine is one decoded line.
type importLine struct {
	number uint64
	put    putRequest
}

// importRun is one import under way.
type importRun struct {
	s     *Server
	by    *caller.Caller
	log   *slog.Logger
	stop  context.CancelCauseFunc
	tally tally

	requestID     string
	ignoreUnknown bool
}

// importSessions answers POST /v2/sessions/import: one session per line, as
// PUT takes it. A broken line is told with its number and costs only itself.
//
// Lines are decoded in order and handed to a few workers. The lines of one
// session go to the same worker, so that they are written in order too.
//
// If the store stays away, the import ends with 503. Then, and where the body
// ends early, the message has the counts and names the first line that was not
// taken. To send everything again is safe.
func (s *Server) importSessions(base context.Context, c *call) error {
	if !c.caller.Write.All {
		return errDenied
	}
	ignoreUnknown, err := c.ignoreUnknown()
	if err != nil {
		return err
	}
	select {
	case s.imports <- struct{}{}:
		defer func() { <-s.imports }()
	default:
		return &refusal.Error{Code: refusal.Exhausted, Text: fmt.Sprintf("at most %d imports may run at a time", maxImports), Close: true}
	}
	ctx, stop := context.WithCancelCause(base)
	defer stop(nil)
	run := &importRun{
		s: s, by: c.caller, stop: stop, requestID: string(c.requestID), ignoreUnknown: ignoreUnknown,
		log: s.log.With("request_id", string(c.requestID), "caller", c.caller.Name),
	}
	run.log.Info("import begins")
	lines := newImportReader(ctx, c, s.limits.pause, 2*s.config.MaxSessionBytes+maxLineExtra)
	defer lines.close()
	err = run.read(ctx, lines)
	run.report("import ends", err)
	counts := run.tally.snapshot()
	c.logged = append(c.logged, slog.Uint64("lines", counts.lines()), slog.Uint64("stored", counts.stored),
		slog.Uint64("expired", counts.expired), slog.Uint64("failed", counts.failed))
	if err != nil {
		return err
	}
	c.bodyRead = true
	c.begin(0)
	c.out = run.tally.append(c.out)
	return c.end(http.StatusOK)
}

// read reads all lines and waits until they are stored. What a client sent
// before it failed is stored too.
func (run *importRun) read(ctx context.Context, lines *importReader) error {
	var workers sync.WaitGroup // I7
	queues := make([]chan importLine, importWorkers)
	for i := range queues {
		queues[i] = make(chan importLine, importQueue)
		workers.Go(func() {
			for line := range queues[i] {
				run.store(ctx, &line)
			}
		})
	}
	err := run.distribute(ctx, lines, queues)
	for _, q := range queues {
		close(q)
	}
	workers.Wait()
	if ctx.Err() != nil { // the store stays away, or the server was told to end
		err = errUnavailable
	}
	if err == nil {
		return nil
	}
	e := *asAPIError(err)
	t := run.tally.snapshot()
	e.Close = true
	e.Text = fmt.Sprintf("%s; line %d is the first that was not taken, %d were stored, %d were expired, %d failed; the whole import can be sent again",
		e.Text, t.lost, t.stored, t.expired, t.failed)
	return &e
}

// distribute decodes the lines and hands each to the worker of its session.
func (run *importRun) distribute(ctx context.Context, lines *importReader, queues []chan importLine) error {
	seed := maphash.MakeSeed()
	reported := time.Now()
	for {
		text, number, err := lines.next()
		if err == errLineTooLong {
			run.tally.fail(number, fmt.Sprintf("the line is too long: at most %d bytes", lines.limit()))
			continue
		}
		if err != nil {
			run.tally.lose(number)
			return err
		}
		if number == 0 {
			return nil
		}
		if number%progressLines == 0 || time.Since(reported) > progressPause {
			reported = time.Now()
			run.report("import goes on", nil)
		}
		line := importLine{number: number, put: putRequest{guessNew: true}}
		if err := line.decode(text, run.ignoreUnknown); err != nil {
			run.tally.fail(number, asAPIError(err).Error())
			continue
		}
		id := maphash.String(seed, string(line.put.session.ID))
		select {
		case queues[id%importWorkers] <- line:
		case <-ctx.Done():
			run.tally.lose(number)
			return nil
		}
	}
}

// decode reads one line. Nothing of it points into text. (I8)
func (l *importLine) decode(text []byte, ignoreUnknown bool) (err error) {
	l.put.session, l.put.given, err = session.DecodeJSON(text, ignoreUnknown)
	if err != nil {
		return err
	}
	return storableID(string(l.put.session.ID))
}

// store stores one line. While the store is away it tries again, for some
// time; then it gives the import up.
func (run *importRun) store(ctx context.Context, line *importLine) {
	deadline := time.Now().Add(run.s.limits.patience)
	// Patience, not a number, bounds these attempts.
	for a := (attempts{ctx: ctx, pause: longestPause}); a.next(); {
		done, err := run.try(ctx, line)
		switch {
		case err == nil && done.expired:
			run.tally.add(&run.tally.expired)
			return
		case err == nil:
			run.tally.add(&run.tally.stored)
			return
		case asAPIError(err) != errUnavailable:
			run.tally.fail(line.number, asAPIError(err).Error())
			return
		case time.Now().After(deadline):
			run.log.Error("import gives up", "line", line.number, "error", err)
			run.tally.lose(line.number)
			run.stop(errUnavailable)
			return
		}
	}
	run.tally.lose(line.number)
}

// try stores one line, within the time that any other write has.
func (run *importRun) try(ctx context.Context, line *importLine) (_ putResult, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = run.s.bug(p, run.requestID, "ImportSessions")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, run.s.limits.request)
	defer cancel()
	return run.s.put(ctx, run.by, &line.put)
}

// report logs how far the import is.
func (run *importRun) report(message string, err error) {
	t := run.tally.snapshot()
	attrs := []any{"lines", t.lines(), "stored", t.stored, "expired", t.expired, "failed", t.failed}
	if err != nil {
		run.log.Error(message, append(attrs, "error", err)...)
		return
	}
	run.log.Info(message, attrs...)
}

// append writes the answer, which the caller closes.
func (t *tally) append(b []byte) []byte {
	n := t.snapshot()
	b = append(b, `{"stored":`...)
	b = appendInt(b, int(n.stored))
	b = append(b, `,"expired":`...)
	b = appendInt(b, int(n.expired))
	b = append(b, `,"failed":`...)
	b = appendInt(b, int(n.failed))
	b = append(b, `,"errors":[`...)
	for i, e := range n.errors {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"line":`...)
		b = appendInt(b, int(e.line))
		b = append(b, `,"message":`...)
		b = protojson.AppendString(b, e.message)
		b = append(b, '}')
	}
	return append(b, ']')
}
