package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// lookEvery is how often files are read again: they are small, and content
	// tells a change where times and links do not. What has changed is taken at
	// the second look.
	lookEvery = 2 * time.Second
	// maxFile bounds what is read of each file.
	maxFile = 16 << 20
)

// reloaded is what the files of a setting hold. They are read again whenever
// they change, and at SIGHUP; what is broken changes nothing. open makes it. Its
// fields are set before more than one goroutine uses it; then it is safe for
// concurrent use.
type reloaded[T any] struct {
	setting string   // "auth-keys-file"
	paths   []string // "" is no file, and has no text
	// more are files that value names; nil has none.
	more func(value T) []string
	// parse makes the value of the texts of paths.
	parse func(texts [][]byte) (T, error)
	// then is told of every new value; nil tells nobody.
	then func(value T)
	// done and kept are the messages in the log; says has more for its lines.
	done, kept string
	says       func(value T) []any
	log        *slog.Logger

	current atomic.Pointer[held[T]]
	fault   atomic.Pointer[error] // why the files that are there now are not used

	// mu is held while the files are looked at.
	mu sync.Mutex
	// seen is what was found last, bad what was refused last.
	seen, bad [sha256.Size]byte
}

// held is a value, read from files with this content.
type held[T any] struct {
	value   T
	content [sha256.Size]byte
}

// open reads the files for the first time.
func (r *reloaded[T]) open() error {
	texts, err := readTexts(r.paths)
	if err != nil {
		return err
	}
	value, err := r.parse(texts)
	if err != nil {
		return err
	}
	r.log = slog.Default()
	r.current.Store(&held[T]{value, r.content(value, texts)})
	return nil
}

// value is the newest that was good.
func (r *reloaded[T]) value() T { return r.current.Load().value }

// look reads the files, and uses what they have if that is new and good. What is
// bad is logged once. Unless at once, a change counts only if it is still there
// at the next look, because two files do not change in one moment, nor is one
// always written in one.
func (r *reloaded[T]) look(atOnce bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.current.Load()
	var value T
	texts, err := readTexts(r.paths)
	content := sha256.Sum256(fmt.Append(nil, err))
	if err == nil {
		content = r.content(before.value, texts)
	}
	settled := atOnce || content == r.seen
	r.seen = content
	if err == nil && content == before.content && !atOnce {
		r.bad = [sha256.Size]byte{}
		r.fault.Store(nil)
		return
	}
	if !settled {
		return
	}
	if err == nil {
		value, err = r.parse(texts)
	}
	if err != nil {
		r.fault.Store(&err)
		if bad := sha256.Sum256(fmt.Append(content[:], err)); atOnce || bad != r.bad {
			r.bad = bad
			r.log.Error(r.kept, append(r.says(before.value), "error", err)...)
		}
		return
	}
	r.bad = [sha256.Size]byte{}
	r.fault.Store(nil)
	content = r.content(value, texts)
	r.seen = content
	r.current.Store(&held[T]{value, content})
	if r.then != nil {
		r.then(value)
	}
	r.log.Info(r.done, r.says(value)...)
}

// content is the sum of all files. One that value names and that cannot be read
// counts as its error.
func (r *reloaded[T]) content(value T, texts [][]byte) (sum [sha256.Size]byte) {
	if r.more != nil {
		texts = slices.Clone(texts)
		for _, path := range r.more(value) {
			text, err := readText(path)
			if err != nil {
				text = []byte(err.Error())
			}
			texts = append(texts, text)
		}
	}
	h := sha256.New()
	for _, text := range texts {
		part := sha256.Sum256(text)
		h.Write(part[:])
	}
	h.Sum(sum[:0])
	return sum
}

// state says how the files are, in one line for /readyz?verbose.
func (r *reloaded[T]) state() string {
	if err := r.fault.Load(); err != nil {
		return "what --" + r.setting + " held before is used: " + (*err).Error()
	}
	return ""
}

// register shows whether the files can be used.
func (r *reloaded[T]) register(to prometheus.Registerer) {
	to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_reload_failed", Help: "1 while the files of a setting cannot be used and what they held before is, else 0.",
		ConstLabels: prometheus.Labels{"setting": r.setting},
	}, func() float64 {
		if r.fault.Load() != nil {
			return 1
		}
		return 0
	}))
}

// readTexts reads files; one without a name has no text.
func readTexts(paths []string) ([][]byte, error) {
	texts := make([][]byte, len(paths))
	for i, path := range paths {
		if path == "" {
			continue
		}
		var err error
		if texts[i], err = readText(path); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// readText reads a file of settings, certificates or keys. Its errors name the
// file and repeat nothing of it. (I6)
func readText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: has more than %s", path, bytesText(maxFile))
	}
	return text, nil
}
