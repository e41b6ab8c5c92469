package zlist

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// TestI9_ListGivesWhatStaysExactlyOnce reads long lists while elements come
// and go before, behind and at the place that is read.
func TestI9_ListGivesWhatStaysExactlyOnce(t *testing.T) {
	rdb := redistest.Start(t).Client(t)
	ctx := t.Context()
	const stable = 1200
	for _, ties := range []int{1, 400, stable} { // how many elements have one score
		for _, desc := range []bool{false, true} {
			for i, churn := range []int{0, 1, 150, 0, 150} { // elements that come or go every 100 elements read
				wanted := int64(i / 3 * 4 * stable) // so that several chunks are read at once, or not
				t.Run(fmt.Sprintf("ties=%d/desc=%v/churn=%d/wanted=%d", ties, desc, churn, wanted), func(t *testing.T) {
					r := rand.New(rand.NewPCG(uint64(ties), uint64(churn)))
					key := "list"
					rdb.Del(ctx, key)
					score := func(i int) float64 { return float64(1000 + i/ties) }
					pipe := rdb.Pipeline()
					for i := range stable {
						pipe.ZAdd(ctx, key, redis.Z{Score: score(i), Member: fmt.Sprintf("stable%05d", i)})
						pipe.ZAdd(ctx, key, redis.Z{Score: score(r.IntN(stable)), Member: fmt.Sprintf("early%05d", i)})
					}
					pipe.ZAdd(ctx, key, redis.Z{Score: 5, Member: "outside"}, redis.Z{Score: 1e6, Member: "outside too"})
					exec(t, pipe)

					l := &List{Redis: rdb, Key: key, Range: Range{999, 9999}, Desc: desc, Wanted: wanted}
					given := map[string]bool{}
					var last Entry
					come := 0
					for read := 0; ; read++ {
						if churn > 0 && read%100 == 0 {
							for range churn {
								pipe.ZRem(ctx, key, fmt.Sprintf("early%05d", r.IntN(stable)))
								come++
								pipe.ZAdd(ctx, key, redis.Z{Score: score(r.IntN(stable)), Member: fmt.Sprintf("late%d", come)})
								// What was read last goes, unless it is to stay.
								if len(last.Member) > 0 && last.Member[0] != 's' {
									pipe.ZRem(ctx, key, last.Member)
								}
							}
							exec(t, pipe)
						}
						e, ok, err := l.Next(ctx)
						if err != nil {
							t.Fatal(err)
						}
						if !ok {
							break
						}
						if given[e.Member] {
							t.Fatalf("%s was given twice", e.Member)
						}
						if read > 0 && l.Before(e, last) {
							t.Fatalf("%v comes after %v", e, last)
						}
						given[e.Member], last = true, e
					}
					for i := range stable {
						if !given[fmt.Sprintf("stable%05d", i)] {
							t.Fatalf("element %d of %d was not given, though it was there all the time", i, stable)
						}
					}
					if given["outside"] || given["outside too"] {
						t.Error("an element outside the dates was given")
					}
				})
			}
		}
	}
}

func exec(t *testing.T, pipe redis.Pipeliner) {
	t.Helper()
	if _, err := pipe.Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
}
