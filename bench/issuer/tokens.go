package issuer

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// The kinds of tokens that are signed in advance.
const (
	Live = "live" // asked for again and again
	Cold = "cold" // shown once
)

// coldFrom is the number of the first cold token: no live one has its user.
const coldFrom = 100_000_000

// Tokens are access tokens that were signed in advance. They are safe for concurrent use.
type Tokens struct {
	text  []byte
	begin []int // of each token in text, and of what follows the last
	first int   // the number of the first

	taken atomic.Int64
}

// Len is how many there are.
func (t *Tokens) Len() int { return len(t.begin) - 1 }

// At returns token k, which must not be changed, and its number.
func (t *Tokens) At(k int) (token []byte, n int) {
	return t.text[t.begin[k] : t.begin[k+1]-1], t.first + k
}

// Take returns a token that Take has not returned before, or one that it has once all were taken.
func (t *Tokens) Take() (token []byte, n int) { return t.At(int(t.taken.Add(1)-1) % t.Len()) }

// Taken is how many tokens were taken, some of them twice if these are more than Len.
func (t *Tokens) Taken() int { return int(t.taken.Load()) }

func tokensFile(dir, algorithm, kind string) string {
	return filepath.Join(dir, strings.ToLower(algorithm)+"-"+kind+".jwt")
}

func firstOf(kind string) int {
	if kind == Cold {
		return coldFrom
	}
	return 0
}

// writeTokens signs so many tokens, and writes one on each line. It calls done for each.
func (i *Issuer) writeTokens(ctx context.Context, algorithm, kind string, count int, lifetime time.Duration, done func()) error {
	const batch = 1000 // at a time in memory
	f, err := os.OpenFile(tokensFile(i.dir, algorithm, kind), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, privateFileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<16)
	now := time.Now()
	for from := 0; from < count; from += batch {
		signed := make([]string, min(batch, count-from))
		group, ctx := errgroup.WithContext(ctx)
		for worker := range runtime.GOMAXPROCS(0) {
			group.Go(func() error {
				for k := worker; k < len(signed) && ctx.Err() == nil; k += runtime.GOMAXPROCS(0) {
					var err error
					if signed[k], err = i.AccessToken(algorithm, firstOf(kind)+from+k, now, lifetime); err != nil {
						return err
					}
					done()
				}
				return ctx.Err()
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for _, token := range signed {
			_, _ = w.WriteString(token)
			_ = w.WriteByte('\n') // Flush has the error
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// ReadTokens reads the first count tokens that bench issuer has signed in a directory; 0 reads all.
func ReadTokens(dir, algorithm, kind string, count int) (*Tokens, error) {
	if err := CheckAlgorithm(algorithm); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(tokensFile(dir, algorithm, kind))
	if err != nil {
		return nil, err
	}
	t := &Tokens{text: text, begin: []int{0}, first: firstOf(kind)}
	for at := 0; count == 0 || t.Len() < count; {
		line := bytes.IndexByte(text[at:], '\n')
		if line < 0 {
			break
		}
		at += line + 1
		t.begin = append(t.begin, at)
	}
	if t.Len() == 0 || t.Len() < count {
		return nil, fmt.Errorf("bench issuer has signed %d %s tokens by %s, fewer than %d", t.Len(), kind, algorithm, max(count, 1))
	}
	return t, nil
}
