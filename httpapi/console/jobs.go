package console

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// kept is how long a revocation is known after its end.
	kept = time.Hour
	// maxJobs is how many are known at a time, maxJobsOfKey how many of one API key.
	maxJobs, maxJobsOfKey = 500, 50
	// idBytes is how long the ID of a job is, which is written as hexadecimal digits.
	idBytes = 16
)

// jobs are revocations that run, or have ended, those that began first first. The zero value has none. It is safe for
// concurrent use.
type jobs struct {
	mu  sync.Mutex
	all []*job
	// asked are those that the API is asked for, and has neither begun nor refused yet.
	asked map[jobName]struct{}
}

// jobName is what a job is found by: each API key has IDs of its own.
type jobName struct {
	key [sha256.Size]byte
	id  string
}

// job is a revocation.
type job struct {
	jobName
	started time.Time
	// revoked is how many sessions it has revoked so far.
	revoked atomic.Uint64
	// ended is zero while it runs; then status and answer are those of the API.
	ended  time.Time
	status int
	answer json.RawMessage
}

// jobState is what a page is told of a job.
type jobState struct {
	ID        string          `json:"id"`
	State     string          `json:"state"`
	Revoked   string          `json:"revoked"`
	StartedAt time.Time       `json:"startedAt"`
	EndedAt   *time.Time      `json:"endedAt"` // null while it runs
	Status    int             `json:"status"`
	Answer    json.RawMessage `json:"answer"` // null while it runs
}

func (j *job) state() jobState {
	s := jobState{ID: j.id, State: "running", Revoked: strconv.FormatUint(j.revoked.Load(), 10), StartedAt: j.started.UTC(), Status: j.status, Answer: j.answer}
	if !j.ended.IsZero() {
		s.State = "done"
		if j.status != 200 {
			s.State = "failed"
		}
		ended := j.ended.UTC()
		s.EndedAt = &ended
	}
	return s
}

// newID returns an ID for a job.
func newID() string {
	var random [idBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

// isID says whether newID could return it.
func isID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == idBytes && id == hex.EncodeToString(raw)
}

// ask notes that the API is about to be asked for a job, unless there is one of that name: then it returns false. It is
// followed by begin or refused.
func (js *jobs) ask(name jobName) bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.forget()
	if _, is := js.asked[name]; is || slices.ContainsFunc(js.all, func(j *job) bool { return j.jobName == name }) {
		return false
	}
	if js.asked == nil {
		js.asked = map[jobName]struct{}{}
	}
	js.asked[name] = struct{}{}
	return true
}

// refused notes that the API has not begun a job.
func (js *jobs) refused(name jobName) {
	js.mu.Lock()
	defer js.mu.Unlock()
	delete(js.asked, name)
}

// begin notes that a revocation of key runs. The API bounds how many do.
func (js *jobs) begin(name jobName) *job {
	j := &job{jobName: name, started: time.Now()}
	js.mu.Lock()
	defer js.mu.Unlock()
	delete(js.asked, name)
	js.forget()
	js.makeRoom(maxJobsOfKey, func(other *job) bool { return other.key == name.key })
	js.makeRoom(maxJobs, func(*job) bool { return true })
	js.all = append(js.all, j)
	return j
}

// forget forgets what has ended too long ago.
func (js *jobs) forget() {
	js.all = slices.DeleteFunc(js.all, func(j *job) bool { return !j.ended.IsZero() && time.Since(j.ended) >= kept })
}

// makeRoom forgets the first of those that count and have ended, if those that count are most or more.
func (js *jobs) makeRoom(most int, counts func(*job) bool) {
	n, first := 0, -1
	for i, j := range js.all {
		if counts(j) {
			n++
			if first < 0 && !j.ended.IsZero() {
				first = i
			}
		}
	}
	if n >= most && first >= 0 {
		js.all = slices.Delete(js.all, first, first+1)
	}
}

// end notes how a job has ended.
func (js *jobs) end(j *job, status int, answer json.RawMessage) {
	js.mu.Lock()
	defer js.mu.Unlock()
	j.ended, j.status, j.answer = time.Now(), status, answer
}

// find returns the job of a name.
func (js *jobs) find(name jobName) (jobState, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.forget()
	for _, j := range js.all {
		if j.jobName == name {
			return j.state(), true
		}
	}
	return jobState{}, false
}

// list returns the jobs of key, the newest first.
func (js *jobs) list(key [sha256.Size]byte) []jobState {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.forget()
	of := []jobState{}
	for _, j := range slices.Backward(js.all) {
		if j.key == key {
			of = append(of, j.state())
		}
	}
	return of
}
