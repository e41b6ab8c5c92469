package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// An import over several shards whose connections to Redis are cut again and
// again, and which is sent until it succeeds, leaves every session once: in
// every total, and, when what was cut off has been swept, in every list. (I5)
func TestI5_ImportCut(t *testing.T) {
	t.Parallel()
	const users, agents, creators = 7, 5, 3
	sessions := testdepth.Of(2000, 1000)
	f := newFixture(t, withShards(4), func(s *setup) { s.limits.patience = time.Nanosecond })
	line := func(i int) string {
		return fmt.Sprintf(`{"id":"s%d","sequence":"1","creator":"c%d","factors":{"user":{"id":"u%d"}},"userAgent":{"fingerprintId":"a%d"}}`+"\n",
			i, i%creators, i%users, i%agents)
	}
	// The import is written line by line; at some lines all connections are cut,
	// or the next reply is lost, or a write ends in its middle. Further attempts
	// are cut at other lines, the last ones at none.
	cutAttempts := testdepth.Of(7, 4)
	cuts, refused := 0, 0
	for attempt := 0; ; attempt++ {
		out, answered := f.beginImport()
		for i := range sessions {
			if _, err := io.WriteString(out, line(i)); err != nil {
				break // the import has ended
			}
			if attempt < cutAttempts && i%200 == 100+attempt*13 {
				cuts++
				switch cuts % 3 {
				case 0:
					f.proxy.CutAll()
				case 1:
					f.proxy.DropReplies()
				case 2:
					f.proxy.CutAfter(37 * cuts)
				}
			}
		}
		out.Close()
		r := <-answered
		if r.status == http.StatusOK && attempt >= cutAttempts {
			if !strings.HasPrefix(r.body, `{"stored":`+strconv.Itoa(sessions)+`,`) {
				t.Fatalf("the last import: %.300s", r.body)
			}
			break
		}
		if r.status != http.StatusOK && r.status != http.StatusServiceUnavailable || attempt > 3*cutAttempts {
			t.Fatalf("import %d: %d %.300s", attempt, r.status, r.body)
		}
		if r.status == http.StatusServiceUnavailable {
			refused++
		}
	}
	t.Logf("%d cuts, %d imports ended early", cuts, refused)

	totals := func() {
		t.Helper()
		total := func(body string, want int) {
			t.Helper()
			if ids, got := f.search("admin", body); got != want || len(unique(ids)) != len(ids) {
				t.Errorf("%s: %d in total, %d on the page, %d of them different; want %d", body, got, len(ids), len(unique(ids)), want)
			}
		}
		total(`{}`, sessions)
		for _, by := range []struct {
			n     int
			query string
		}{
			{users, `{"queries":[{"userIdQuery":{"id":"u%d"}}]}`},
			{agents, `{"queries":[{"userAgentQuery":{"fingerprintId":"a%d"}}]}`},
			{creators, `{"queries":[{"creatorQuery":{"id":"c%d"}}]}`},
		} {
			for k := range by.n {
				total(fmt.Sprintf(by.query, k), (sessions-k+by.n-1)/by.n)
			}
		}
	}
	totals()
	f.advance(2 * time.Minute) // past the time of a write
	if _, err := f.store.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wantEntriesOnce(t, sessions)
	totals()
}

// wantEntriesOnce checks that each of the sessions s0, s1, … has exactly one
// entry in the lists of each kind, and that no write is noted as under way.
func (f *fixture) wantEntriesOnce(t *testing.T, sessions int) {
	t.Helper()
	client := f.redis.Client(t)
	for _, kind := range []string{"u", "a", "t", "x", "c", "p"} {
		found := map[string]int{}
		entries := 0
		for key := range f.keysOf(t, kind) {
			members, err := client.ZRange(context.Background(), key, 0, -1).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				id := string(index.MemberID(m))
				if kind == "x" {
					card, err := index.UnpackCard(m)
					if err != nil {
						t.Fatal(err)
					}
					id = string(card.ID)
				}
				found[id]++
				entries++
			}
		}
		want := sessions
		if kind == "p" {
			want = 0
		}
		if entries != want || len(found) != want {
			t.Errorf("%s: %d entries of %d sessions, want %d", kind, entries, len(found), want)
		}
		for i := range want {
			if id := fmt.Sprintf("s%d", i); found[id] != 1 {
				t.Errorf("%s: %s has %d entries", kind, id, found[id])
			}
		}
	}
}

// keysOf returns the keys of one kind.
func (f *fixture) keysOf(t *testing.T, kind string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	iter := f.redis.Client(t).Scan(context.Background(), 0, "cr:"+kind+":*", 1000).Iterator()
	for iter.Next(context.Background()) {
		found[iter.Val()] = true
	}
	if err := iter.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func unique(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}
