// Package followed reads the files that settings name: regular ones again whenever they
// change, and pipes and the like once.
package followed

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// Every is how often files are read again: they are small, and content
	// tells a change where times and links do not. What has changed is taken at
	// the second look.
	Every = 2 * time.Second
	// maxChanges is for how many looks in a row files may change before it is a fault.
	maxChanges = 3
)

// errInMotion is the fault of files that are never twice the same.
var errInMotion = errors.New("the files change all the time")

// Files is what the files of a setting hold. They are read again whenever
// they change, and at SIGHUP; what is broken changes nothing. Open makes it. Its
// fields are set before more than one goroutine uses it; then it is safe for
// concurrent use.
type Files[T any] struct {
	// Setting is that of the files: "auth-keys-file".
	Setting string
	// Parse makes the value of files, which it reads with read, and in no other
	// way.
	Parse func(read func(path string) ([]byte, error)) (T, error)
	// Then is told of every new value; nil tells nobody.
	Then func(value T)
	// Done and Kept are the messages in the log; Says has more for its lines.
	Done, Kept string
	Says       func(value T) []any
	log        *slog.Logger

	current atomic.Pointer[held[T]]
	fault   atomic.Pointer[error] // why the files that are there now are not used

	// mu is held while the files are looked at.
	mu sync.Mutex
	// once are the texts of what is no regular file: read at the start only.
	once map[string][]byte
	// seen is what was found last, and changes how often it was another one.
	seen    [sha256.Size]byte
	changes int
	bad     string // what was refused last
}

// held is a value, read from files with this content.
type held[T any] struct {
	value   T
	paths   []string
	content [sha256.Size]byte
}

// Open reads the files for the first time. What can be read once only, is.
func (r *Files[T]) Open(pipes Pipes) error {
	r.once = map[string][]byte{}
	now := newReading(r.once, pipes)
	value, err := r.Parse(now.read)
	if err != nil {
		return err
	}
	r.log = slog.Default()
	r.current.Store(&held[T]{value, now.paths, now.sum(now.paths)})
	return nil
}

// Value is the newest that was good.
func (r *Files[T]) Value() T { return r.current.Load().value }

// Look reads the files, and uses what they have if that is new and good. What is
// bad is logged once. Unless at once, a change counts only if it is still there
// at the next look, because two files do not change in one moment, nor is one
// always written in one.
func (r *Files[T]) Look(atOnce bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.current.Load()
	if atOnce {
		r.logUnfollowed()
	}
	if !slices.ContainsFunc(before.paths, r.follows) {
		return
	}
	now := newReading(r.once, nil)
	if !atOnce && now.sum(before.paths) == before.content {
		r.seen, r.changes, r.bad = before.content, 0, ""
		if r.fault.Swap(nil) != nil {
			r.log.Info("the files are good again, as they were before", "setting", r.Setting)
		}
		return
	}
	value, err := r.Parse(now.read)
	content := now.sum(now.paths)
	bad := string(content[:])
	if !atOnce && content != r.seen {
		r.seen = content
		if r.changes++; r.changes <= maxChanges {
			return
		}
		err, bad = errInMotion, ""
	} else {
		r.seen, r.changes = content, 0
	}
	if err != nil {
		bad += err.Error()
		r.fault.Store(&err)
		if atOnce || bad != r.bad {
			r.log.Error(r.Kept, append(r.Says(before.value), "error", err)...)
		}
		r.bad = bad
		return
	}
	r.bad = ""
	r.fault.Store(nil)
	r.current.Store(&held[T]{value, now.paths, content})
	if r.Then != nil {
		r.Then(value)
	}
	r.log.Info(r.Done, r.Says(value)...)
}

// State says how the files are, in one line for /readyz?verbose.
func (r *Files[T]) State() string {
	if err := r.fault.Load(); err != nil {
		return "what --" + r.Setting + " held before is used: " + strings.ReplaceAll((*err).Error(), "\n", "; ")
	}
	return ""
}

// Register shows whether the files can be used.
func (r *Files[T]) Register(to prometheus.Registerer) {
	to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "cloakroom_reload_failed", Help: "1 while the files of a setting cannot be used and what they held before is, else 0.",
		ConstLabels: prometheus.Labels{"setting": r.Setting},
	}, func() float64 {
		if r.fault.Load() != nil {
			return 1
		}
		return 0
	}))
}

// Follower is a Files of any type.
type Follower interface {
	// Look reads the files; at once takes what is there, whether or not it may be half written.
	Look(atOnce bool)
	// State says how the files are, "" if they are in use.
	State() string
	// Register shows whether they are.
	Register(to prometheus.Registerer)
	// LogTo says where a Look is told of.
	LogTo(log *slog.Logger)
}

// LogTo takes log, in the place of the default one, and tells it what is not followed. It
// is called before Look.
func (r *Files[T]) LogTo(log *slog.Logger) {
	r.log = log
	r.logUnfollowed()
}

// logUnfollowed tells of what was read at the start only.
func (r *Files[T]) logUnfollowed() {
	for path := range r.once {
		r.log.Info("no regular file: it was read once, and is not followed", "setting", r.Setting, "file", path)
	}
}

// follows says whether a file may have changed.
func (r *Files[T]) follows(path string) bool {
	_, once := r.once[path]
	return !once
}
