package scenario

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

const (
	// MostCreated is how many sessions of CreateSession a run can know.
	MostCreated = 1_000_000
	// createdLifetime is what they are created with: nobody deletes them.
	createdLifetime = "43200s"
	// mostText is the longest ID or token that is taken.
	mostText = 4096
)

// Session is a session that CreateSession has made: what of it is known.
type Session struct {
	ID     string `json:"id"`
	Token  string `json:"token"`
	UserID string `json:"userId"`
}

// Created are sessions that CreateSession has made, in the order in which they were asked for. They are safe for concurrent use.
type Created struct {
	Sessions []Session
	// ofUser has the IDs of each user's sessions, the oldest first.
	ofUser map[string][]string
	// cold is how many were taken of those that are asked for once.
	cold atomic.Int64
}

func newCreated(sessions []Session) *Created {
	c := &Created{Sessions: sessions, ofUser: map[string][]string{}}
	for i := range sessions {
		c.ofUser[sessions[i].UserID] = append(c.ofUser[sessions[i].UserID], sessions[i].ID)
	}
	return c
}

// Creation says what sessions to create.
type Creation struct {
	// Count is how many, UserIDs whose: one after the other.
	Count   int
	UserIDs []string
	// Password is that of all users, which is checked then; "" is none.
	Password string
	// Connections is over how many it asks.
	Connections int
}

// Create creates sessions by CreateSession. done is called with how many there are, now and then, by several goroutines. If it fails, it
// returns those that were created until then, too.
func (w *Creation) Create(ctx context.Context, target load.Endpoint, c Config, done func(int)) (*Created, error) {
	switch {
	case w.Count < 1 || w.Count > MostCreated:
		return nil, fmt.Errorf("sessions to create must be between 1 and %d, not %d", MostCreated, w.Count)
	case len(w.UserIDs) == 0:
		return nil, errors.New("there are no user IDs to create sessions of")
	}
	sessions := make([]Session, w.Count)
	var next, created atomic.Int64
	var asking sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for range max(w.Connections, 1) {
		asking.Go(func() {
			caller, err := NewCaller(ctx, target, c)
			if err != nil {
				cancel(err)
				return
			}
			defer caller.Close()
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= w.Count {
					return
				}
				user := w.UserIDs[i%len(w.UserIDs)]
				if sessions[i], err = w.one(caller, user); err != nil {
					cancel(fmt.Errorf("a session of user %s: %w", user, err))
					return
				}
				done(int(created.Add(1)))
			}
		})
	}
	asking.Wait()
	kept := slices.DeleteFunc(sessions, func(s Session) bool { return s.ID == "" })
	return newCreated(kept), context.Cause(ctx)
}

// one creates a session.
func (w *Creation) one(caller *Caller, user string) (Session, error) {
	body, err := createBody(user, w.Password)
	if err != nil {
		return Session{}, err
	}
	a, err := caller.Call("POST", "/v2/sessions", string(body))
	if err != nil {
		return Session{}, err
	}
	if a.Status != 201 {
		return Session{}, fmt.Errorf("status %d: %.200s", a.Status, a.Body)
	}
	s := Session{UserID: user}
	s.ID, s.Token, err = createdText(a.Body)
	return s, err
}

// createBody is a CreateSession of a user.
func createBody(user, password string) ([]byte, error) {
	type check map[string]string
	checks := map[string]check{"user": {"userId": user}}
	if password != "" {
		checks["password"] = check{"password": password}
	}
	return json.Marshal(map[string]any{
		"checks": checks, "metadata": map[string]string{"client": "YmVuY2g="}, "lifetime": createdLifetime,
		"userAgent": map[string]string{"fingerprintId": "bench-" + user, "ip": "203.0.113.7", "description": "bench"},
	})
}

// createdText takes ID and token from an answer to a create, whatever form the token has.
func createdText(body []byte) (id, token string, err error) {
	var said struct{ SessionID, SessionToken string }
	if err := json.Unmarshal(body, &said); err != nil {
		return "", "", err
	}
	if !sendable(said.SessionID) || !sendable(said.SessionToken) {
		return "", "", fmt.Errorf("no session ID, or no token, in %d bytes of an answer", len(body)) // the token is a secret
	}
	return said.SessionID, said.SessionToken, nil
}

// sendable says whether a text may stand in a path, a query and a header as it is, as IDs and tokens do.
func sendable(text string) bool {
	return text != "" && len(text) <= mostText && !strings.ContainsFunc(text, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c))
	})
}

// Write writes the sessions to a file that nobody else can read, for it has their tokens: a JSON object on each line. A file of that
// name is replaced.
func (c *Created) Write(file string) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".bench-sessions-*") // with mode 0600
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	lines := json.NewEncoder(w)
	for i := range c.Sessions {
		if err == nil {
			err = lines.Encode(&c.Sessions[i])
		}
	}
	err = errors.Join(err, w.Flush(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// ReadCreated reads what Write has written.
func ReadCreated(file string) (*Created, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var sessions []Session
	for lines := json.NewDecoder(bufio.NewReader(f)); ; {
		var s Session
		err := lines.Decode(&s)
		switch {
		case errors.Is(err, io.EOF) && len(sessions) == 0:
			return nil, fmt.Errorf("%s has no sessions", file)
		case errors.Is(err, io.EOF):
			return newCreated(sessions), nil
		case err == nil && (!sendable(s.ID) || !sendable(s.Token) || !sendable(s.UserID)):
			err = errors.New("an ID or a token is missing, or cannot be one")
		case len(sessions) == MostCreated:
			err = fmt.Errorf("more than %d sessions", MostCreated)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: session %d: %w", file, len(sessions)+1, err)
		}
		sessions = append(sessions, s)
	}
}

// ReadUserIDs reads a file of user IDs, one on each line.
func ReadUserIDs(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(string(text))
	for i, id := range ids {
		if !sendable(id) {
			return nil, fmt.Errorf("%s: %.40q, the ID number %d, cannot be one", file, id, i+1)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s has no user IDs", file)
	}
	return ids, nil
}

// warmCreated has each of the first n sessions verified and read once, so that copies are there.
func warmCreated(ctx context.Context, target load.Endpoint, config Config, n int) error {
	var asking sync.WaitGroup
	errs := make([]error, verifyAsks)
	for first := range errs {
		asking.Go(func() {
			c, err := NewCaller(ctx, target, config)
			if err != nil {
				errs[first] = err
				return
			}
			defer c.Close()
			k := newKnown(config)
			for i := first; i < n && errs[first] == nil; i += verifyAsks {
				errs[first] = cmp.Or(k.askOnce(c, verifies, i), k.askOnce(c, gets, i))
			}
		})
	}
	asking.Wait()
	return cmp.Or(errs...)
}
