package cache

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache/ties"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/maypok86/otter/v2"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

//go:embed lua/outdate.lua
var outdateLua string

var outdateScript = redis.NewScript(outdateLua)

// Upstream is the system of record behind a Store: a ZITADEL. What is stored is a copy of what that
// answered, and answers no longer than MaxAge; then it is asked for again.
type Upstream struct {
	// Ask asks for the session with an ID as it is now, with a Creator, a Token and a CheckedAt that
	// are zero; and whether it has this token, if that is not "". It answers session.ErrNotFound if there
	// is none, session.ErrWrongToken if it has another token, session.ErrNotKept if it is not to be stored; every other error means that
	// the answer is not known. (I2) It gives up after Timeout, or when its context ends.
	Ask func(ctx context.Context, id session.ID, token string) (*session.Session, error)
	// Tie asks which session an OIDC session is part of: session.ErrNotFound if upstream knows of no such OIDC session; every other
	// error means that the answer is not known. It gives up as Ask does. nil: no login is held against its session.
	Tie func(ctx context.Context, oidcSession string) (session.Tie, error)
	// Timeout is the longest time that Ask takes.
	Timeout time.Duration
	// MaxAge is how long ago the question may have been sent whose answer is still used.
	MaxAge time.Duration
	// MaxAgeProven is the same where news prove that the session has not changed since; 0 does without news.
	MaxAgeProven time.Duration
	// MaxBytes is the size of the largest session, as JSON, that is kept.
	MaxBytes int
}

const (
	// askedAgainFrom is the share of MaxAge, in tenths, from which on a copy that is used is asked for
	// again while it still answers; for each session up to a tenth later, so that those that were
	// read together are not asked for together.
	askedAgainFrom = 8
	// wrongFor is how long it is remembered that a session does not have a token, and mostWrong of how many.
	wrongFor, mostWrong = 5 * time.Second, 10_000
	// askedAhead is how many sessions are asked for at a time before somebody has to wait for them.
	askedAhead = 32
	// questions is how often a question is asked again that was overtaken by an event or by another process.
	questions = 4
)

// upstream is the part of a Store that asks its Upstream.
type upstream struct {
	Upstream
	flights singleflight.Group
	// ahead has a place for each question that nobody waits for.
	ahead *semaphore.Weighted
	// running are all questions under way; stop ends them. (I7)
	running sync.WaitGroup
	base    context.Context
	stop    context.CancelFunc
	// wrong has the questions about tokens that were answered session.ErrWrongToken, by name, and until when that
	// counts: no token becomes right again.
	wrong *otter.Cache[string, session.Time]
	// news is the record that was seen last; name is what this process is known by where one asks for all.
	news atomic.Pointer[News]
	name string
	// ties is nil if no login is held against its session.
	ties *ties.Ties

	asked, overtaken, notKept atomic.Uint64
}

func newUpstream(u *Upstream) *upstream {
	if u == nil {
		return nil
	}
	base, stop := context.WithCancel(context.Background())
	return &upstream{
		Upstream: *u, name: hex.EncodeToString([]byte(newVersion())), ahead: semaphore.NewWeighted(askedAhead), base: base, stop: stop,
		wrong: otter.Must(&otter.Options[string, session.Time]{
			MaximumSize: mostWrong, Executor: func(task func()) { task() }, // I7
		}),
	}
}

// close ends all questions under way, and waits for them.
func (u *upstream) close() {
	if u != nil {
		u.stop()
		u.ties.Close()
		u.running.Wait()
	}
}

// UpstreamStats are counts since the start.
type UpstreamStats struct {
	// Asked are the questions to the system of record, Overtaken those of them whose answer was not
	// used because an event or another process came meanwhile, NotKept the answers that were not stored.
	Asked, Overtaken, NotKept uint64
}

// UpstreamStats returns what has been asked; zero without an upstream.
func (s *Store) UpstreamStats() UpstreamStats {
	if s.upstream == nil {
		return UpstreamStats{}
	}
	return UpstreamStats{s.upstream.asked.Load(), s.upstream.overtaken.Load(), s.upstream.notKept.Load()}
}

// answers says whether a copy may still answer, and whether it should be asked for again meanwhile.
func (u *upstream) answers(stored *session.Stored, now session.Time) (answers, again bool) {
	checked := stored.CheckedAt
	age, mostAge := now.Sub(checked), u.MaxAge
	good := u.news.Load().good(checked)
	if good != checked {
		mostAge = max(mostAge, u.MaxAgeProven)
	}
	sinceGood := now.Sub(good)
	if age < 0 || age >= mostAge || sinceGood >= u.MaxAge {
		return false, false
	}
	return true, aheadOf(stored, age, mostAge) || aheadOf(stored, sinceGood, u.MaxAge)
}

// aheadOf says whether a copy of some age is to be asked for again.
func aheadOf(stored *session.Stored, age, mostAge time.Duration) bool {
	tenth := mostAge / 10
	// By the session's dates, so that all processes agree and no two sessions do.
	jitter := time.Duration(uint64(stored.Creation)*2654435761>>7%1024) * tenth / 1024
	return age >= askedAgainFrom*tenth+jitter
}

// current returns a session by a copy that may answer, or by asking upstream; one that has this token, if
// that is not "". What upstream answers may be due: then it is not stored, and upstream's to show.
func (s *Store) current(ctx context.Context, id session.ID, token string) (*session.Stored, error) {
	since := s.clock()
	for {
		stored, err := s.get(ctx, id)
		if err != nil {
			return nil, err
		}
		if now := s.clock(); stored != nil && !stored.Due(now) && (token == "" || stored.Token.Matches(token)) {
			answers, again := s.upstream.answers(stored, now)
			if again {
				s.askAhead(id)
			}
			if answers {
				return stored, nil
			}
		}
		if token != "" {
			if until, wrong := s.upstream.wrong.GetIfPresent(questionName(id, token)); wrong && s.clock() < until {
				return nil, session.ErrWrongToken
			}
		}
		answer, err := s.askUpstream(ctx, id, token)
		if err != nil {
			return nil, err
		}
		if answer.sent >= since {
			return answer.stored, answer.err
		}
		// The question is older than this call, so its answer may lack a write that the caller knows of. Look
		// at what is stored instead: a write would have outdated it. (I4)
	}
}

// askAhead asks for a session whose copy still answers, if there is a place.
func (s *Store) askAhead(id session.ID) {
	u := s.upstream
	if !u.ahead.TryAcquire(1) {
		return
	}
	flight := s.fly(id, "")
	u.running.Go(func() {
		defer u.ahead.Release(1)
		<-flight
	})
}

// askUpstream asks for a session, together with all others that ask for it now.
func (s *Store) askUpstream(ctx context.Context, id session.ID, token string) (*answer, error) {
	select {
	case got := <-s.fly(id, token):
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*answer), nil
	case <-ctx.Done():
		return nil, unavailable(ctx.Err())
	}
}

// answer is what a question has come to.
type answer struct {
	sent session.Time // when it was sent
	// stored is the session, also if it was not kept; nil with an err.
	stored *session.Stored
	err    error // session.ErrNotFound, or one that wraps it
}

// fly joins the question about a session that is under way, or begins one. It goes on when all
// who wait for it have left, so that who asks again finds the answer stored.
func (s *Store) fly(id session.ID, token string) <-chan singleflight.Result {
	u := s.upstream
	u.running.Add(1)
	results := u.flights.DoChan(questionName(id, token), func() (any, error) {
		ctx, cancel := context.WithTimeout(u.base, u.Timeout+2*tripTimeout)
		defer cancel()
		return s.question(ctx, id, token)
	})
	done := make(chan singleflight.Result, 1)
	go func() {
		defer u.running.Done()
		done <- <-results
	}()
	return done
}

// questionName names a question about a session, and its token if that is not "". (I6)
func questionName(id session.ID, token string) string {
	if token == "" {
		return string(id)
	}
	hash := session.HashToken(token)
	return string(id) + " " + string(hash[:])
}

// question asks upstream for a session, and stores what it answers in place of what was stored
// when the question was sent. If that has changed meanwhile, by an event, a write or another
// process, nothing orders the two: it asks again.
func (s *Store) question(ctx context.Context, id session.ID, token string) (*answer, error) {
	u := s.upstream
	begun := s.clock()
	for range questions {
		old, err := s.readFresh(ctx, id)
		if err != nil {
			return nil, err
		}
		if last, deleted := s.remembered.Last(id, s.clock()); deleted && (last == math.MaxUint64 || old != nil && s.remembered.Pass(old, s.clock()) == nil) {
			return &answer{sent: s.clock(), err: session.ErrRevoked}, nil // I4
		}
		if old != nil && old.Due(s.clock()) {
			old = nil
		}
		if old != nil && old.CheckedAt >= begun && (token == "" || old.Token.Matches(token)) {
			return &answer{sent: old.CheckedAt, stored: old}, nil // another process was faster
		}
		mark := ""
		if old == nil {
			if mark, err = s.markQuestion(ctx, id); err != nil {
				return nil, err
			}
		}
		sent := s.clock()
		u.asked.Add(1)
		next, err := u.Ask(ctx, id, token)
		switch {
		case errors.Is(err, session.ErrWrongToken):
			u.wrong.Set(questionName(id, token), sent.Add(wrongFor))
			if old != nil && old.Token.Matches(token) { // it was replaced, and no event has come
				if err := s.Outdate(ctx, id); err != nil {
					return nil, err
				}
			}
			return &answer{sent: sent, err: err}, nil
		case errors.Is(err, session.ErrNotFound):
			err := s.forget(ctx, old)
			if errors.Is(err, session.ErrConflict) {
				u.overtaken.Add(1)
				continue
			}
			return &answer{sent: sent, err: session.ErrNotFound}, err
		case err != nil:
			return nil, unavailable(err)
		case next.ID != id:
			return nil, fmt.Errorf("%w: upstream answered with another session than was asked for", session.ErrUnavailable)
		}
		next.CheckedAt = sent
		if token != "" {
			next.Token, next.TokenForeign = session.HashToken(token), true
		} else if old != nil && old.Sequence == next.Sequence && changed(old) == next.ChangeDate {
			next.Token, next.TokenForeign = old.Token, old.TokenForeign // a Set would have raised both
		}
		got, err := s.keep(ctx, next, old, mark)
		if errors.Is(err, session.ErrConflict) {
			u.overtaken.Add(1)
			continue
		}
		return got, err
	}
	return nil, fmt.Errorf("%w: the session changes faster than it can be read", session.ErrUnavailable)
}

// keep stores what upstream has answered, unless the session is due, or larger than what is kept.
func (s *Store) keep(ctx context.Context, next *session.Session, old *session.Stored, mark string) (*answer, error) {
	got := &answer{sent: next.CheckedAt, stored: &session.Stored{
		Doc: session.AppendJSON(nil, next), Facts: next.Facts(), Token: next.Token, TokenForeign: next.TokenForeign, CheckedAt: next.CheckedAt,
	}}
	if got.stored.Due(s.clock()) || next.Validate(s.upstream.MaxBytes) != nil {
		s.upstream.notKept.Add(1)
		return got, s.forget(ctx, old)
	}
	err := s.put(ctx, next, old, mark)
	if errors.Is(err, session.ErrDeleted) || errors.Is(err, session.ErrEnded) {
		return &answer{sent: got.sent, err: session.ErrRevoked}, nil
	}
	return got, err
}

// forget removes what is stored of a session, and leaves nothing: upstream has none, or one that is
// not kept. It answers session.ErrConflict if that has changed since the question was sent.
func (s *Store) forget(ctx context.Context, old *session.Stored) error {
	if old == nil {
		return nil
	}
	_, err := s.delete(ctx, old, "", 0, false)
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}

// changed is the change date of a stored session, 0 if it cannot be read.
func changed(stored *session.Stored) session.Time {
	doc, err := session.ParseDoc(stored.Doc)
	if err != nil {
		return 0
	}
	return doc.ChangeDate
}

// markQuestion marks a question about a session that is not stored: an event, a write or a later
// question replaces the mark, and the answer to this one is not stored then.
func (s *Store) markQuestion(ctx context.Context, id session.ID) (mark string, err error) {
	mark = newVersion()
	reply := redis.NewStatusCmd(ctx, "set", s.keys.Question(id), mark, "px", s.QuestionFor().Milliseconds())
	if err := s.writes.Do(ctx, reply); err != nil {
		return "", unavailable(err)
	}
	if err := reply.Err(); err != nil {
		return "", unavailable(err)
	}
	return mark, nil
}

// QuestionFor is longer than any question to the system of record takes, with the storing of its answer.
func (s *Store) QuestionFor() time.Duration { return s.upstream.Timeout + 4*tripTimeout }

// newVersion draws the name of a version.
func newVersion() string {
	version := make([]byte, versionLen)
	_, _ = rand.Read(version) // never fails
	return string(version)
}

// Outdate says that what is known of a session may be old: no copy of it answers any more until
// upstream was asked, and no answer to a question that was sent before is stored. (I3, I4)
// It may be repeated. After session.ErrUnavailable it may or may not have happened.
func (s *Store) Outdate(ctx context.Context, id session.ID) error {
	s.near.ForgetSession(id)
	defer s.near.ForgetSession(id)        // I4: also if it is not known whether it happened
	s.upstream.flights.Forget(string(id)) // who asks from now on need not wait for what was asked before
	_, _, err := s.runScript(ctx, outdateScript, []string{s.keys.Session(id), s.keys.Question(id)}, []any{newVersion(), s.QuestionFor().Milliseconds()})
	return err
}

// Terminate deletes a session, stored or not, for upstream has ended it: no version of it is stored
// any more, however high its sequence. reason is as in Delete.
func (s *Store) Terminate(ctx context.Context, id session.ID, reason string) error {
	defer s.upstream.flights.Forget(string(id)) // as Outdate does
	for range questions {
		old, err := s.readFresh(ctx, id)
		if err != nil {
			return err
		}
		if old == nil || old.Due(s.clock()) {
			old = &session.Stored{Facts: session.Facts{ID: id, Expiration: session.Never}}
		}
		_, err = s.delete(ctx, old, reason, math.MaxUint64, true)
		if !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrNotFound) {
			return err
		}
	}
	return fmt.Errorf("%w: the session changes faster than it can be deleted", session.ErrUnavailable)
}
