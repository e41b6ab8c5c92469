package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/scenario"
	"github.com/cloakroom-dev/cloakroom/bench/testserver"
)

var data = scenario.Dataset{Sessions: 50, Newest: time.Date(2026, 11, 1, 12, 0, 0, 123_000, time.UTC)}

func TestRedisPeers_AnswerTheTruth(t *testing.T) {
	urls := URLs{Redis: testserver.Redis(t)}
	for _, name := range Names() {
		if !OnPostgres(name) {
			t.Run(name, func(t *testing.T) { answersTheTruth(t, name, urls) })
		}
	}
}

func TestPostgres_AnswersTheTruth(t *testing.T) {
	url := testserver.Postgres(t)
	if url == "" {
		return
	}
	urls := URLs{Postgres: url}
	answersTheTruth(t, postgresName, urls)
	store, err := OpenPostgresStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if version, err := store.Version(t.Context()); err != nil || !strings.Contains(version, "shared_buffers ") {
		t.Errorf("%q, %v", version, err)
	}
	if pid, err := store.BackendPID(t.Context()); err != nil || pid == 0 {
		t.Errorf("a connection of process %d, %v", pid, err)
	}
}

func answersTheTruth(t *testing.T, name string, urls URLs) {
	store, err := OpenStore(t.Context(), name, urls)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, d := range []scenario.Dataset{{Sessions: 20, Newest: data.Newest}, data, data} { // another before, and the same again
		if err := store.Seed(t.Context(), d, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.Bytes(t.Context()); err != nil || n < int64(100*data.Sessions) {
		t.Errorf("the store takes %d bytes, %v", n, err)
	}
	peer, err := Open(t.Context(), name, urls)
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	for range 2 { // the second time a cache may answer
		for user := range data.Users() {
			for since := range scenario.PerUser + 1 {
				searchesTheTruth(t, peer, user, since)
			}
		}
		for i := range data.Sessions {
			got, err := peer.Get(t.Context(), scenario.SessionID(i))
			if err != nil {
				t.Fatal(err)
			}
			sameSession(t, got, i)
		}
	}
	if found, err := peer.Search(t.Context(), scenario.UserID(data.Users()), data.Created(0)); err != nil || found.Total != 0 || len(found.Sessions) != 0 {
		t.Errorf("of a user that is not there: %+v, %v", found, err)
	}
	if _, err := peer.Get(t.Context(), scenario.SessionID(data.Sessions)); !errors.Is(err, ErrNotFound) {
		t.Errorf("a session that is not there: %v", err)
	}
}

// searchesTheTruth searches a user's sessions since the creation of the one with that number of theirs; behind the last
// there is none.
func searchesTheTruth(t *testing.T, peer Peer, user, since int) {
	t.Helper()
	date := data.Newest.Add(time.Microsecond)
	if since < scenario.PerUser {
		date = data.Created(data.OfUser(user, since))
	}
	found, err := peer.Search(t.Context(), scenario.UserID(user), date)
	if err != nil {
		t.Fatal(err)
	}
	if want := scenario.PerUser - since; found.Total != want || len(found.Sessions) != want {
		t.Fatalf("user %d since %d: total %d, %d sessions; want %d", user, since, found.Total, len(found.Sessions), want)
	}
	for k, got := range found.Sessions {
		sameSession(t, got, data.OfUser(user, scenario.PerUser-1-k))
	}
}

// sameSession compares JSON, in whatever order its fields are.
func sameSession(t *testing.T, text string, i int) {
	t.Helper()
	var got, want any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	line := bytes.TrimSpace(data.AppendSession(nil, i))
	if err := json.Unmarshal(line, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("session %d:\n%s\nwant\n%s", i, text, line)
	}
}

func TestOpen_ShowsNoURL(t *testing.T) {
	bad := URLs{Redis: "redis://user:secret@h:port", Postgres: "postgres://user:secret@h:port/x"}
	away := URLs{Redis: "redis://user:secret@127.0.0.1:1", Postgres: "postgres://user:secret@127.0.0.1:1/x"}
	for _, name := range append(Names(), "nobody") {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // clients try again
			for _, urls := range []URLs{bad, away, {}} {
				peer, err := Open(t.Context(), name, urls)
				if err == nil {
					peer.Close()
					t.Errorf("opened %+v", urls)
				} else if strings.Contains(err.Error(), "secret") {
					t.Error(err)
				}
			}
		})
	}
}
