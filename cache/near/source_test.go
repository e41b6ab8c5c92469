package near

import (
	"context"
	"errors"
	"testing"

	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Nobody gets an answer of a link if the session changes or the proofs end before it is given out. Then,
// and if the link fails, Redis is asked over an ordinary connection. (I3, I4)
func TestI4_WhatALinkAnswersHasToHold(t *testing.T) {
	older, newer := sessionOf("1", "u"), sessionOf("1", "u")
	older.Token, older.TokenForeign = session.HashToken("foreign"), true
	newer.Token, newer.TokenForeign, newer.Sequence = older.Token, true, 2
	down := errors.New("the link is down")
	for name, meanwhile := range map[string]func(n *Cache) error{
		"the proofs lapse":      func(n *Cache) error { n.fresh.lapse(); return nil },
		"the link ends":         func(n *Cache) error { n.epochs.unlink(); return nil },
		"everything is flushed": func(n *Cache) error { n.flush(); return nil },
		"it changes": func(n *Cache) error {
			n.invalidateKey([]byte(n.space.Session("1")))
			n.invalidateKey([]byte(n.space.Token(older.Token)))
			return nil
		},
		"the link fails": func(*Cache) error { return &linkError{down} },
	} {
		t.Run(name, func(t *testing.T) {
			var n *Cache
			over := 0
			read := func(links batch.Doer) (*session.Stored, error) {
				if links == nil {
					return stored(t, newer), nil
				}
				over++
				return stored(t, older), meanwhile(n)
			}
			open := func() {
				n = linked(t, Config{
					ByKey:       true,
					Read:        func(_ context.Context, links batch.Doer, _ session.ID) (*session.Stored, error) { return read(links) },
					ReadByToken: func(_ context.Context, links batch.Doer, _ string) (*session.Stored, error) { return read(links) },
				})
			}
			want := func(what string, s *session.Stored, err error) {
				t.Helper()
				if err != nil || s == nil || s.Sequence != 2 {
					t.Errorf("%s: got %+v, %v", what, s, err)
				}
				if over != 1 {
					t.Errorf("%s: %d reads over links", what, over)
				}
				over = 0
				if name == "the proofs lapse" {
					return // it is as good as other copies when there are new ones
				}
				if _, held := n.sessions.get("1"); held {
					t.Errorf("%s: it is kept", what)
				}
				if _, held := n.tokens.get(older.Token); held {
					t.Errorf("%s: its token is kept", what)
				}
			}
			open()
			s, err := n.Session(t.Context(), "1")
			want("Session", s, err)
			open()
			s, err = n.ByToken(t.Context(), "foreign")
			want("ByToken", s, err)
			open()
			answer, _ := n.Begin()
			found, _, err := n.Sessions(t.Context(), []index.Candidate{{ID: "1"}}, true, nil, func(_ context.Context, links batch.Doer, _ []session.ID) ([]*session.Stored, error) {
				s, err := read(links)
				return []*session.Stored{s}, err
			})
			if err == nil && !answer.Holds() { // then the caller reads again
				found = []*session.Stored{stored(t, newer)}
			}
			if len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			want("Sessions", found[0], err)
		})
	}
}

// While copies may not be used, links are not asked.
func TestI4_LinksAreNotAskedWithoutProofs(t *testing.T) {
	made := stored(t, sessionOf("1", "u"))
	n := linked(t, Config{ByKey: true, Read: func(_ context.Context, links batch.Doer, _ session.ID) (*session.Stored, error) {
		if links != nil {
			t.Error("a link was asked")
		}
		return made, nil
	}})
	n.fresh.lapse()
	if s, err := n.Session(t.Context(), "1"); s != made || err != nil {
		t.Errorf("got %v, %v", s, err)
	}
}
