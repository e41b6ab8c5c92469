package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/cache"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/session"
	"golang.org/x/sync/errgroup"
)

// sampleWriters is how many samples are stored at a time.
const sampleWriters = 8

// dev is the subcommand: serve, with samples and with what to paste.
func dev(ctx context.Context, p *program) error { return start(ctx, p, showcase) }

// showcase fills an empty store with samples and prints what to try. A store
// that has sessions already is left as it is.
func showcase(ctx context.Context, s *sidecar, store *cache.Store) error {
	newest, err := newestSession(ctx, store)
	if err == nil && newest == nil {
		if err = fill(ctx, store); err == nil {
			s.log.Info("sample sessions stored", "sessions", sampleSessions, "users", sampleUsers)
			newest, err = newestSession(ctx, store)
		}
	} else if err == nil {
		s.log.Info("the store has sessions already: no samples added")
	}
	if ctx.Err() != nil {
		return nil // stopped meanwhile
	}
	if err != nil {
		return fmt.Errorf("sample sessions: %w", err)
	}
	if newest == nil {
		return fmt.Errorf("sample sessions: another process deleted them")
	}
	if err := printTries(s.p.stdout, s.tries(newest, store.Now())); err != nil {
		s.log.Warn("nobody reads what could be tried", "error", err)
	}
	return nil
}

// newestSession returns a young session to show, one of the user with most of
// the youngest sessions; nil if there is no session.
func newestSession(ctx context.Context, store *cache.Store) (*session.Stored, error) {
	page, err := store.Search(ctx, &index.Query{Sees: index.Sees{All: true}, Limit: 100})
	if err != nil || len(page.Sessions) == 0 {
		return nil, err
	}
	best, count := page.Sessions[0], map[string]int{}
	for _, s := range page.Sessions {
		if s.UserID != "" {
			count[s.UserID]++
		}
	}
	for _, s := range page.Sessions {
		if count[s.UserID] > count[best.UserID] {
			best = s
		}
	}
	return best, nil
}

// fill stores the samples.
func fill(ctx context.Context, store *cache.Store) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(sampleWriters)
	for _, s := range samples(store.Now()) {
		g.Go(func() error { return store.Put(ctx, s, nil) })
	}
	return g.Wait()
}

// try is a line to paste.
type try struct{ what, line string }

// tries are three calls that work: the search of the API's documentation, a
// user's sessions since yesterday, one session.
func (s *sidecar) tries(newest *session.Stored, now session.Time) []try {
	curl, base := "curl -s", "http://"+listen.AddressOf(s.http)
	if path, unix := strings.CutPrefix(listen.AddressOf(s.http), "unix:"); unix {
		curl, base = "curl -s --unix-socket "+shellQuote(path), "http://localhost"
	}
	if !s.c.API.Anonymous {
		curl += ` -H "Authorization: Bearer $API_KEY"`
	}
	since := min(now.Add(-24*time.Hour), newest.Creation).Std().Truncate(time.Second)
	search := fmt.Sprintf(`{"query":{"asc":false,"limit":10},"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE","queries":[`+
		`{"userIdQuery":{"id":%q}},{"creationDateQuery":{"creationDate":%q,"method":"TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS"}}]}`,
		newest.UserID, since.Format(time.RFC3339))
	post := curl + " -X POST " + base + "/v2/sessions/search -H 'Content-Type: application/json' -d "
	return []try{
		{"All sessions, newest first", post + "'{}'"},
		{"One user's sessions since yesterday, newest first", post + shellQuote(search)},
		{"One session", curl + " " + base + "/v2/sessions/" + string(newest.ID)},
	}
}

// shellQuote quotes s for a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func printTries(w io.Writer, all []try) error {
	var b strings.Builder
	b.WriteString("\nTry (Ctrl-C ends it):\n")
	for _, t := range all {
		fmt.Fprintf(&b, "\n# %s\n%s\n", t.what, t.line)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
