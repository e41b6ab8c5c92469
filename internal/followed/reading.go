package followed

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFile bounds what is read of each file, in bytes.
	maxFile = 16 << 20
	// pipePoll is how often a read of a pipe looks whether it has been interrupted.
	pipePoll = 100 * time.Millisecond
	// pipePatience is how often it looks before it says that it waits.
	pipePatience = 10
)

// ErrInterrupted is why a subcommand ends that was told to before it began.
var ErrInterrupted = errors.New("interrupted")

// Pipes opens what is no regular file for reading, as a pipe; nil refuses it.
type Pipes func(f *os.File) io.Reader

// Anything lets whatever can be read be read, as long as ctx does not end. waiting
// is told of a file that has to be waited for; nil tells nobody.
func Anything(ctx context.Context, waiting func(file string)) Pipes {
	return func(f *os.File) io.Reader { return &pipe{ctx: ctx, f: f, waiting: waiting} }
}

// pipe reads a file that may have to be written first.
type pipe struct {
	ctx     context.Context
	f       *os.File
	waiting func(file string)
	waits   int // how often nothing was there
}

// Read waits until there is something to read, or who writes has closed it.
func (r *pipe) Read(b []byte) (int, error) {
	for r.ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(r.f.Fd()), Events: unix.POLLIN}}, int(pipePoll.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return 0, err
		case n > 0:
			return r.f.Read(b)
		}
		if r.waits++; r.waits == pipePatience && r.waiting != nil {
			r.waiting(r.f.Name())
		}
	}
	return 0, ErrInterrupted
}

// Reader reads files as read does of a reading: each once, and as pipes says.
func Reader(pipes Pipes) func(path string) ([]byte, error) {
	return newReading(map[string][]byte{}, pipes).read
}

// reading reads files, each once, so that what is used is what was summed. It is
// for one goroutine.
type reading struct {
	// kept are texts that are not read again: those of pipes and the like, which
	// can be read once only.
	kept  map[string][]byte
	pipes Pipes

	found map[string]found
	paths []string // those that were asked for with read
}

// found is what a file had: a text, or why it could not be read.
type found struct {
	text []byte
	err  error
}

func newReading(kept map[string][]byte, pipes Pipes) *reading {
	return &reading{kept: kept, pipes: pipes, found: map[string]found{}}
}

// read returns the text of a file; "" is no file, and has none.
func (r *reading) read(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	if !slices.Contains(r.paths, path) {
		r.paths = append(r.paths, path)
	}
	f := r.find(path)
	return f.text, f.err
}

func (r *reading) find(path string) found {
	f, ok := r.found[path]
	if ok {
		return f
	}
	if f.text, ok = r.kept[path]; !ok {
		var regular bool
		f.text, regular, f.err = readAnyFile(path, r.pipes)
		if f.err == nil && !regular {
			r.kept[path] = f.text
		}
	}
	r.found[path] = f
	return f
}

// sum is that of the texts of files. One that cannot be read counts as its error.
func (r *reading) sum(paths []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range paths {
		f := r.find(path)
		if f.err != nil {
			f.text = []byte(f.err.Error())
		}
		part := sha256.Sum256(f.text)
		h.Write(part[:])
	}
	h.Sum(sum[:0])
	return sum
}

// Read reads a file, of which pipes says whether it must be a regular one.
func Read(path string, pipes Pipes) ([]byte, error) {
	text, _, err := readAnyFile(path, pipes)
	return text, err
}

// readAnyFile reads a file, and says whether it is a regular one. Opening it waits for no
// writer, as that of a FIFO. Its errors name the file and repeat nothing of it. (I6)
func readAnyFile(path string, pipes Pipes) (text []byte, regular bool, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	regular = info.Mode().IsRegular()
	from := io.Reader(f)
	if !regular {
		if pipes == nil {
			return nil, false, fmt.Errorf("%s: is no regular file, and it is read more than once", path)
		}
		from = pipes(f)
	}
	if info.Size() <= maxFile {
		text, err = io.ReadAll(io.LimitReader(from, maxFile+1))
	}
	if info.Size() > maxFile || len(text) > maxFile {
		return nil, regular, fmt.Errorf("%s: has more than %dMiB", path, maxFile>>20)
	}
	return text, regular, err
}
