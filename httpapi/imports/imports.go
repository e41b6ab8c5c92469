// Package imports reads many sessions, one a line, and has several of them stored at a
// time, in memory that does not depend on how many there are. Look here for lines, their
// order, and the counts of an import; what a line says and how it is stored is in httpapi.
package imports

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
)

const (
	// workers is how many sessions of an import are written at a time.
	workers = 16
	// queue is how many decoded sessions wait for each worker. Reading
	// stops when a queue is full, so an import takes the same memory whatever
	// its length.
	queue = 16
	// The log tells how far an import is after so many lines, or so long.
	progressLines = 100_000
	progressPause = 5 * time.Second
)

// Import is one import, of lines that are decoded to a Line each. All fields are
// required.
type Import[Line any] struct {
	// Body returns the body, whose reads fail once ctx has ended. stop ends its
	// interest in ctx.
	Body func(ctx context.Context) (body io.Reader, stop func() bool)
	// MaxLine is the length of the longest line, in bytes.
	MaxLine int
	// Decode reads a line, and says which session it is of. It keeps nothing of text. (I8)
	Decode func(text []byte) (line Line, session string, err error)
	// Store stores a line, or says that the session is due, so that nothing is stored.
	// It is called by several goroutines, for the lines of one session in their order.
	// Where its error has the refusal Away, the whole import is given up.
	Store func(ctx context.Context, number uint64, line Line) (expired bool, err error)
	// Refusal is the answer to an error of Decode or Store.
	Refusal func(error) *refusal.Error
	// Away is the answer of an import that is given up.
	Away *refusal.Error
	// Log hears how far the import is.
	Log *slog.Logger
}

// Run reads all lines and waits until they are stored. What a client sent before it
// failed is stored too. If the store stays away, ctx or the body ends early, the error,
// a *refusal.Error, has the counts and names the first line that was not taken.
func (i *Import[Line]) Run(ctx context.Context) (Counts, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	body, release := i.Body(ctx)
	defer release()
	i.Log.Info("import begins")
	r := run[Line]{Import: i, stop: stop}
	err := r.read(ctx, newLines(body, i.MaxLine))
	r.report("import ends", err)
	return r.count.snapshot(), err
}

// run is an import under way.
type run[Line any] struct {
	*Import[Line]
	stop  context.CancelFunc
	count count
}

// numbered is a decoded line.
type numbered[Line any] struct {
	number uint64
	line   Line
}

// read reads all lines and waits until they are stored.
func (r *run[Line]) read(ctx context.Context, in *lines) error {
	var group sync.WaitGroup // I7
	queues := make([]chan numbered[Line], workers)
	for i := range queues {
		queues[i] = make(chan numbered[Line], queue)
		group.Go(func() {
			for line := range queues[i] {
				r.store(ctx, line)
			}
		})
	}
	err := r.distribute(ctx, in, queues)
	for _, q := range queues {
		close(q)
	}
	group.Wait()
	if ctx.Err() != nil { // the store stays away, or the server was told to end
		err = r.Away
	}
	if err == nil {
		return nil
	}
	e := *r.Away
	if known, ok := errors.AsType[*refusal.Error](err); ok {
		e = *known
	}
	t := r.count.snapshot()
	e.Close = true
	e.Text = fmt.Sprintf("%s; line %d is the first that was not taken, %d were stored, %d were expired, %d failed; the whole import can be sent again",
		e.Text, t.lost, t.Stored, t.Expired, t.Failed)
	return &e
}

// distribute decodes the lines and hands each to the worker of its session.
func (r *run[Line]) distribute(ctx context.Context, in *lines, queues []chan numbered[Line]) error {
	seed := maphash.MakeSeed()
	reported := time.Now()
	for {
		text, number, err := in.next()
		if err == errLineTooLong {
			r.count.fail(number, fmt.Sprintf("the line is too long: at most %d bytes", in.limit()))
			continue
		}
		if err != nil {
			r.count.lose(number)
			return err
		}
		if number == 0 {
			return nil
		}
		if number%progressLines == 0 || time.Since(reported) > progressPause {
			reported = time.Now()
			r.report("import goes on", nil)
		}
		line, session, err := r.Decode(text)
		if err != nil {
			r.count.fail(number, r.Refusal(err).Error())
			continue
		}
		select {
		case queues[maphash.String(seed, session)%workers] <- numbered[Line]{number, line}:
		case <-ctx.Done():
			r.count.lose(number)
			return nil
		}
	}
}

// store has one line stored, and counts it.
func (r *run[Line]) store(ctx context.Context, line numbered[Line]) {
	expired, err := r.Store(ctx, line.number, line.line)
	switch {
	case err == nil && expired:
		r.count.add(&r.count.Expired)
	case err == nil:
		r.count.add(&r.count.Stored)
	case r.Refusal(err) != r.Away:
		r.count.fail(line.number, r.Refusal(err).Error())
	default:
		r.count.lose(line.number)
		r.stop()
	}
}

// report logs how far the import is.
func (r *run[Line]) report(message string, err error) {
	t := r.count.snapshot()
	attrs := []any{"lines", t.Lines(), "stored", t.Stored, "expired", t.Expired, "failed", t.Failed}
	if err != nil {
		r.Log.Error(message, append(attrs, "error", err)...)
		return
	}
	r.Log.Info(message, attrs...)
}
