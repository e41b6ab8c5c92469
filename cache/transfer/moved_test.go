package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/eventually"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/redis/go-redis/v9"
)

// A deletion whose tombstone has expired since the export still deletes an older version, which an earlier import has left.
func TestImport_DeletesAlsoByAnExpiredTombstone(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 4)
	for _, id := range []session.ID{"deleted", "newer", "unknown"} {
		a.put(t, &session.Session{ID: id, CreationDate: 1, ChangeDate: 1, Sequence: 3, ExpirationDate: session.Never})
	}
	_, lines := a.export(t)
	b.take(t, strings.ReplaceAll(lines, `"unknown"`, `"other"`))
	b.put(t, &session.Session{ID: "newer", CreationDate: 1, ChangeDate: 1, Sequence: 9, ExpirationDate: session.Never})
	for _, id := range []session.ID{"deleted", "newer", "unknown"} {
		a.delete(t, id)
	}
	_, lines = a.export(t)
	lines = regexp.MustCompile(`"until":"[^"]*"`).ReplaceAllString(lines, `"until":"2020-01-01T00:00:00Z"`)
	if done := b.take(t, lines); done.DeletionsApplied != 1 || done.DeletionsKnown != 2 {
		t.Errorf("imported %+v", done)
	}
	for id, want := range map[session.ID]uint64{"deleted": 0, "newer": 9, "other": 3} {
		if stored, err := b.GetFresh(t.Context(), id); sequenceOf(stored) != want {
			t.Errorf("%s: sequence %d, want %d; %v", id, sequenceOf(stored), want, err)
		}
	}
	b.fits(t)
}

// A version that has expired between export and import ends the older version, which would have lived longer.
func TestImport_EndsASessionWhoseNewerVersionHasExpired(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 1)
	expires := a.Now().Add(300 * time.Millisecond)
	for id, there := range map[session.ID]uint64{"older": 3, "newer": 5} {
		b.put(t, &session.Session{ID: id, CreationDate: 1, ChangeDate: 1, Sequence: there, ExpirationDate: session.Never})
	}
	for _, id := range []string{"older", "newer", "absent"} {
		a.put(t, &session.Session{ID: session.ID(id), CreationDate: 1, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never})
	}
	_, lines := a.export(t)
	lines = strings.ReplaceAll(lines, `"sequence":"4"`, fmt.Sprintf(`"sequence":"4","expirationDate":%q`, expires.Std().Format(time.RFC3339Nano)))
	eventually.Holds(t, "expiration", func() bool { return b.Now() > expires })
	if done := b.take(t, lines); done.Stored != 0 || done.Expired+done.Older != 3 {
		t.Errorf("imported %+v", done)
	}
	for id, want := range map[session.ID]uint64{"older": 0, "newer": 5, "absent": 0} {
		if stored, err := b.GetFresh(t.Context(), id); sequenceOf(stored) != want {
			t.Errorf("%s: sequence %d, want %d; %v", id, sequenceOf(stored), want, err)
		}
	}
	b.fits(t)
}

// A session that gets a later creation date while it is read is exported at its new place: at the old one, an export that
// is resumed would leave out what is between. One whose entry has a wrong date is exported all the same.
func TestExport_WritesASessionAtItsNewPlace(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 1)
	for i := range 5 {
		a.put(t, &session.Session{ID: session.ID(fmt.Sprint(i)), CreationDate: session.Time(1000 + i), ChangeDate: 1, Sequence: 3, ExpirationDate: session.Never})
	}
	if err := rdb.ZAdd(t.Context(), a.keys.Created(0), redis.Z{Score: 5, Member: "3"}).Err(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	_, lines := a.export(t, func(c *ExportConfig) {
		c.Progress = func(ExportProgress) {
			once.Do(func() {
				a.put(t, &session.Session{ID: "1", CreationDate: 2000, ChangeDate: 1, Sequence: 4, ExpirationDate: session.Never})
			})
		}
	})
	var ids []string
	for _, match := range regexp.MustCompile(`(?m)^{"id":"(.)"`).FindAllStringSubmatch(lines, -1) {
		ids = append(ids, match[1])
	}
	if got := strings.Join(ids, " "); got != "0 2 4 3 1" {
		t.Errorf("the sessions %s", got)
	}
}

// An export that takes longer than deletions are remembered may lack some, and says so.
func TestExport_MustNotTakeLongerThanDeletionsAreRemembered(t *testing.T) {
	t.Parallel()
	a := open(t, redistest.Start(t).Client(t), "a:", 1)
	e, err := newExporter(t.Context(), &ExportConfig{Redis: a.rdb, Prefix: "a:", To: new(file)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.once(t.Context()); err != nil {
		t.Error(err)
	}
	e.begun = e.begun.Add(-resumeFor - time.Second)
	if err := e.once(t.Context()); !errors.Is(err, ErrTooLong) {
		t.Errorf("got %v", err)
	}
}

// Long lines are not read ahead by the hundred.
func TestImport_ReadsAheadALimitedNumberOfBytes(t *testing.T) {
	t.Parallel()
	lines := bytes.Repeat(append(bytes.Repeat([]byte("x"), 100_000), '\n'), 40)
	i := &importer{ImportConfig: &ImportConfig{From: bytes.NewReader(lines), MaxSessionBytes: 1 << 20}}
	ordered, undecoded := make(chan *chunk, 40), make(chan *chunk, 40)
	if err := i.read(t.Context(), ordered, undecoded); err != nil {
		t.Fatal(err)
	}
	n := 0
	for len(ordered) > 0 {
		c := <-ordered
		if n += len(c.lines); len(c.texts) > chunkBytes+100_000 {
			t.Errorf("a chunk has %d lines with %d bytes", len(c.lines), len(c.texts))
		}
	}
	if n != 40 {
		t.Errorf("%d lines", n)
	}
}
