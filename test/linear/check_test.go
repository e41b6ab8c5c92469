package linear

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// byHand is a history by hand, in milliseconds.
type byHand struct{ *History }

func (h byHand) op(from, to int, op Op) byHand {
	op.Session = "s"
	op.call = int64(from) * 1e6
	h.add(&op, int64(to)*1e6)
	return h
}

func (h byHand) lost(from int, op Op) byHand {
	op.Session = "s"
	op.call = int64(from) * 1e6
	h.Lose(&op)
	return h
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	const bound = 100 * time.Millisecond
	begin := func() byHand {
		return byHand{NewHistory()}.op(0, 10, Op{Kind: Create, Value: "a", NewToken: "t1"})
	}
	set := Op{Kind: Set, Value: "b", Sequence: 2, NewToken: "t2"}
	gone := Op{Kind: Delete, Sequence: 2}
	seen := func(sequence uint64, value string) Op {
		return Op{Kind: Get, Fresh: true, Process: 1, Sequence: sequence, Found: value}
	}
	cached := func(process int, op Op) Op {
		op.Fresh, op.Process = false, process
		return op
	}
	missing := Op{Kind: Get, Fresh: true, NotFound: true}
	for name, c := range map[string]struct {
		h     byHand
		right bool
	}{
		"a read after a write":                {begin().op(20, 30, set).op(40, 50, seen(2, "b")), true},
		"a stale fresh read":                  {begin().op(20, 30, set).op(40, 50, seen(1, "a")), false},
		"a read during a write, before":       {begin().op(20, 50, set).op(30, 40, seen(1, "a")), true},
		"a read during a write, after":        {begin().op(20, 50, set).op(30, 40, seen(2, "b")), true},
		"reads that go back":                  {begin().op(20, 60, set).op(30, 40, seen(2, "b")).op(45, 50, seen(1, "a")), false},
		"a delete":                            {begin().op(20, 30, gone).op(40, 50, missing), true},
		"a lost delete":                       {begin().op(20, 30, gone).op(40, 50, seen(1, "a")), false},
		"a delete that says there is nothing": {begin().op(20, 30, Op{Kind: Delete}).op(40, 50, seen(1, "a")), false},
		"a delete of another version":         {begin().op(20, 30, Op{Kind: Delete, Sequence: 3}), false},
		"not found, but it is there":          {begin().op(40, 50, missing), false},
		"a lost update":                       {begin().op(20, 50, set).op(20, 50, Op{Kind: Set, Value: "c", Sequence: 2, NewToken: "t3"}), false},
		"two updates":                         {begin().op(20, 50, set).op(20, 50, Op{Kind: Set, Value: "c", Sequence: 3, NewToken: "t3"}), true},
		"a set of what is deleted":            {begin().op(20, 30, gone).op(40, 50, Op{Kind: Set, NotFound: true}), true},
		"a set revives":                       {begin().op(20, 30, gone).op(40, 50, set), false},
		"a late put revives":                  {begin().op(20, 30, gone).op(40, 50, Op{Kind: Put, Asked: 2, Value: "c", Created: true}), false},
		"a late put is refused":               {begin().op(20, 30, gone).op(40, 50, Op{Kind: Put, Asked: 2, Value: "c", Refused: true}), true},
		"a put after a delete":                {begin().op(20, 30, gone).op(40, 50, Op{Kind: Put, Asked: 3, Value: "c", Created: true}).op(60, 70, seen(3, "c")), true},
		"a put is refused for nothing":        {begin().op(40, 50, Op{Kind: Put, Asked: 3, Value: "c", Refused: true}), false},
		"a lost set is seen late":             {begin().lost(20, set).op(40, 50, seen(1, "a")).op(60, 70, seen(2, "b")), true},
		"a lost set is never seen":            {begin().lost(20, set).op(40, 50, seen(1, "a")), true},
		"a lost set is seen before it began":  {begin().lost(20, set).op(12, 15, seen(2, "b")), false},
		"a lost set goes away again":          {begin().lost(20, set).op(40, 50, seen(2, "b")).op(60, 70, seen(1, "a")), false},
		"a lost delete happens late":          {begin().lost(20, gone).op(40, 50, seen(1, "a")).op(60, 70, missing), true},
		"a copy within the bound":             {begin().op(20, 30, set).op(120, 125, cached(1, seen(1, "a"))), true},
		"a copy beyond the bound":             {begin().op(20, 30, set).op(140, 150, cached(1, seen(1, "a"))), false},
		"a copy where it was written":         {begin().op(20, 30, set).op(40, 50, cached(0, seen(1, "a"))), false},
		"a revoked session within the bound":  {begin().op(20, 30, gone).op(120, 125, Op{Kind: Verify, Token: "t1", Process: 1}), true},
		"a revoked session beyond the bound":  {begin().op(20, 30, gone).op(140, 150, Op{Kind: Verify, Token: "t1", Process: 1}), false},
		"a copy of another's write after own": {begin().op(20, 30, set).op(31, 35, Op{Kind: Set, Process: 1, Value: "c", Sequence: 3, NewToken: "t3"}).op(40, 50, cached(0, seen(2, "b"))), true},
		"a copy before what it found":         {begin().op(20, 30, gone).op(40, 50, Op{Kind: Set, Process: 1, NotFound: true}).op(60, 70, cached(1, seen(1, "a"))), false},
		"a copy that is older than own put":   {begin().op(20, 30, Op{Kind: Put, Asked: 5, Value: "c", Process: 1}).op(40, 50, cached(1, seen(1, "a"))), false},
		"own session is not found":            {begin().op(20, 30, gone).op(40, 50, Op{Kind: Put, Asked: 5, Value: "c", Created: true}).op(60, 70, cached(0, missing)), false},
		"own session is deleted by another":   {begin().op(20, 30, set).op(40, 50, Op{Kind: Delete, Process: 1, Sequence: 3}).op(60, 70, cached(0, missing)), true},
		"a revoked session where it was":      {begin().op(20, 30, gone).op(40, 50, Op{Kind: Verify, Token: "t1"}), false},
		"a good token is refused":             {begin().op(40, 50, Op{Kind: Verify, Token: "t1", Denied: true}), false},
		"an old token is refused":             {begin().op(20, 30, set).op(40, 50, Op{Kind: Verify, Token: "t1", Process: 1, Denied: true}), true},
		"an old token":                        {begin().op(20, 30, set).op(40, 50, Op{Kind: Get, Fresh: true, Token: "t1", Sequence: 2, Found: "b"}), false},
		"an old token is denied":              {begin().op(20, 30, set).op(40, 50, Op{Kind: Get, Fresh: true, Token: "t1", Denied: true}), true},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.h.Check(bound, time.Minute)
			if (err == nil) != c.right {
				t.Errorf("got %v; it is right: %v", err, c.right)
			}
			if err == nil {
				return
			}
			if _, page, drawn := strings.Cut(err.Error(), "\nsee "); drawn {
				text, err := os.ReadFile(page)
				if err != nil || !strings.Contains(string(text), "by process") {
					t.Errorf("there is no picture of it: %v", err)
				}
				if err := os.RemoveAll(filepath.Dir(page)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
