package deadline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A Context does what context.WithTimeout does, whatever is asked of it, in
// whatever order.
func TestContext_IsAContext(t *testing.T) {
	type contextKey struct{}
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.SliceOf(rapid.SampledFrom([]string{
			"err", "done", "deadline", "child", "cause", "value", "wait", "wait", "wait", "end", "end parent", "end child",
		})).Draw(r, "steps")
		ownDeadline := rapid.Bool().Draw(r, "the parent has a deadline")
		synctest.Test(t, func(t *testing.T) {
			base := context.WithValue(t.Context(), contextKey{}, "value")
			if ownDeadline {
				var cut context.CancelFunc
				base, cut = context.WithTimeout(base, 4*time.Second)
				defer cut()
			}
			parent, endParent := context.WithCancel(base)
			defer endParent()
			late := Lazy(parent, time.Now().Add(5*time.Second))
			defer late.End()
			plain, endPlain := context.WithTimeout(parent, 5*time.Second)
			defer endPlain()
			// Each has as many children as were asked for, which end with it.
			type children struct {
				ctx context.Context
				end context.CancelFunc
			}
			var lates, plains []children
			overdue := false // the deadline has passed, and nobody has seen it
			for _, step := range steps {
				switch step {
				case "err":
					if got, want := late.Err(), plain.Err(); got != want && !(overdue && got == context.Canceled) {
						t.Errorf("%v: Err is %v, want %v", steps, got, want)
					}
				case "done":
					if got, want := isDone(late), isDone(plain); got != want {
						t.Errorf("%v: done is %v, want %v", steps, got, want)
					}
				case "deadline":
					got, has := late.Deadline()
					if want, _ := plain.Deadline(); !has || !got.Equal(want) {
						t.Errorf("%v: the deadline is %v, want %v", steps, got, want)
					}
				case "cause":
					if got, want := context.Cause(late), plain.Err(); got != want && !(overdue && got == context.Canceled) {
						t.Errorf("%v: the cause is %v, want %v", steps, got, want)
					}
				case "value":
					if late.Value(contextKey{}) != "value" || late.Value("none") != nil {
						t.Errorf("%v: values are lost", steps)
					}
				case "child":
					ctx, end := context.WithCancel(late)
					lates = append(lates, children{ctx, end})
					ctx, end = context.WithCancel(plain)
					plains = append(plains, children{ctx, end})
					defer end()
					defer lates[len(lates)-1].end()
				case "wait":
					<-time.After(3 * time.Second) // Of the test's own clock
				case "end":
					overdue = overdue || plain.Err() != nil && late.timed == nil
					late.End()
					endPlain()
				case "end parent":
					overdue = overdue || plain.Err() != nil && late.timed == nil
					endParent()
				case "end child":
					for i := range lates {
						lates[i].end()
						plains[i].end()
					}
				}
				synctest.Wait()
				for i := range lates {
					if got, want := isDone(lates[i].ctx), isDone(plains[i].ctx); got != want {
						t.Errorf("%v: a child is done: %v, want %v", steps, got, want)
					}
				}
			}
			if (late.Err() != nil) != isDone(late) {
				t.Errorf("%v: Err and Done disagree", steps)
			}
			if first := late.Err(); first != nil {
				endParent()
				late.End()
				if late.Err() != first {
					t.Errorf("%v: Err was %v and is %v", steps, first, late.Err())
				}
			}
		})
	})
}

func isDone(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// The deadline counts, also where nobody has waited for it.
func TestContext_EndsUnwatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Lazy(t.Context(), time.Now().Add(time.Second))
		defer c.End()
		<-time.After(time.Second - 1) // Of the test's own clock
		if err := c.Err(); err != nil {
			t.Errorf("Err is %v before the deadline", err)
		}
		<-time.After(1)
		if err := c.Err(); err != context.DeadlineExceeded || !isDone(c) {
			t.Errorf("Err is %v at the deadline", err)
		}
	})
}

// A goroutine that holds a Context beyond its call is told that the call has ended,
// however the two meet.
func TestContext_OutlivesItsCall(t *testing.T) {
	for range 1000 {
		c := Lazy(context.Background(), time.Now().Add(time.Hour))
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				_ = c.Err()
				child, end := context.WithCancel(c)
				defer end()
				<-child.Done()
				if err := c.Err(); !errors.Is(err, context.Canceled) {
					t.Errorf("Err is %v after the end", err)
				}
			})
		}
		c.End()
		waiting.Wait()
	}
}

// A call that nobody waits for has no timer.
func TestContext_Allocations(t *testing.T) {
	parent := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		c := Lazy(parent, time.Now().Add(time.Hour))
		if c.Err() != nil {
			t.Error(c.Err())
		}
		c.End()
	}); n > 1 && !raceEnabled {
		t.Errorf("%v allocations, want 1", n)
	}
}
