package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
)

// maxFile bounds what is read of each file, in bytes.
const maxFile = 16 << 20

// reading reads files, each once, so that what is used is what was summed. It is
// for one goroutine.
type reading struct {
	// kept are texts that are not read again; starting adds those of pipes and
	// the like, which can be read once only.
	kept     map[string][]byte
	starting bool

	found map[string]found
	paths []string // those that were asked for with read
}

// found is what a file had: a text, or why it could not be read.
type found struct {
	text []byte
	err  error
}

func newReading(kept map[string][]byte, starting bool) *reading {
	return &reading{kept: kept, starting: starting, found: map[string]found{}}
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
		f.text, regular, f.err = readAnyFile(path, r.starting)
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

// readText reads a regular file. It never waits for a writer, as that of a FIFO.
func readText(path string) ([]byte, error) {
	text, _, err := readAnyFile(path, false)
	return text, err
}

// readAnyFile is readText, and if pipes, it reads whatever can be read. Its errors
// name the file and repeat nothing of it. (I6)
func readAnyFile(path string, pipes bool) (text []byte, regular bool, err error) {
	flags := os.O_RDONLY
	if !pipes {
		flags |= syscall.O_NONBLOCK
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	regular = info.Mode().IsRegular()
	if !regular && !pipes {
		return nil, false, fmt.Errorf("%s: is no regular file", path)
	}
	if info.Size() <= maxFile {
		text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	if info.Size() > maxFile || len(text) > maxFile {
		return nil, regular, fmt.Errorf("%s: has more than %s", path, bytesText(maxFile))
	}
	return text, regular, err
}
