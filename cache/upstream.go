package cache

import (
	"cmp"
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
	"github.com/cloakroom-dev/cloakroom/internal/bounded"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
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
	// UserOf asks whose a token is that comes without its session, and SessionsOf for the sessions of a user that such a
	// token may be of, the likeliest first. UserOf's error is session.ErrNoToken, session.ErrExpired or session.ErrWrongToken
	// if the token is refused for good, session.ErrNotFound if it is refused now; every other error of either means that
	// the answer is not known. (I2) Without them no session is looked for by a token that was not learned.
	UserOf     func(ctx context.Context, token string) (userID string, err error)
	SessionsOf func(ctx context.Context, userID string) ([]session.ID, error)
	// ProbesPerSecond is how many calls a second tokens may cost that nothing here proves, and as many at once;
	// 0: as many as come. ProbesWaiting is how many of these wait for their turn; 0 is 256.
	ProbesPerSecond, ProbesWaiting int
	// Timeout is the longest time that Ask takes, and that a session is looked for by its token.
	Timeout time.Duration
	// MaxAge is how long ago the question may have been sent whose answer is still used.
	MaxAge time.Duration
	// MaxAgeProven is the same where news prove that the session has not changed since; 0 does without news.
	MaxAgeProven time.Duration
	// MaxBytes is the size of the largest session, as JSON, that is kept.
	MaxBytes int
	// Keep is how long a copy stays that nobody uses; 0 is for as long as its session. It must be longer than MaxAge.
	Keep time.Duration
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
	ahead   ahead
	// running are all questions under way; stop ends them. (I7)
	running sync.WaitGroup
	base    context.Context
	stop    context.CancelFunc
	// news is the record that was seen last; name is what this process is known by where one asks for all.
	news atomic.Pointer[News]
	name string
	// ties is nil if no login is held against its session.
	ties *ties.Ties
	// wrong has the questions about tokens that were refused for good, by name: no token becomes right again.
	wrong bounded.Cache[string, wrongToken]
	*probes

	asked, overtaken, notKept, unused atomic.Uint64
}

func newUpstream(u *Upstream, clock func() session.Time) *upstream {
	if u == nil {
		return nil
	}
	base, stop := context.WithCancel(context.Background())
	return &upstream{
		Upstream: *u, name: hex.EncodeToString([]byte(newVersion())), base: base, stop: stop, probes: newProbes(u, clock),
		wrong: bounded.InEntries[string, wrongToken](mostWrong),
	}
}

// close ends all questions under way, and waits for them.
func (u *upstream) close() {
	if u != nil {
		u.stop()
		u.ties.Close()
		u.probes.close()
		u.running.Wait()
	}
}

// UpstreamStats are counts since the start.
type UpstreamStats struct {
	// Asked are the questions to the system of record, Overtaken those of them whose answer was not
	// used because an event or another process came meanwhile, NotKept the answers that were not stored.
	Asked, Overtaken, NotKept uint64
	// Unused are the copies that were removed because nobody used them.
	Unused uint64
	// Probes are calls for tokens that nothing here proves, NotProbed those that were not made because there were too
	// many; ProbesWaiting wait for their turn now.
	Probes, NotProbed uint64
	ProbesWaiting     int
}

// UpstreamStats returns what has been asked; zero without an upstream.
func (s *Store) UpstreamStats() UpstreamStats {
	if s.upstream == nil {
		return UpstreamStats{}
	}
	u := s.upstream
	stats := UpstreamStats{Asked: u.asked.Load(), Overtaken: u.overtaken.Load(), NotKept: u.notKept.Load(), Unused: u.unused.Load()}
	if u.limit != nil {
		of := u.limit.Stats()
		stats.Probes, stats.NotProbed, stats.ProbesWaiting = of.Given, of.Refused, of.Waiting
	}
	return stats
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
// that is not "". What upstream answers may be due: then it is not stored, and upstream's to show. Unless the caller vouches
// for the token, or a copy has it, the question is a probe.
func (s *Store) current(ctx context.Context, id session.ID, token string, vouched bool) (*session.Stored, error) {
	since := s.clock()
	for {
		proven := vouched
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
			proven = true
		}
		if token != "" {
			if err := s.upstream.refused(questionName(id, token), s.clock()); err != nil {
				return nil, err
			}
		}
		ask := s.askUpstream
		if !proven {
			// Upstream would be asked in vain, each time, and for a permit.
			if terminated, err := s.terminated(ctx, id); err != nil || terminated {
				return nil, cmp.Or(err, session.ErrRevoked)
			}
			ask = s.probeUpstream
		}
		answer, err := ask(ctx, id, token)
		if err == errKnown {
			continue
		}
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

// ahead are the sessions that are asked for while nobody waits for them: each has one place of askedAhead.
type ahead struct {
	mu  sync.Mutex
	ids map[session.ID]struct{}
}

// take says whether a session is to be asked for: it is not yet, and there is a place, which it has now.
func (a *ahead) take(id session.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, asked := a.ids[id]; asked || len(a.ids) == askedAhead {
		return false
	}
	if a.ids == nil {
		a.ids = make(map[session.ID]struct{}, askedAhead)
	}
	a.ids[id] = struct{}{}
	return true
}

func (a *ahead) leave(id session.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.ids, id)
}

// askAhead asks for a session whose copy still answers, if there is a place.
func (s *Store) askAhead(id session.ID) {
	u := s.upstream
	if !u.ahead.take(id) {
		return // a question that an event overtakes is asked again by itself
	}
	flight := s.fly(id, "")
	u.running.Go(func() {
		defer u.ahead.leave(id)
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

// question asks upstream for a session, and stores what it answers in place of what was stored
// when the question was sent. If that has changed meanwhile, by an event, a write or another
// process, nothing orders the two: it asks again.
func (s *Store) question(ctx context.Context, id session.ID, token string) (*answer, error) {
	u := s.upstream
	begun := s.clock()
	var last *answer // the last one that was overtaken
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
			u.refuse(questionName(id, token), sent, session.ErrWrongToken)
			if old != nil && old.Token.Matches(token) { // it was replaced, and no event has come
				if err := s.Outdate(ctx, id); err != nil {
					return nil, err
				}
			}
			return &answer{sent: sent, err: err}, nil
		case errors.Is(err, session.ErrNotFound):
			got := &answer{sent: sent, err: session.ErrNotFound}
			err := s.forget(ctx, id, old)
			if errors.Is(err, session.ErrConflict) {
				u.overtaken.Add(1)
				last = got
				continue
			}
			return got, err
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
		if facts := next.Facts(); token != "" && facts.Due(s.clock()) {
			// Whatever revives the session makes another token.
			u.refuse(questionName(id, token), sent, session.ErrExpired)
		}
		got, err := s.keep(ctx, next, old, mark)
		if errors.Is(err, session.ErrConflict) {
			u.overtaken.Add(1)
			last = got
			continue
		}
		return got, err
	}
	// Nothing orders the last answer and what has overtaken it, so it is not stored. It is right all the same for callers who came
	// before it was sent, and only these use it: see current. Unless the session was terminated before they came, and
	// upstream did not know yet: put would have said so, had it got so far. (I4)
	terminated, err := s.terminated(ctx, id)
	if err != nil {
		return nil, err
	}
	if terminated {
		last = &answer{sent: last.sent, err: session.ErrRevoked}
	}
	return last, nil
}

// keep stores what upstream has answered, unless the session is due, or larger than what is kept.
func (s *Store) keep(ctx context.Context, next *session.Session, old *session.Stored, mark string) (*answer, error) {
	got := &answer{sent: next.CheckedAt, stored: &session.Stored{
		Doc: session.AppendJSON(nil, next), Facts: next.Facts(), Token: next.Token, TokenForeign: next.TokenForeign, CheckedAt: next.CheckedAt,
	}}
	if got.stored.Due(s.clock()) || next.Validate(s.upstream.MaxBytes) != nil {
		s.upstream.notKept.Add(1)
		return got, s.forget(ctx, next.ID, old)
	}
	err := s.put(ctx, next, old, mark)
	if errors.Is(err, session.ErrDeleted) || errors.Is(err, session.ErrEnded) {
		return &answer{sent: got.sent, err: session.ErrRevoked}, nil
	}
	return got, err
}

// forget removes what is stored of a session, and leaves nothing: upstream has none, or one that is
// not kept. It answers session.ErrConflict if that has changed since the question was sent. If nothing is stored, it removes the mark of the
// question, so that no older answer is stored that shares it.
func (s *Store) forget(ctx context.Context, id session.ID, old *session.Stored) error {
	if old == nil {
		if err := s.writes.Do(ctx, redis.NewIntCmd(ctx, "del", s.keys.Question(id))); err != nil {
			return unavailable(err)
		}
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

// markQuestion returns the mark of a question about a session that is not stored. The answer is stored only if the mark is still there.
//
// Questions that are under way together share a mark. If each had its own, in place of the last one, made-up tokens for a
// session's ID would keep its owner's answer from being stored. No answer that is too old is stored for that:
//   - An event removes the mark, whether the session is stored or not. A question that was sent before had read it, and the next one draws
//     another mark, which is random: no mark comes back. A question that shares a mark has read it before it was sent. So
//     while the mark is there, no event has come since any of its questions was sent.
//   - Of the answers to questions with one mark the first that is stored takes the mark with it, in put.lua. The others are asked
//     again, also if what was stored is removed by then, perhaps with an event that it was told of. An answer that the session is not there, or not
//     kept, takes it, too.
//   - An answer that a token is wrong leaves it. So a copy may be stored after another process was told that its token was replaced: what a Set
//     is ordered by is its event, as with what was stored before.
//
// That the mark goes too early, by its TTL or with a server, costs another question and nothing else.
func (s *Store) markQuestion(ctx context.Context, id session.ID) (mark string, err error) {
	key, mark, lasts := s.keys.Question(id), newVersion(), s.QuestionFor().Milliseconds()
	shared := redis.NewStringCmd(ctx, "set", key, mark, "nx", "get", "px", lasts)
	prolong := redis.NewBoolCmd(ctx, "pexpire", key, lasts) // one that is there is to outlive this question, too
	if err := s.writes.Do(ctx, shared, prolong); err != nil && !errors.Is(err, redis.Nil) {
		return "", unavailable(err)
	}
	other, err := shared.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", unavailable(err)
	}
	if err := prolong.Err(); err != nil {
		return "", unavailable(err)
	}
	return cmp.Or(other, mark), nil
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
	_, _, err := s.runScript(ctx, outdateScript, []string{s.keys.Session(id), s.keys.Question(id)}, []any{newVersion()})
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
		if old == nil {
			old = &session.Stored{Facts: session.Facts{ID: id, Expiration: session.Never}}
		}
		_, err = s.remove(ctx, old, reason, math.MaxUint64, true) // also one that is due, and that Redis has still
		if !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrNotFound) {
			return err
		}
	}
	return fmt.Errorf("%w: the session changes faster than it can be deleted", session.ErrUnavailable)
}
