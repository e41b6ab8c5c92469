package transfer

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// Wherever an export was cut off, going on with it gives the same lines as one that was not.
func TestResume_GivesWhatAnUncutExportGives(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 4)
	a.fill(t, 3, 120)
	done, whole := a.export(t)
	r := rand.New(rand.NewPCG(1, 1))
	ends := []int{0}
	for i, c := range whole {
		if c == '\n' {
			ends = append(ends, i+1)
		}
	}
	for n := range testdepth.Of(40, 10) {
		cut := ends[r.IntN(len(ends)-1)] // the last one is behind the trailer
		if n < 3 {
			cut = ends[n]
		}
		resume := new(Resume)
		good, read := 0, 0
		for line := range strings.Lines(whole[:cut]) {
			ok, err := resume.Add([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			if read += len(line); ok {
				good = read
			}
		}
		cut = good
		again, rest := a.export(t, func(c *ExportConfig) { c.Resume = resume })
		all := whole[:cut] + rest
		b := open(t, rdb, "b"+string(rune('a'+n%26))+string(rune('a'+n/26))+":", 1)
		b.take(t, all)
		same(t, a, b)
		if again.Sessions != done.Sessions || strings.Count(all, "\n{\"id\"") != strings.Count(whole, "\n{\"id\"") {
			t.Errorf("cut at %d: %+v, want %+v", cut, again, done)
		}
	}
}

// A resumed export has the deletion of a session that was exported before the interruption and deleted during it.
func TestResume_KnowsWhatWasDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 1)
	a.fill(t, 1, 50)
	_, whole := a.export(t)
	half := whole[:strings.Index(whole[len(whole)/3:], "}\n{\"id\"")+len(whole)/3+2]
	if strings.HasSuffix(half, "\"recreated\":true}}\n") {
		half = half[:strings.LastIndex(half[:len(half)-1], "\n")+1]
	}
	resume := new(Resume)
	if good, err := resume.Add([]byte(half)); err != nil || !good {
		t.Fatal(good, err)
	}
	id, _, _ := strings.Cut(half[strings.Index(half, "\n{\"id\":\"")+len("\n{\"id\":\""):], `"`)
	a.delete(t, session.ID(id))
	_, rest := a.export(t, func(c *ExportConfig) { c.Resume = resume })
	b.take(t, half+rest)
	same(t, a, b)
}

// Only an unfinished export of the same store is gone on with.
func TestResume_Refuses(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 4)
	a.fill(t, 3, 20)
	_, whole := a.export(t)
	header, _, _ := strings.Cut(whole, "\n")
	f := func(text, prefix, want string) {
		t.Helper()
		resume := new(Resume)
		_, err := resume.Add([]byte(text))
		if err == nil {
			_, err = Export(t.Context(), ExportConfig{Redis: rdb, Prefix: prefix, To: new(file), Resume: resume})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(whole, "a:", ErrComplete.Error())
	f("hello\n", "a:", "line 1: the first line must be the header")
	f(header+"\n{}\n{\"id\":", "a:", "line 3: ")
	f(strings.Replace(header, `"shards":4`, `"shards":2`, 1)+"\n", "a:", `the export to resume is of the key prefix "a:" with 2 shards`)
	f(strings.Replace(header, `"date":"20`, `"date":"19`, 1)+"\n", "a:", "deletions may have been forgotten")
	f(strings.Replace(header, `"sessions":`, `"follow":true,"sessions":`, 1)+"\n", "a:", "begin anew")
	open(t, rdb, "b:", 4)
	f(header+"\n", "b:", `the export to resume is of the key prefix "a:"`)
	if _, err := new(Resume).Add([]byte(whole + whole)); !errors.Is(err, ErrComplete) {
		t.Errorf("got %v", err)
	}
}

// An import that goes on at a line leaves out those before, and still knows whether any is missing.
func TestImport_GoesOnAtALine(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t).Client(t)
	a := open(t, rdb, "a:", 1)
	a.fill(t, 3, 60)
	_, whole := a.export(t)
	total := strings.Count(whole, "\n")
	for n, from := range []int{1, 2, 7, total / 2, total - 1, total, total + 1} {
		b := open(t, rdb, "b"+string(rune('a'+n))+":", 1)
		// The first part.
		c := b.importConfig(t, strings.Join(strings.SplitAfter(whole, "\n")[:from-1], ""))
		if _, err := Import(t.Context(), c); !errors.Is(err, ErrCutOff) && from <= total {
			t.Errorf("from %d: %v", from, err)
		}
		c = b.importConfig(t, whole)
		c.FromLine = uint64(from)
		done, err := Import(t.Context(), c)
		if err != nil || done.Lines != uint64(total) || from > 2 && done.Unchanged > 1 {
			t.Errorf("from %d: %+v, %v", from, done, err)
		}
		same(t, a, b)
	}
}

// Lines that are passed over do not count for the rate.
func TestImport_PassesOverLinesAtOnce(t *testing.T) {
	t.Parallel()
	a := open(t, redistest.Start(t).Client(t), "a:", 1)
	a.fill(t, 3, 300)
	_, whole := a.export(t)
	c := a.importConfig(t, whole)
	c.FromLine, c.Rate = uint64(strings.Count(whole, "\n")), 1
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a limiter refuses at once what would take longer
	defer cancel()
	if done, err := Import(ctx, c); err != nil || done.Unchanged > 0 {
		t.Errorf("got %+v, %v", done, err)
	}
}

// An import that cannot write says how far it came, and goes on from there.
func TestImport_SaysHowFarItCame(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 4)
	a.fill(t, 3, 500)
	_, whole := a.export(t)
	lines := strings.SplitAfter(whole, "\n")
	c := b.importConfig(t, "")
	broken := errors.New("broken")
	c.From = &breaking{strings.NewReader(strings.Join(lines[:len(lines)/2], "")), broken}
	done, err := Import(t.Context(), c)
	if !errors.Is(err, broken) || done.Lines == 0 {
		t.Fatalf("got %+v, %v", done, err)
	}
	c = b.importConfig(t, whole)
	c.FromLine = done.Lines + 1
	if _, err := Import(t.Context(), c); err != nil {
		t.Error(err)
	}
	same(t, a, b)
}

// breaking reads, and then fails.
type breaking struct {
	*strings.Reader
	err error
}

func (r *breaking) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil {
		err = r.err
	}
	return n, err
}
