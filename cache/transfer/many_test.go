package transfer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/frames"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/samples"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// manyVariable says how many sessions TestMove_Many moves.
const manyVariable = "CLOAKROOM_MOVE_SESSIONS"

// Many sessions go out and in, compressed, and nothing is missing or changed; `make move` does a million, and tells rates.
func TestMove_Many(t *testing.T) {
	n := 3000
	if text := os.Getenv(manyVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	rdb := redistest.Start(t, "hash-max-listpack-value 4096").Client(t)
	a, b := open(t, rdb, "a:", 1), open(t, rdb, "b:", 4)
	begun := time.Now()
	tell := func(what string) {
		t.Helper()
		took := time.Since(begun)
		t.Logf("%s: %d sessions in %v, %.0f a second", what, n, took.Round(time.Millisecond), float64(n)/took.Seconds())
		begun = time.Now()
	}
	a.take(t, string(manyLines(a.Now(), n)))
	tell("import into an empty store")
	for _, f := range []frames.Format{frames.Plain, frames.Gzip, frames.Zstd} {
		var to bytes.Buffer
		w, err := frames.NewWriter(&to, f)
		if err != nil {
			t.Fatal(err)
		}
		begun = time.Now()
		done, err := Export(t.Context(), ExportConfig{Redis: rdb, Prefix: "a:", To: w})
		if err != nil || done.Sessions != uint64(n) {
			t.Fatalf("%+v, %v", done, err)
		}
		tell(fmt.Sprintf("export, %s, %d MB", f, to.Len()/1e6))
		r, err := frames.NewReader(&to)
		if err != nil {
			t.Fatal(err)
		}
		c := b.importConfig(t, "")
		c.From = r
		imported, err := Import(t.Context(), c)
		if err != nil || imported.Stored+imported.Unchanged != uint64(n) || (imported.Unchanged > 0) != (f != frames.Plain) {
			t.Fatalf("%+v, %v", imported, err)
		}
		tell(fmt.Sprintf("import into 4 shards, %d unchanged", imported.Unchanged))
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	same(t, a, b)
}

// manyLines is an export of n sessions.
func manyLines(now session.Time, n int) []byte {
	all := samples.Sessions(now)
	r := rand.New(rand.NewPCG(1, 18))
	lines := appendSpecial(nil, &special{Header: &Header{Version: formatVersion, Date: now.Std(), Sessions: uint64(n)}})
	for i := range n {
		it := *all[i%len(all)]
		it.CreationDate -= session.Time(r.Int64N(1e12))
		it.ID = session.ID(strconv.FormatInt(int64(it.CreationDate/1000)<<20|int64(i&0xfffff), 10))
		user, agent := *it.Factors.User, fmt.Sprintf("%032x", i/2)
		user.ID = strconv.Itoa(218480890961985793 + i/5*65537)
		it.Factors.User, it.UserAgent.FingerprintID = &user, &agent
		_, it.Token = session.NewToken(it.ID)
		it.TokenForeign = i%10 == 0
		stored := session.Stored{Doc: session.AppendJSON(nil, &it), Facts: it.Facts(), Token: it.Token, TokenForeign: it.TokenForeign}
		lines = append(session.AppendGivenJSON(lines, &stored), '\n')
	}
	return appendSpecial(lines, &special{Trailer: &Trailer{Counts{Sessions: uint64(n)}, now.Std()}})
}
